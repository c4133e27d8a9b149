"""What people ask a recommender's pages: a query or an item, rules for what may be found, and how many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streamrec.catalogue.filters import Filter, money
from streamrec.client import MAX_ITEMS
from streamrec.errors import InvalidRequest

#: Parameter → whether it may be given several times.
_KNOWN: Final = {
    "q": False,
    "n": False,
    "category": True,
    "brand": True,
    "seller": True,
    "price_min": False,
    "price_max": False,
    "quantity_min": False,
    "exclude": True,
}
_MAX_QUANTITY: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """A page's parameters, checked."""

    query: str
    wanted: Filter
    n: int


def read_question(parameters: Iterable[tuple[str, str]]) -> Question:
    """Return what (name, value) parameters ask; a value that is empty counts as not given.

    Raises InvalidRequest: a rule that was misspelt and passed over would show what must not be shown.
    """
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        if name not in _KNOWN:
            raise InvalidRequest(f"{name!r:.40} is no parameter; use {', '.join(_KNOWN)}")
        if value:
            given.setdefault(name, []).append(value)
    for name, values in given.items():
        if len(values) > 1 and not _KNOWN[name]:
            raise InvalidRequest(f"{name} is given {len(values)} times; give it once")
    wanted = Filter(
        categories=frozenset(given.get("category", ())),
        brands=frozenset(given.get("brand", ())),
        sellers=frozenset(given.get("seller", ())),
        price_min=_price(given, "price_min"),
        price_max=_price(given, "price_max"),
        quantity_min=_whole(given, "quantity_min", 1, _MAX_QUANTITY),
        exclude=frozenset(given.get("exclude", ())),
    )
    if wanted.price_min is not None and wanted.price_max is not None and wanted.price_min > wanted.price_max:
        raise InvalidRequest("price_min is above price_max; exchange them")
    return Question(given.get("q", [""])[0], wanted, _whole(given, "n", 10, MAX_ITEMS))


def _price(given: dict[str, list[str]], name: str) -> float | None:
    if name not in given:
        return None
    value = money(given[name][0])
    if value is None:
        raise InvalidRequest(f"{name} is {given[name][0]!r:.40}; give a price such as 9.90")
    return value


def _whole(given: dict[str, list[str]], name: str, default: int, most: int) -> int:
    text = given.get(name, [str(default)])[0]
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 1 <= value <= most:
        raise InvalidRequest(f"{name} is {text!r:.40}; give a whole number from 1 to {most}")
    return value
