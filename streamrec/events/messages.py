"""One frozen struct per topic: what a message's value holds. The message's key stands beside it, never inside.

A field's type never changes; a new field has a default, so that older producers stay valid; unknown fields are ignored, so that
newer producers stay valid. Every ``ts`` is event time in milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

MAX_ID_LENGTH: Final = 128
#: What no id may hold: braces would move a Redis key to another cluster slot, control characters break logs.
REFUSED_IN_IDS: Final = bytes([*range(0x20), 0x7F]) + b"{}"
#: An id of an item, visitor, campaign or event. The pattern stands in the schemas only: msgspec would spend four times as long on
#: it as on all the rest of a click. The codec holds every id of ``IDS`` to it, a whole batch at once.
Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID_LENGTH,
        description="1 to 128 characters",
        extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f{}]+$"},
    ),
]
OptionalId = Annotated[
    str,
    Meta(
        max_length=MAX_ID_LENGTH,
        description="up to 128 characters",
        extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f{}]*$"},
    ),
]
#: Milliseconds since the epoch, UTC. The upper bound (the present plus a tolerance) is checked by the decoder, which has a clock.
Timestamp = Annotated[int, Meta(ge=946_684_800_000, le=32_503_680_000_000, description="ms since the epoch, UTC")]
Quantity = Annotated[int, Meta(ge=0, le=1_000_000_000)]
#: ``le`` is also what refuses infinity: JSON's 1e999 decodes to it.
Money = Annotated[float, Meta(ge=0.0, le=1e12)]
Name = Annotated[str, Meta(max_length=256)]
#: A decayed number of visitors; the bounds refuse NaN and infinity, which would poison every sum they enter.
Weight = Annotated[float, Meta(ge=0.0, le=1e12)]


#: What of a search's filters counts: only such items does the query bring into the visitor's list.
FILTER_NAMES: Final = ("category", "brand", "seller", "price_min", "price_max")


class CatalogItem(msgspec.Struct, frozen=True, kw_only=True):
    """items.catalog: what an item is. A null value removes the item. Key: item_id."""

    title: Annotated[str, Meta(min_length=1, max_length=1024)]
    ts: Timestamp
    description: Annotated[str, Meta(max_length=100_000)] = ""
    category: Name = ""
    brand: Name = ""
    attributes: dict[Annotated[str, Meta(max_length=256)], Annotated[str, Meta(max_length=4096)]] = {}
    image_url: Annotated[str, Meta(max_length=4096)] = ""
    price: Money | None = None
    currency: Annotated[str, Meta(max_length=8)] = ""
    quantity: Quantity | None = None
    #: A string and not bytes: what is no base64 is a bad picture, and no reason to refuse the item.
    image: Annotated[
        str, Meta(max_length=200_000, description="the picture itself, base64 of a JPEG, PNG, WebP or GIF; wins over image_url")
    ] = ""

    @property
    def seller(self) -> str:
        """Who sells the item, from its attributes; empty where the shop has one seller."""
        return self.attributes.get("seller", "")


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """items.price: what an item costs now. Key: item_id."""

    price: Money
    ts: Timestamp
    list_price: Money | None = None


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """items.stock: how many are left; 0 is sold out. Key: item_id."""

    quantity: Quantity
    ts: Timestamp


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """Which items a campaign touches: an item matches when any of the four lists names it."""

    items: Annotated[tuple[Id, ...], Meta(max_length=10_000)] = ()
    categories: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    brands: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()
    sellers: Annotated[tuple[Name, ...], Meta(max_length=1_000)] = ()


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """promo.campaigns: boost, bury, pin or exclude items from ``starts_at`` until ``ends_at``.

    Key: campaign_id. A null value cancels the campaign.
    """

    action: Literal["boost", "bury", "pin", "exclude"]
    targets: Targets
    starts_at: Timestamp
    ends_at: Timestamp
    ts: Timestamp
    #: boost multiplies the score by it, bury divides by it; pin and exclude ignore it.
    factor: Annotated[float, Meta(gt=0.0, le=1000.0)] = 2.0
    #: pin: the list positions to fill, 1 is the first.
    slots: Annotated[tuple[Annotated[int, Meta(ge=1, le=100)], ...], Meta(max_length=100)] = ()
    #: Whose lists: everybody's, or those of visitors with few, several or paid interactions.
    segment: Literal["all", "new", "returning", "buyers"] = "all"

    def __post_init__(self) -> None:
        """Refuse a campaign that could never do anything."""
        if self.ends_at <= self.starts_at:
            msg = "ends_at is not after starts_at"
            raise ValueError(msg)
        if self.action == "pin" and not (self.targets.items and self.slots):
            msg = "a pin needs targets.items and slots"
            raise ValueError(msg)

    def active(self, now_ms: int) -> bool:
        """Tell whether ``now_ms`` lies in [starts_at, ends_at)."""
        return self.starts_at <= now_ms < self.ends_at


class Click(msgspec.Struct, frozen=True, kw_only=True):
    """events.clicks: a visitor opened an item. Key: user_id."""

    item_id: Id
    ts: Timestamp
    placement: Name = ""
    variant: Name = ""
    event_id: OptionalId = ""


class Cart(msgspec.Struct, frozen=True, kw_only=True):
    """events.carts: a visitor put an item into the cart or took it out. Key: user_id."""

    item_id: Id
    op: Literal["add", "remove"]
    ts: Timestamp
    quantity: Quantity = 1
    event_id: OptionalId = ""


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order."""

    item_id: Id
    quantity: Quantity = 1
    price: Money | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """events.orders: a visitor bought. Key: user_id."""

    lines: Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=1_000)]
    ts: Timestamp
    event_id: OptionalId = ""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """events.searches: a visitor searched. Key: user_id."""

    query: Annotated[str, Meta(min_length=1, max_length=1024)]
    ts: Timestamp
    filters: Annotated[
        dict[Annotated[str, Meta(max_length=256)], Annotated[str, Meta(max_length=1024)]],
        Meta(description=f"what the visitor chose beside the query: {', '.join(FILTER_NAMES)}; other names are ignored"),
    ] = {}
    event_id: OptionalId = ""


