"""Streams × methods × protocols: reads, replays and puts the figures together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from streamrec.config import Settings
from streamrec.embedding import Encoder, HashingEncoder, load_encoder
from streamrec.errors import ModelError
from streamrec.evaluate.abuse import measure_fraud
from streamrec.evaluate.methods import METHODS, OURS, Method, Parts, ablations, build
from streamrec.evaluate.replay import ALL, NEW, Plan, Replay, sampled
from streamrec.evaluate.sessions import last_days
from streamrec.evaluate.streams import Stream, open_streams, read_stream
from streamrec.evaluate.texts import StreamTexts

_DAY_MS: Final = 86_400_000
#: Each holds streams by name: three tables of methods' figures, what fraud changed, what was left out, and what was measured.
_KINDS: Final = ("streams", "sessions", "ablation", "fraud", "missing", "data")

#: Hears what is being done, and of how many steps how many went by since the last time.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What is measured, and of how much."""

    data: Path | None = None
    #: Names of streams and methods; empty: all.
    streams: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    #: Visitors' events that are replayed of each stream; 0: all.
    limit: int = 0
    #: Interactions that lists are asked for; 0: all. All are learnt.
    sample: int = 5000
    #: The first share of the interactions is learnt and not asked about.
    warm_up: float = 0.2
    seed: int = 7
    #: Fits over a whole stream of the methods that are fitted on a schedule, though not more than one a day.
    refits: int = 30
    #: Whether it is measured event by event.
    online: bool = True
    #: Days at the end of the stream of the session protocol; 0: it is left out.
    session_days: float = 0.0
    ablation: bool = False
    #: Whether it is measured, too, what injected click fraud changes of others' lists.
    fraud: bool = False

    @property
    def how(self) -> dict[str, Any]:
        """Return what must be the same for figures to be the same: all but where data lie and which streams were chosen."""
        chosen = {name: value for name, value in asdict(self).items() if name not in {"data", "streams"}}
        return {**chosen, "methods": list(self.methods)}


