"""Events of a made-up experiment."""

from __future__ import annotations

from streamrec.events import Click, Event, Impressions, Order, OrderLine
from streamrec.experiments.plan import Plan
from streamrec.experiments.split import Split

T0 = 1_767_225_600_000
MINUTE = 60_000
DAY = 86_400_000
LABELS = ("tea:control", "tea:hot")
SPLIT = Split("tea", (1, 1))
Told = tuple[str, Event]


def plan(**changes: object) -> Plan:
    fields = {
        "name": "tea",
        "labels": LABELS,
        "split": SPLIT,
        "since_ms": T0,
        "until_ms": T0 + DAY,
        "window_ms": 30 * MINUTE,
    } | changes
    return Plan(**fields)  # type: ignore[arg-type]


def users(variant: int, n: int) -> list[str]:
    """Return ``n`` visitors of a variant."""
    found, number = list[str](), 0
    while len(found) < n:
        number += 1
        if SPLIT.variant(f"u{number}") == variant:
            found.append(f"u{number}")
    return found


CONTROL, HOT = users(0, 1)[0], users(1, 1)[0]


def shown(user_id: str, *items: str, at: int = 0, variant: str | None = None, event_id: str = "", placement: str = "home") -> Told:
    """Return an impression ``at`` ms after T0, of the visitor's own variant unless another is named."""
    label = LABELS[SPLIT.variant(user_id)] if variant is None else variant
    return user_id, Impressions(item_ids=items, ts=T0 + at, placement=placement, variant=label, event_id=event_id)


def click(user_id: str, item_id: str, at: int, variant: str = "", event_id: str = "") -> Told:
    return user_id, Click(item_id=item_id, ts=T0 + at, variant=variant, event_id=event_id)


def order(user_id: str, *items: str, at: int, event_id: str = "") -> Told:
    return user_id, Order(lines=tuple(OrderLine(item_id=item) for item in items), ts=T0 + at, event_id=event_id)
