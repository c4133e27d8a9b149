"""The topics: their names, what their values hold, and how they are set up (``topics.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal

from streamrec.events import messages as m

CATALOG: Final = "items.catalog"
PRICE: Final = "items.price"
STOCK: Final = "items.stock"
CAMPAIGNS: Final = "promo.campaigns"
CLICKS: Final = "events.clicks"
CARTS: Final = "events.carts"
ORDERS: Final = "events.orders"
SEARCHES: Final = "events.searches"
IMPRESSIONS: Final = "events.impressions"
VECTORS: Final = "item-vectors"
PAIRS: Final = "item-pairs"
NEIGHBOURS: Final = "item-neighbours"
MODEL_PLAN: Final = "model-plan"
DEAD_LETTERS: Final = "dead-letters"

#: Apache Kafka's own default.
MAX_MESSAGE_BYTES: Final = 1_048_588

#: What visitors do, keyed by user_id; one worker must own all five of a visitor.
EVENTS: Final = (CLICKS, CARTS, ORDERS, SEARCHES, IMPRESSIONS)


@dataclass(frozen=True)
class Topic:
    """One topic's contract and its settings."""

    name: str
    #: What the key is the id of.
    key: Literal["item_id", "user_id", "campaign_id", "plan", "source key"]
    #: The struct of the value; None for dead-letters, whose values are other topics' bytes.
    payload: type[m.Payload] | None
    encoding: Literal["json", "msgpack", "bytes"]
    cleanup: Literal["compact", "delete"]
    partitions: int
    replication_factor: int
    max_value_bytes: int
    retention_ms: int | None
    internal: bool

    @property
    def nullable(self) -> bool:
        """Whether a null value is a message of its own (removed, cancelled) and not a mistake."""
        return self.name in {CATALOG, CAMPAIGNS, VECTORS, NEIGHBOURS}

    def kafka_config(self) -> dict[str, str]:
        """Return the topic-level settings of Apache Kafka."""
        # The broker takes more than streamrec does: an oversized message is to become a dead letter, not a producer's riddle.
        room = 2 * MAX_MESSAGE_BYTES if self.name == DEAD_LETTERS else MAX_MESSAGE_BYTES
        config = {"cleanup.policy": self.cleanup, "max.message.bytes": str(room)}
        if self.retention_ms is not None:
            config["retention.ms"] = str(self.retention_ms)
        return config


_CONTRACTS: Final[
    dict[str, tuple[Literal["item_id", "user_id", "campaign_id", "plan", "source key"], type[m.Payload] | None, Any]]
] = {
    CATALOG: ("item_id", m.CatalogItem, "json"),
    PRICE: ("item_id", m.Price, "json"),
    STOCK: ("item_id", m.Stock, "json"),
    CAMPAIGNS: ("campaign_id", m.Campaign, "json"),
    CLICKS: ("user_id", m.Click, "json"),
    CARTS: ("user_id", m.Cart, "json"),
    ORDERS: ("user_id", m.Order, "json"),
    SEARCHES: ("user_id", m.Search, "json"),
    IMPRESSIONS: ("user_id", m.Impressions, "json"),
    VECTORS: ("item_id", m.ItemVector, "msgpack"),
    PAIRS: ("item_id", m.ItemActivity, "msgpack"),
    NEIGHBOURS: ("item_id", m.ItemNeighbours, "msgpack"),
    MODEL_PLAN: ("plan", m.ModelPlan, "json"),
    DEAD_LETTERS: ("source key", None, "bytes"),
}


def _load() -> dict[str, Topic]:
    settings = tomllib.loads(files("streamrec.events").joinpath("topics.toml").read_text(encoding="utf-8"))
    defaults = settings.pop("defaults")
    topics = {}
    for name, (key, payload, encoding) in _CONTRACTS.items():
        values = {"retention_ms": None, "internal": False} | defaults | settings.pop(name)
        topics[name] = Topic(name=name, key=key, payload=payload, encoding=encoding, **values)
    assert not settings, f"topics.toml sets up unknown topics: {sorted(settings)}"
    return topics


TOPICS: Final[dict[str, Topic]] = _load()