class Impressions(msgspec.Struct, frozen=True, kw_only=True):
    """events.impressions: items that a visitor was shown, in the order in which they stood. Key: user_id."""

    item_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=500)]
    ts: Timestamp
    placement: Name = ""
    variant: Name = ""
    event_id: OptionalId = ""


class ItemVector(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """item-vectors (internal, MessagePack): an item's embedding by one model. Null removes it.

    Key: item_id, and behind it, but for the model that the shop began with, the model's digest in braces.
    """

    content_digest: Annotated[str, Meta(max_length=64)]
    model_digest: Annotated[str, Meta(max_length=64)]
    dim: Annotated[int, Meta(ge=1, le=8192)]
    #: ``dim`` little-endian float16 numbers, L2-normalised.
    vector: bytes
    #: Event time of the catalogue fact that it was made from.
    ts: Timestamp

    def __post_init__(self) -> None:
        """Refuse a vector whose bytes are not its dimension."""
        if len(self.vector) != 2 * self.dim:
            msg = f"vector has {len(self.vector)} bytes, dim {self.dim} needs {2 * self.dim}"
            raise ValueError(msg)


class ModelChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One encoder: what settings name it, and what must come of them on every machine."""

    #: Settings of the section ``model`` that decide what the vectors are; each worker adds its own device, threads and folders.
    settings: dict[Annotated[str, Meta(max_length=64)], Any]
    digest: Annotated[str, Meta(min_length=1, max_length=64, description="hexadecimal")]
    dim: Annotated[int, Meta(ge=1, le=8192)]

    def __post_init__(self) -> None:
        """Refuse a digest that could not stand behind an item's id."""
        if not set(self.digest) <= set("0123456789abcdef"):
            raise ValueError("digest holds what is no hexadecimal digit")

    @property
    def name(self) -> str:
        """The registered name, for people."""
        return str(self.settings.get("name", ""))


class ModelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """model-plan (internal): which model the shop is to be served by, and which one until then. Key: plan.

    Written by `streamrec model use` alone. A newer ``version`` takes the place of an older one.
    """

    version: Annotated[int, Meta(ge=1)]
    wanted: ModelChoice
    ts: Timestamp
    #: Served until ``wanted`` covers the catalogue, and kept up beside it until ``keep_until``, so that going back is at once.
    previous: ModelChoice | None = None
    #: Ms since the epoch; what covers the catalogue later than this ends ``previous`` then.
    keep_until: Annotated[int, Meta(ge=0)] = 0
    #: Digest of the model whose vectors have the plain keys of item-vectors.
    plain: Annotated[str, Meta(max_length=64)] = ""

    def slot(self, digest: str) -> str:
        """Return the slot of a model's vectors in item-vectors."""
        return "" if digest == self.plain else digest

    @property
    def choices(self) -> tuple[ModelChoice, ...]:
        """The wanted model, then the previous one."""
        return (self.wanted,) if self.previous is None else (self.wanted, self.previous)


class ItemActivity(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """item-pairs (internal, MessagePack): a visitor met an item, near others. Key: item_id.

    The same message twice has the effect of one: the aggregator keeps, per (neighbour, visitor), the newest ``ts`` only.
    """

    #: 64-bit hash of the visitor id: enough to count visitors once, not enough to name them.
    visitor: int
    kind: Literal["search", "click", "cart", "order"]
    ts: Timestamp
    #: Items that the visitor met shortly before, or that stand in the same order.
    neighbours: Annotated[tuple[Id, ...], Meta(max_length=100)]
    #: True where this message tells the neighbour's side of a pair: it is no visit of its own and counts for no trend.
    echo: bool = False
    #: In an echo: the item was the so-many-th nearest in time to its neighbour. Elsewhere the order of ``neighbours`` tells it.
    distance: Annotated[int, Meta(ge=1, le=100)] = 1
    #: The visitor clicked on the item twice in a row.
    again: bool = False
    #: The visitor was shown the item, which is new, and did nothing with it yet: counted apart, and else an echo of nothing.
    shown: bool = False


class Neighbour(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One neighbour of an item with its weights at the record's ``as_of``."""

    item_id: Id
    #: Decayed number of visitors that met both, each counting 1 / distance.
    together: Weight
    #: Decayed number of visitors that bought both.
    bought: Weight


class ItemNeighbours(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """item-neighbours (internal, MessagePack): an item's popularity and neighbours, best first. Key: item_id.

    ``state`` is the aggregator's own packed memory of the item: the compacted topic is its change log.
    """

    as_of: Timestamp
    #: Decayed number of visitors at ``as_of``.
    popularity: Weight
    neighbours: Annotated[tuple[Neighbour, ...], Meta(max_length=200)]
    state: bytes = b""
    #: The sum of ``together`` over all neighbours that the aggregator holds, those that found no room here included.
    total: Weight = 0.0
    #: Decayed number of visitors at ``as_of``, with the half-life of ``together``.
    visitors: Weight = 0.0
    #: Share of the visitors that clicked on the item twice in a row.
    again: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    #: About how often the item was shown while it was new.
    shown: Weight = 0.0


#: What visitors do.
Event = Click | Cart | Order | Search | Impressions
#: Whatever a message's value may be.
Payload = CatalogItem | Price | Stock | Campaign | Event | ItemVector | ItemActivity | ItemNeighbours | ModelPlan

#: Per struct, the ids that its value holds; a struct that is not here holds none.
IDS: Final[dict[type[Payload], Callable[[Any], Iterable[str]]]] = {
    Campaign: attrgetter("targets.items"),
    Click: attrgetter("item_id", "event_id"),
    Cart: attrgetter("item_id", "event_id"),
    Order: lambda order: chain((order.event_id,), map(attrgetter("item_id"), order.lines)),
    Search: lambda search: (search.event_id,),
    Impressions: lambda seen: chain((seen.event_id,), seen.item_ids),
    ItemActivity: attrgetter("neighbours"),
    ItemNeighbours: lambda item: map(attrgetter("item_id"), item.neighbours),
}
