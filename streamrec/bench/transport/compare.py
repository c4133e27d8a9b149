"""How fast events come from Kafka to a handler: ours beside the Python engines, on one broker, one topic, the same clicks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

from streamrec.bench.transport.clicks import Trickle, publish, real_clicks
from streamrec.bench.transport.engines import ENGINES, Engine, default_peers_python, missing, run_engine
from streamrec.bench.transport.tally import Result
from streamrec.config import KafkaSettings
from streamrec.errors import ConfigError
from streamrec.local.broker import LocalBroker
from streamrec.local.kafka import LocalKafka
from streamrec.local.kafka_jars import missing_programs
from workers.transport.admin import ensure_topics

_PARTITIONS: Final = 4
_OURS: Final = "streamrec"
_BY_NAME: Final = {engine.name: engine for engine in ENGINES}


def run(
    *,
    messages: int = 1_000_000,
    rounds: int = 3,
    latencies: int = 1_000,
    broker: Literal["apache", "embedded"] | None = None,
    data: Path | None = None,
    peers_python: Path | None = None,
    engines: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return ``rates`` (events/s from the first to the last message that the handler sees, median of ``rounds``) and the rest.

    ``ratios`` are ours to each of the others, round by round; ``p99_ms_at_100`` is from produced to our handler at 100 events/s.
    Each run is a process of its own; the engines take turns, so that a noisy machine is noisy for all. An engine that is not
    installed has null, and ``missing`` says how to get it. ``broker`` None: Apache Kafka where Java and Maven are, else embedded.

    Raises ConfigError, DataError, BrokerUnavailable, LocalStackError.
    """
    chosen = _chosen(engines)
    python = peers_python or default_peers_python()
    absent = {name: why for name, why in missing(python).items() if name in {engine.name for engine in chosen}}
    present = [engine for engine in chosen if engine.name not in absent]
    kind = broker or ("embedded" if missing_programs() else "apache")
    say("reading the data")
    source, pairs = real_clicks(messages, data)
    runs: dict[str, list[Result]] = {engine.name: [] for engine in present}
    ages: Sequence[float] = ()
    with LocalKafka() if kind == "apache" else LocalBroker() as server, tempfile.TemporaryDirectory() as folder:
        _make_topic(server.bootstrap)
        if latencies and _OURS in runs:
            say("latency at 100 events/s")
            with Trickle(server.bootstrap, pairs[:1000]):
                ages = run_engine(_BY_NAME[_OURS], server.bootstrap, latencies, Path(folder), python, latency=True).ages_ms
        publish(server.bootstrap, pairs)
        for number in range(rounds):
            # Another one begins each time: nobody always comes after the same one.
            first = number % max(len(present), 1)
            for engine in present[first:] + present[:first]:
                say(f"round {number + 1} of {rounds}: {engine.name}")
                runs[engine.name].append(run_engine(engine, server.bootstrap, min(len(pairs), engine.most), Path(folder), python))
    described = {
        "data": source,
        "value_bytes": round(sum(len(value) for _, value in pairs) / len(pairs), 1),
        "broker": kind,
        "partitions": _PARTITIONS,
        "cores": len(os.sched_getaffinity(0)),
        "rounds": rounds,
    }
    return described | _figures(chosen, runs) | _latency(ages) | {"missing": absent}


def _chosen(names: Sequence[str]) -> list[Engine]:
    unknown = sorted(set(names) - _BY_NAME.keys())
    if unknown:
        msg = f"engines: {', '.join(unknown)}; choose from {', '.join(_BY_NAME)}"
        raise ConfigError(msg)
    return [engine for engine in ENGINES if not names or engine.name in names]


def _make_topic(bootstrap: str) -> None:
    ensure_topics(KafkaSettings(bootstrap=bootstrap), partitions=_PARTITIONS, replication_factor=1)


def _figures(chosen: Sequence[Engine], runs: dict[str, list[Result]]) -> dict[str, Any]:
    rates = {name: [result.per_s for result in results] for name, results in runs.items() if results}
    ours = rates.get(_OURS, [])
    others = [engine.name for engine in chosen if engine.name != _OURS]
    return {
        "messages": {name: min(result.messages for result in results) for name, results in runs.items() if results},
        "rates": {engine.name: round(median(rates[engine.name])) if engine.name in rates else None for engine in chosen},
        "spread": {name: [round(min(found)), round(max(found))] for name, found in rates.items()},
        "ratios": {f"to_{name}": _ratio(ours, rates.get(name, [])) for name in others},
        "cpu_us": {name: round(median(result.cpu_us for result in results), 2) for name, results in runs.items() if results},
        "rss_mb": {name: round(max(result.rss_mb for result in results)) for name, results in runs.items() if results},
        "settings": {engine.name: engine.settings for engine in chosen},
        "versions": {name: results[0].versions for name, results in runs.items() if results},
    }


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    return round(median(a / b for a, b in zip(ours, theirs, strict=True)), 2) if ours and theirs else None


def _latency(ages: Sequence[float]) -> dict[str, Any]:
    if not ages:
        return {"p50_ms_at_100": None, "p99_ms_at_100": None}
    ordered = sorted(ages)
    return {
        "p50_ms_at_100": round(median(ordered), 2),
        "p99_ms_at_100": round(ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)], 2),
        "latencies": len(ordered),
    }
