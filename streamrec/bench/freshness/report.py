"""The figures of a run, for programs and for people."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from streamrec.bench.freshness.building import Building
from streamrec.bench.freshness.goods import Goods
from streamrec.bench.freshness.load import WATCHED, Load
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.config import Settings
from streamrec.demo import report as demo
from streamrec.demo.probes import Board
from streamrec.demo.report import Latency
from streamrec.demo.storefront import Findings
from streamrec.demo.truth import MAX_EXAMPLES

#: The latencies that a report always holds, in this order, with the words of the summary.
LATENCIES: Final[Mapping[str, str]] = {
    **{name: words for name, words in demo.LATENCIES.items() if name != "campaign_to_lists"},
    "soldout_to_evicted": f"sold out → out of {WATCHED} lists that held it",
    "price_to_ranked": "price → another score in the list",
    "change_to_visible": "another text → visible",
    "new_item_to_list": "new item → in the list of new items",
    "new_item_to_search": "new item → found by search",
    "campaign_start_to_lists": "campaign's start → in reads",
    "campaign_end_to_gone": "campaign's end → gone from reads",
    "boost_to_lists": "boost's start → in a recent visitor's list",
}
_TOP: Final = 5


@dataclass(frozen=True)
class Measured:
    """What the measured time gave, beside the latencies on the board."""

    seconds: float
    events: Counter[str]
    lists_pushed: int
    reads_per_s: float
    memory: dict[str, dict[str, float]]
    redis_bytes: int


def report(  # noqa: PLR0917 - run names them
    options: FreshnessOptions,
    settings: Settings,
    building: Building,
    goods: Goods,
    load: Load,
    board: Board,
    findings: Findings,
    measured: Measured,
    last: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything by name; see ``LATENCIES`` for the keys of ``latency_ms``."""
    wrong = [*load.violations, *load.promotions.early, *last["wrong"]]
    kinds = findings.found + Counter(violation.kind for violation in wrong)
    if last["bad"]:
        kinds["soldout_in_list"] = last["bad"]
    examples = [*findings.examples, *wrong, *last["examples"]][:MAX_EXAMPLES]
    return {
        "data": "; ".join(goods.notes),
        "broker": building.stage.broker,
        "machine": machine(),
        "items": options.items,
        "users": options.users,
        "histories": options.distinct,
        "seconds": round(measured.seconds, 1),
        "events": dict(measured.events),
        "stock_per_s": round(measured.events["stock"] / measured.seconds, 1),
        "load": building.figures,
        "restart": building.starts,
        "latency_ms": {name: msgspec.to_builtins(Latency.of(board.latencies[name])) for name in LATENCIES},
        "unresolved": dict(board.unresolved),
        "lists_pushed": measured.lists_pushed,
        "reads": findings.judged,
        "reads_per_s": round(measured.reads_per_s, 1),
        **_read_times(findings),
        "violations": {"count": sum(kinds.values()), "kinds": dict(kinds), "examples": [one._asdict() for one in examples]},
        "scan": {name: last[name] for name in ("lists", "bad", "sold_out", "seconds")},
        "memory_mb": {name: parts["rss"] for name, parts in measured.memory.items()},
        "memory_peak_mb": {name: parts["peak"] for name, parts in measured.memory.items() if "peak" in parts},
        "memory_pss_mb": {name: parts["pss"] for name, parts in measured.memory.items() if "pss" in parts},
        "bytes_per_visitor": round(building.sizes["bytes_per_visitor"]),
        "bytes_per_item": round(building.sizes["bytes_per_item"]),
        "redis_mb": round(measured.redis_bytes / 2**20, 1),
        "hot": {"holders": load.holders, "top": load.top(_TOP), "watched": WATCHED},
        "cold": {"holders_mean": round(load.cold_holders, 2)},
        "settings": _settings(options, settings),
        "notes": _notes(load, board, findings),
    }


