"""What ``doctor`` looks at: each check gives findings, good or bad, and a bad one says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamrec.cli.fleet import living_workers
from streamrec.cli.output import when
from streamrec.cli.parts import Parts
from streamrec.errors import StreamrecError
from streamrec.events.topics import EVENTS, TOPICS
from streamrec.lists.redis_errors import translated
from streamrec.roles import ROLES

if TYPE_CHECKING:
    import redis

    from streamrec.config import ModelSettings, Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What is examined and how strictly."""

    parts: Parts
    #: Consumer group (without prefix) → its topics.
    groups: Mapping[str, tuple[str, ...]]
    max_lag: int = 10_000
    load_model: bool = False

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.parts.settings


def examine(examination: Examination) -> Iterator[Finding]:
    """Yield every finding, as soon as it is known; a check that cannot be made is a finding, too."""
    away: set[str] = set()
    for name, check in _CHECKS.items():
        needed = _NEEDS.get(name, "")
        if needed in away:  # asking again would only wait for the same time-out again
            yield Finding(name, False, f"not looked at, because {needed} is not well")
            continue
        try:
            for ok, text in check(examination):
                yield Finding(name, ok, text)
        except StreamrecError as error:
            away.add(name)
            yield Finding(name, False, str(error))


_Findings = Iterator[tuple[bool, str]]


def _broker(examination: Examination) -> _Findings:
    found = examination.parts.broker.partitions()
    yield True, f"answers at {examination.settings.kafka.bootstrap}, {len(found)} topics"


def _topics(examination: Examination) -> _Findings:
    found = examination.parts.broker.partitions()
    missing = [name for name in TOPICS if name not in found]
    if missing:
        yield False, f"missing: {', '.join(missing)}; run `streamrec topics create`"
    # Other numbers than in topics.toml are fine as long as one worker can own all events of a visitor.
    counts = {name: found[name] for name in EVENTS if name in found}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {number}" for name, number in counts.items())
        yield (
            False,
            f"the events topics differ in partitions ({told}), so a visitor's events reach several workers; make them equal",
        )
    if not missing and len(set(counts.values())) == 1:
        yield True, f"all {len(TOPICS)} are there, events in {next(iter(counts.values()))} partitions"


def _redis(examination: Examination) -> _Findings:
    with translated("asking for its state"):
        info: Any = examination.parts.redis.info("memory")
        server: Any = examination.parts.redis.info("server")
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version", server.get("redis_version", "?"))
    yield True, f"{name} {version} answers, {info.get('used_memory_human', '?')} used"
    if int(info.get("maxmemory", 0)) and info.get("maxmemory_policy", "noeviction") != "noeviction":
        policy = info["maxmemory_policy"]
        yield (
            False,
            f"maxmemory-policy is {policy}: under pressure it may drop `soldout` and so show sold-out items; set noeviction",
        )


def _functions(examination: Examination) -> _Findings:
    from streamrec.lists import functions

    if examination.settings.redis.cluster:
        yield True, "not used: Redis Cluster is read with plain commands"
        return
    wanted, found = functions.library_version(functions.CODE), _loaded_version(examination.parts.redis)
    if found >= wanted:
        yield True, f"library {functions.LIBRARY} is loaded, version {found}"
    else:
        yield False, f"library {functions.LIBRARY} has version {found or 'none'}, {wanted} is wanted; a starting worker loads it"


def _loaded_version(client: redis.Redis) -> int:
    """Return the version of the library that Redis holds, 0 if none. Raises StoreUnavailable."""
    from streamrec.lists import functions

    with translated("looking for the function library"):
        listed: Any = client.function_list(library=functions.LIBRARY, withcode=True)
    fields = [part for entry in listed for part in (entry.values() if isinstance(entry, dict) else entry)]
    code = (part for part in fields if isinstance(part, bytes) and part.startswith(b"#!lua"))
    return max((functions.library_version(text.decode()) for text in code), default=0)


def _model(examination: Examination) -> _Findings:
    model = examination.settings.model
    if examination.load_model:
        from streamrec.embedding import load_encoder

        encoder = load_encoder(model)
        dim = encoder.encode(["espresso cups"]).shape[1]
        yield True, f"{encoder.name} loads and encodes, {dim} numbers per vector, digest {encoder.digest}"
        return
    folder = model.cache_dir.expanduser() / "models"
    cached = sorted(path.name for path in folder.glob(f"{model.name}*.onnx")) if folder.is_dir() else []
    if model.onnx_path is not None:
        there = model.onnx_path.is_file()
        yield there, f"{model.name}: {model.onnx_path}" + ("" if there else " is not a file; correct STREAMREC_MODEL__ONNX_PATH")
    elif (problem := _not_to_be_had(model)) is not None:
        yield False, problem
    elif cached:
        yield True, f"{model.name} is built: {cached[-1]} (--load-model tries it)"
    else:
        yield True, f"{model.name} is not built yet; the first embedder builds it in {folder} (--load-model does it now)"


def _not_to_be_had(model: ModelSettings) -> str | None:
    """Return why no worker can open the model, which none fetches by itself, in words; None where one can."""
    from streamrec.embedding.models import BESIDE, entry_of, sources

    if model.name in BESIDE:
        return None
    state = sources.state_of(entry_of(model), model)
    if state in {"ready", "to be built"}:
        return None
    return f"{model.name}: {state}; run `streamrec model build {model.name}`, which says what is missing"


def _workers(examination: Examination) -> _Findings:
    workers = living_workers(examination.parts.redis)
    for worker in workers:
        state = "ready" if worker.ready else "not ready yet: /readyz there says why and what to do"
        heard = f"heard {when(worker.at)} UTC"
        if worker.snapshot_at:
            heard += f", its newest snapshot is {max(worker.at - worker.snapshot_at, 0) // 60_000} min old"
        yield worker.ready, f"{worker.id} ({', '.join(worker.roles)}) at {worker.url or '-'}: {state}, {heard}"
    absent = [role for role in ROLES if not any(role in worker.roles for worker in workers)]
    if absent:
        yield False, f"nobody does {', '.join(absent)}; run `streamrec worker --roles {','.join(absent)}`"


def _lag(examination: Examination) -> _Findings:
    for group, topics in examination.groups.items():
        name = f"{examination.settings.kafka.group_prefix}.{group}"
        lag = examination.parts.broker.lag(name, topics)
        total = sum(lag.values())
        ok = total <= examination.max_lag
        advice = "" if ok else f"; more than {examination.max_lag}: see that its workers live, or start more of them"
        worst = max(lag, key=lambda place: lag[place], default=("-", 0))
        behind = f", most on {worst[0]}[{worst[1]}]" if total else ""
        yield ok, f"{name} is {total} messages behind{behind}{advice}"


_CHECKS: Final[dict[str, Callable[[Examination], _Findings]]] = {
    "broker": _broker,
    "topics": _topics,
    "redis": _redis,
    "functions": _functions,
    "model": _model,
    "workers": _workers,
    "lag": _lag,
}
#: check → the one without which it cannot be made.
_NEEDS: Final = {"topics": "broker", "lag": "broker", "functions": "redis", "workers": "redis"}