def run(
    options: Options,
    settings: Settings | None = None,
    progress: Progress = lambda *_: None,
    *,
    measured: Mapping[str, Any] = MappingProxyType({}),
    done: Callable[[Mapping[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:
    """Return the figures as ``streamrec evaluate --json`` prints them.

    ``measured`` is what an earlier run returned: its streams are kept, and those that were measured in the same way are not
    measured again. ``done`` hears the result so far after each stream. Raises DataError where the data hold no stream, or none of
    a name.
    """
    settings = settings or Settings.load()
    result: dict[str, Any] = {kind: dict(measured.get(kind, {})) for kind in _KINDS}
    how = options.how
    encoder: Encoder | None = None
    for data in open_streams(options.data, options.streams):
        if result["data"].get(data.name, {}).get("how") == how:
            progress(f"{data.name}: measured before", 0, 0)
            continue
        for kind, protocol in product(_KINDS, (ALL, NEW)):
            result[kind].pop(data.name + protocol, None)  # measured in another way
        progress(f"{data.name}: reading", 0, 0)
        stream = read_stream(data, options.limit)
        if stream.has_text:
            progress(f"{data.name}: embedding titles", 0, 0)
            encoder = encoder or _encoder(settings)
        texts = StreamTexts(encoder, stream) if encoder and stream.has_text else None
        span_s = (stream.steps[-1].at_ms - stream.steps[0].at_ms) / 1000 if stream.steps else 0.0
        parts = Parts(settings, stream, texts, max(86_400.0, span_s / options.refits))
        _Evaluation(options, parts, result, progress).run()
        result["data"][data.name]["how"] = how
        done(result)
    return result


def open_stream(settings: Settings, data: Path | None, limit: int = 0) -> tuple[Stream, StreamTexts | None]:
    """Return the first stream that ``data`` holds, as ``open_streams`` finds it, and its texts if items have any.

    Raises DataError.
    """
    stream = read_stream(open_streams(data)[0], limit)
    return stream, StreamTexts(_encoder(settings), stream) if stream.has_text else None


def _encoder(settings: Settings) -> Encoder:
    """Return the configured encoder; words alone speak for an item where its model is not installed."""
    try:
        return load_encoder(settings.model)
    except ModelError:
        return HashingEncoder(256)


class _Evaluation:
    """One stream's part of the result."""

    def __init__(
        self,
        options: Options,
        parts: Parts,
        result: dict[str, Any],
        progress: Progress,
    ) -> None:
        self._options = options
        self._parts = parts
        self._stream, self._texts = parts.stream, parts.texts
        self._result = result
        self._progress = progress

    def run(self) -> None:
        """Measure by every protocol that is asked for."""
        options, stream, name = self._options, self._stream, self._stream.name
        asked = 0
        if options.online:
            plan = sampled(stream, sample=options.sample, warm_up=options.warm_up, seed=options.seed)
            methods = self._methods()
            variants = ablations(methods[OURS]) if options.ablation and OURS in methods else {}
            self._measure("streams", stream, methods, plan, variants)
            asked += int(plan.asked.sum())
        if options.session_days:
            apart, plan = last_days(stream, options.session_days, sample=options.sample, seed=options.seed)
            self._measure("sessions", apart, self._methods(), plan)
            asked += int(plan.asked.sum())
        if options.fraud:
            self._fraud()
        self._result["data"][name] = self._about(asked)

    def _methods(self) -> dict[str, Method]:
        """Return methods that know nothing yet, and note why one is missing."""
        methods, self._result["missing"][self._stream.name] = build(self._options.methods or tuple(METHODS), self._parts)
        return methods

    def _fraud(self) -> None:
        stream, settings = self._stream, self._parts.settings
        what, total = f"{stream.name}: fraud", 2 * int(len(stream.steps) * 0.8)
        self._progress(what, 0, total)
        self._result["fraud"][stream.name] = measure_fraud(
            stream, self._texts, settings, seed=self._options.seed, tick=lambda steps: self._progress(what, steps, total)
        )

    def _about(self, asked: int) -> dict[str, Any]:
        stream = self._stream
        interactions = sum(stream.interactions.values())
        return {
            "description": stream.description,
            "events": sum(step.session >= 0 for step in stream.steps),
            "interactions": interactions,
            "asked": asked,
            "asked_share": round(asked / max(interactions, 1), 4),
            "items": len(stream.interactions),
            "longtail_items": len(stream.interactions) - len(stream.head),
            "sessions": len(stream.sessions),
            "encoder": self._texts.name if self._texts else None,
            "refit_days": round(self._parts.refit_s * 1000 / _DAY_MS, 2),
            "notes": stream.notes,
        }

    def _measure(
        self,
        kind: str,
        stream: Stream,
        own: Mapping[str, Method],
        plan: Plan,
        variants: Mapping[str, Method] = MappingProxyType({}),
    ) -> None:
        methods = {**own, **variants}
        replay = Replay(stream, self._texts, methods)
        total = len(stream.steps)
        self._progress(f"{stream.name}: {kind}", 0, total)
        replay.run(plan, lambda steps: self._progress(f"{stream.name}: {kind}", steps, total))
        interactions = max(sum(stream.interactions.values()), 1)
        costs = {
            name: {"learn_ms": round(1e3 * replay.learning[name] / interactions, 4), "bytes": method.nbytes}
            for name, method in methods.items()
        }
        for protocol, tally in replay.tallies.items():
            found = {name: tally.figures(name, seed=self._options.seed) for name in methods}
            for name, figures in found.items():
                if figures:
                    figures.update(costs[name])
                    if name != OURS and OURS in methods:
                        figures["lead_over_streamrec"] = tally.lead(name, OURS, seed=self._options.seed)
            measured = {name: figures for name, figures in found.items() if figures}
            self._result[kind][stream.name + protocol] = {name: measured[name] for name in own if name in measured}
            if variants:
                parts = {name: measured[name] for name in (OURS, *variants) if name in measured}
                self._result["ablation"][stream.name + protocol] = parts
