"""What comes in: one struct per topic, decoding with validation, and the topics' contracts."""

from streamrec.events.codec import Message, decode, decode_many, encode
from streamrec.events.messages import (
    Campaign,
    Cart,
    CatalogItem,
    Click,
    Event,
    Impressions,
    ItemActivity,
    ItemNeighbours,
    ItemVector,
    Neighbour,
    Order,
    OrderLine,
    Payload,
    Price,
    Search,
    Stock,
    Targets,
)
from streamrec.events.topics import TOPICS, Topic

__all__ = [
    "TOPICS",
    "Campaign",
    "Cart",
    "CatalogItem",
    "Click",
    "Event",
    "Impressions",
    "ItemActivity",
    "ItemNeighbours",
    "ItemVector",
    "Message",
    "Neighbour",
    "Order",
    "OrderLine",
    "Payload",
    "Price",
    "Search",
    "Stock",
    "Targets",
    "Topic",
    "decode",
    "decode_many",
    "encode",
]
