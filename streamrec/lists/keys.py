"""Every Redis key and every time to live that streamrec uses; built by functions, never by hand elsewhere.

The braces are hash tags: all keys of one visitor, and all of one item, live in one slot of a Redis Cluster.
"""

from __future__ import annotations

from typing import Final

#: Ids that must not be shown now; the read-time guard.
SOLDOUT: Final = "soldout"
#: What campaigns pin for everybody, now and later; applied where lists are read.
PINS: Final = "campaigns:pins"
#: Ids of ``soldout`` that campaigns hide, and who wrote them; in one slot of a cluster.
HIDDEN: Final = "streamrec:{campaigns}:hidden"
HIDDEN_BY: Final = "streamrec:{campaigns}:hidden-by"
#: The category that stands for the whole shop in ``trending`` and ``new``.
ALL: Final = "all"
#: The placement whose list has the plain ``rec:{user}`` key.
HOME: Final = "home"
#: The placement whose list is for what lies in the cart.
CART: Final = "cart"

#: A visitor's lists and profile live this long after the last event; they are written together, so they expire together.
VISITOR_TTL_S: Final = 30 * 86_400
#: Item lists are rewritten while the item lives.
ITEM_LIST_TTL_S: Final = 7 * 86_400
#: Fallback lists are rewritten every few seconds; if every worker is away they outlive a long outage.
FALLBACK_TTL_S: Final = 86_400
#: A worker repeats its heartbeat at a third of this.
HEARTBEAT_TTL_S: Final = 15


def rec(user_id: str, placement: str = HOME) -> str:
    """Return the key of a visitor's list."""
    return f"rec:{{{user_id}}}" if placement == HOME else f"rec:{{{user_id}}}:{placement}"


def similar(item_id: str) -> str:
    """Return the key of an item's alternatives."""
    return f"similar:{{{item_id}}}"


def together(item_id: str) -> str:
    """Return the key of what is bought together with an item."""
    return f"together:{{{item_id}}}"


def trending(category: str = ALL) -> str:
    """Return the key of what is popular now, in a category or in the whole shop."""
    return f"trending:{category}"


def new(category: str = ALL) -> str:
    """Return the key of what came in last, in a category or in the whole shop."""
    return f"new:{category}"


def item(item_id: str) -> str:
    """Return the key of an item's live facts."""
    return f"item:{{{item_id}}}"


def profile(user_id: str) -> str:
    """Return the key of what is known of a visitor."""
    return f"profile:{{{user_id}}}"


def worker(worker_id: str) -> str:
    """Return the key of a worker's heartbeat: roles and web address, read by ``doctor`` and ``why``."""
    return f"streamrec:worker:{worker_id}"


#: ``partition:offset:time`` of the dead letters that were re-driven, so that ``dlq list`` shows each once.
REDRIVEN: Final = "streamrec:redriven"

#: The name of the data, the moment when it began: whoever finds another one there knows that Redis came back empty in between.
EPOCH: Final = "streamrec:epoch"
#: What `streamrec rebuild` asks of the recommenders.
REBUILD: Final = "streamrec:rebuild"
#: Digest of a visitor's id -> when they were forgotten, in ms; a rebuild passes over their older events.
FORGOTTEN: Final = "streamrec:forgotten"

#: Recommender -> how far in item-vectors it is, and when it said so: embedders run ahead of none of them by far.
INDEXED: Final = "streamrec:indexed"
INDEXED_TTL_S: Final = 60

#: A rebuild that nobody works on for so long is over.
REBUILD_TTL_S: Final = 86_400
#: As long as the longest retention of an events topic: what was forgotten before has left Kafka too.
FORGOTTEN_TTL_S: Final = 90 * 86_400


def progress(reader: str) -> str:
    """Return the key of a reader's stamps: ``topic:partition`` -> the next offset whose effects are not in Redis."""
    return f"streamrec:progress:{reader}"


#: What was learnt of weights that nobody ranks by any more is forgotten; by then it would have faded.
WEIGHTS_TTL_S: Final = 365 * 86_400


def weights(name: str) -> str:
    """Return the key of what was learnt of the weights of a score's parts; see part_weights.py."""
    return f"streamrec:weights:{name}"