def machine() -> dict[str, Any]:
    """Return what it ran on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "memory_gb": round(pages / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _read_times(findings: Findings) -> dict[str, float | None]:
    took = findings.took
    shares = {"read_p50_ms": took.percentile(0.5), "read_p95_ms": took.percentile(0.95), "read_p99_ms": took.percentile(0.99)}
    return {name: None if ms is None else round(ms, 3) for name, ms in {**shares, "read_max_ms": took.max_ms}.items()}


def _settings(options: FreshnessOptions, settings: Settings) -> dict[str, Any]:
    asked = {
        name: value if isinstance(value, int | float | bool | None) else str(value)
        for name, value in asdict(options).items()
        if name != "titles"
    }
    return {
        **asked,
        "model": settings.model.name,
        "index": settings.index.model_dump(mode="json"),
        "lists": settings.lists.model_dump(mode="json"),
    }


def _notes(load: Load, board: Board, findings: Findings) -> list[str]:
    notes = [
        f"effects were looked for every {board.resolution_ms:.0f} ms on average: latencies are known to about that",
        "a fact's latency counts from its sending; a campaign's from its moment, not from its message",
        f"every sold-out fact of a burst is a sample; out of every list means {WATCHED} lists that held the item, spread over all",
        f"{load.stale_facts:,} facts were sent late, twice or out of order on purpose",
        f"the storefronts judged {findings.judged:,} answers: {', '.join(f'{n:,} {name}' for name, n in findings.sources.items())}",
    ]
    if load.skipped:
        notes.append(f"{load.skipped:,} flash sales found no item that stands in lists and is not sold out")
    if load.outranked:
        notes.append(f"{load.outranked:,} restocked items did not come back because the lists were ranked anew, without them")
    if findings.failed:
        notes.append(f"{findings.failed:,} reads failed because Redis did not answer")
    if not load.searches:
        notes.append("new_item_to_search was not measured: the recommender has no page /search")
    if not load.ranks_prices:
        notes.append("price_to_ranked was not measured: prices are no part of the score")
    return notes


def summary(found: Mapping[str, Any]) -> list[str]:
    """Return the summary for people, line by line."""
    memory = ", ".join(f"{name} {mb:,.0f}" for name, mb in found["memory_mb"].items())
    steps = ", ".join(f"{name} {step['seconds']:,.0f} s" for name, step in found["load"].items())
    lines = [
        f"data      {found['items']:,} items, {found['users']:,} visitors, {found['histories']:,} histories; {found['data']}",
        f"broker    {found['broker']}",
        f"built     {steps}",
        *(
            f"start     {name}: {', '.join(f'{key} {value:,.1f}' for key, value in parts.items())}"
            for name, parts in found["restart"].items()
        ),
        f"measured  {found['seconds']:.0f} s: {', '.join(f'{n:,} {kind}' for kind, n in found['events'].items())}",
        f"lists     {found['lists_pushed']:,} pushed; {found['scan']['lists']:,} looked through at the end",
        f"reads     {found['reads']:,}, {found['reads_per_s']:,.0f}/s; {_reads(found)}",
        f"memory    MiB: {memory}",
        f"redis     {found['bytes_per_visitor']:,} bytes per visitor, {found['bytes_per_item']:,} per item",
        "",
        f"{'milliseconds':<44}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>9}",
    ]
    for name, words in LATENCIES.items():
        one = found["latency_ms"][name]
        lines.append(f"{words:<44}{_ms(one['p50'])}{_ms(one['p95'])}{_ms(one['p99'])}{one['n']:>9,}")
    missed = ", ".join(f"{count} × {name}" for name, count in found["unresolved"].items() if count)
    if missed:
        lines += ["", f"not seen in time (counted with the whole waiting time): {missed}"]
    verdict = found["violations"]
    broken = f" {verdict['kinds']}, for example {verdict['examples'][:5]}" if verdict["count"] else ""
    return [*lines, "", *(f"note: {note}" for note in found["notes"]), "", f"violations: {verdict['count']}{broken}"]


def _reads(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(found[f'read_{name}_ms'])} ms" for name in ("p50", "p95", "p99", "max"))


def _plain(value: float | None) -> str:
    return "—" if value is None else f"{value:,.2f}"


def _ms(value: float | None) -> str:
    return f"{'—' if value is None else f'{value:,.1f}':>9}"
