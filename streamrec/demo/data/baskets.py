"""Purchases told as what a storefront would have sent: a click and a cart addition per line, and the order at the end.

Data sets of purchases hold only the end of a visit. The clicks and cart additions are spread over the minutes before it, evenly
and in the order of the lines: the same basket always gives the same records.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from streamrec.demo.data.port import Record
from streamrec.events import Cart, Click, Order, OrderLine
from streamrec.events.topics import CARTS, CLICKS, ORDERS

#: A visit lasts so long per line, and at most so long in all.
MS_PER_LINE: Final = 40_000
MAX_VISIT_MS: Final = 20 * 60_000
#: events.orders refuses an order of more lines; longer ones are cut.
MAX_LINES: Final = 1_000


class Line(NamedTuple):
    """One line of a basket; ``price`` is of one piece."""

    item_id: str
    quantity: int
    price: float | None


class Basket(NamedTuple):
    """What one visitor bought at ``at_ms``."""

    at_ms: int
    user_id: str
    order_id: str
    lines: tuple[Line, ...]


def merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return the lines with equal items added up, first come first, at most ``MAX_LINES`` of them.

    >>> merged([Line("a", 1, 2.0), Line("b", 1, None), Line("a", 2, 3.0)])
    (Line(item_id='a', quantity=3, price=3.0), Line(item_id='b', quantity=1, price=None))
    """
    kept: dict[str, Line] = {}
    for line in lines:
        before = kept.get(line.item_id)
        kept[line.item_id] = line if before is None else Line(line.item_id, before.quantity + line.quantity, line.price)
    return tuple(kept.values())[:MAX_LINES]


def visit(basket: Basket) -> list[Record]:
    """Return the records of one basket in order: per line a click and, a little later, a cart addition; then the order."""
    span_ms = min(MAX_VISIT_MS, MS_PER_LINE * len(basket.lines))
    step_ms = span_ms / (len(basket.lines) + 1)
    records = []
    for number, line in enumerate(basket.lines):
        click_ms = basket.at_ms - span_ms + int(step_ms * number)
        cart_ms = click_ms + int(step_ms / 2)
        event_id = f"{basket.order_id}-{number}"
        click = Click(item_id=line.item_id, ts=click_ms, event_id=f"{event_id}-click")
        cart = Cart(item_id=line.item_id, op="add", quantity=line.quantity, ts=cart_ms, event_id=f"{event_id}-cart")
        records.append(Record(click_ms, CLICKS, basket.user_id, click))
        records.append(Record(cart_ms, CARTS, basket.user_id, cart))
    lines = tuple(OrderLine(item_id=line.item_id, quantity=line.quantity, price=line.price) for line in basket.lines)
    order = Order(lines=lines, ts=basket.at_ms, event_id=basket.order_id)
    records.append(Record(basket.at_ms, ORDERS, basket.user_id, order))
    return records


def visits(baskets: Iterable[Basket]) -> Iterator[Record]:
    """Yield the records of many visits that overlap, in event-time order.

    ``baskets`` come in order of ``at_ms``; a record is let go when no later basket can begin before it.
    """
    waiting: list[tuple[int, int, Record]] = []
    number = 0
    for basket in baskets:
        horizon_ms = basket.at_ms - MAX_VISIT_MS
        while waiting and waiting[0][0] <= horizon_ms:
            yield heapq.heappop(waiting)[2]
        for record in visit(basket):
            number += 1  # ties stay in the order in which they came
            heapq.heappush(waiting, (record.at_ms, number, record))
    while waiting:
        yield heapq.heappop(waiting)[2]
