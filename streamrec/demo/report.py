"""The figures of a demo: one object, from which both the JSON report and the summary for people are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

#: The latencies that a report always holds, in this order, with the words of the summary.
LATENCIES: Final[Mapping[str, str]] = {
    "click_to_list": "click → list",
    "soldout_to_guarded": "sold out → no guarded read returns it",
    "soldout_to_evicted": "sold out → out of every list that held it",
    "restock_to_back": "restock → back in the lists",
    "price_to_visible": "price → visible",
    "campaign_to_lists": "campaign → in the lists",
}
#: Measured as well, for those who ask.
MORE: Final[Mapping[str, str]] = {
    "exclude_to_gone": "exclusion → out of the lists",
    "new_item_to_list": "new item → in the list of new items",
}


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of ``n`` samples in milliseconds; None where there is no sample."""

    p50: float | None
    p95: float | None
    p99: float | None
    n: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Latency:
        """Return the nearest-rank percentiles: each is a value that was measured.

        >>> Latency.of([4.0, 1.0, 3.0, 2.0])
        Latency(p50=2.0, p95=4.0, p99=4.0, n=4)
        """
        ordered = sorted(samples)
        return cls(_nearest_rank(ordered, 0.50), _nearest_rank(ordered, 0.95), _nearest_rank(ordered, 0.99), len(ordered))


def _nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[max(math.ceil(share * len(ordered)), 1) - 1], 1)


class Violations(msgspec.Struct, frozen=True):
    """How many answers broke a guarantee, by kind, and some of them."""

    count: int
    kinds: dict[str, int]
    examples: list[dict[str, str | float]]


class Report(msgspec.Struct, frozen=True):
    """What a demo found; ``latency_ms`` holds the keys of ``LATENCIES``."""

    data: str
    broker: str
    seconds: float
    #: Messages published in the measured time, by kind (clicks, carts, orders, stock, price, campaigns, …).
    events: dict[str, int]
    items: int
    items_embedded_per_s: float
    lists_pushed: int
    reads: int
    violations: Violations
    latency_ms: dict[str, Latency]
    more_latency_ms: dict[str, Latency]
    #: Effects that were not seen in time; each counts in its latency with the whole waiting time.
    unresolved: dict[str, int]
    notes: list[str]

    @property
    def exit_code(self) -> int:
        """Return 0 when no answer broke a guarantee, else 1."""
        return 1 if self.violations.count else 0

    def write(self, path: Path) -> None:
        """Write the JSON report."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def summary(report: Report) -> list[str]:
    """Return the summary for people, line by line."""
    events = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.events.items(), key=lambda entry: -entry[1]))
    lines = [
        f"data      {report.data}",
        f"broker    {report.broker}",
        f"measured  {report.seconds:.0f} s: {events or 'no events'}",
        f"embedded  {report.items_embedded_per_s:,.0f} items/s over {report.items:,} items",
        f"lists     {report.lists_pushed:,} pushed",
        f"reads     {report.reads:,}",
        "",
        f"{'milliseconds':<44}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>8}",
    ]
    for name, words in {**LATENCIES, **MORE}.items():
        latency = report.latency_ms.get(name) or report.more_latency_ms.get(name)
        if latency is not None and (latency.n or name in LATENCIES):
            lines.append(f"{words:<44}{_ms(latency.p50)}{_ms(latency.p95)}{_ms(latency.p99)}{latency.n:>8,}")
    missed = ", ".join(f"{count} × {name}" for name, count in report.unresolved.items() if count)
    if missed:
        lines += ["", f"not seen in time (counted with the whole waiting time): {missed}"]
    lines += ["", *(f"note: {note}" for note in report.notes), "", _verdict(report.violations)]
    return lines


def _ms(value: float | None) -> str:
    return f"{'—' if value is None else f'{value:,.1f}':>9}"


def _verdict(violations: Violations) -> str:
    if not violations.count:
        return "violations: 0"
    kinds = ", ".join(f"{count} {kind}" for kind, count in violations.kinds.items())
    examples = "\n".join(f"  {example}" for example in violations.examples[:5])
    return f"VIOLATIONS: {violations.count} ({kinds}), for example\n{examples}"
