"""Everything that is counted: a name here is ``streamrec_<name>_total{kind}`` in /metrics from the start on, at zero or not."""

from __future__ import annotations

from typing import Final

#: Name → what it counts, and what its ``kind`` is.
COUNTERS: Final[dict[str, str]] = {
    "records": "Records whose effects are done, by topic.",
    "rejected": "Records put into the dead letters, by topic.",
    "dead_letters": "Records put into the dead letters, by cause: invalid (no valid message) or handler (it raised).",
    "retries": "Batches tried again because Redis or Kafka was away, by handler.",
    "commits": "Offset commits, by answer: ok, again (a rebalance came between; nothing is lost) or failed.",
    "rebalances": "Changes of partitions, by kind: assigned, revoked or lost (taken without asking: the session had ended).",
    "rewound": "Partitions read again because Redis lost their effects, by group.",
    "store_losses": "Times that Redis may have lost data, by kind: restarted (with some data) or emptied.",
    "lists_pushed": "Lists written to Redis, by reason.",
    "lessons": "Clicks on lists from which the weights of a score's parts were learnt, by placement.",
    "snapshots": "Snapshots of a recommender's replicas, by outcome: written, failed, restored, refused_<reason>.",
    "overtook": "Items that were embedded before what came earlier, by topic.",
    "embedded": "Items whose vectors were published, by topic.",
    "pictures": "Pictures that items asked for, by outcome: seen, known, unchanged, or why not (streamrec/pictures/refusals.py).",
    "picture_tries": "Fetches of pictures that failed and are tried again, by reason.",
}
