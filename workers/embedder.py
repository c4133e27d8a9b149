"""Role: changed items → vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamrec.embedding import Embedder, load_encoder
from streamrec.events import CatalogItem, ItemVector, encode
from streamrec.events.topics import VECTORS
from workers.groups import EMBEDDER, GROUPS
from workers.parts import Parts, Role
from workers.transport.batch import pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.transport.batch import Record


def build(parts: Parts) -> Role:
    """Put the role together; loads the encoder, and builds it on the first run."""
    embedder = Embedder(load_encoder(parts.settings.model))
    unsent: dict[str, ItemVector | None] = {}

    def embed(records: Sequence[Record]) -> None:
        # Noted until Kafka has them: repeating the batch after a failed send finds nothing changed any more.
        unsent.update(embedder.update(pairs(records, CatalogItem)))
        for item_id, vector in unsent.items():
            parts.producer.send(VECTORS, item_id, encode(vector, VECTORS) if vector else None)
        parts.producer.flush()
        parts.observer.count("embedded", VECTORS, len(unsent))
        unsent.clear()

    def remember(records: Sequence[Record]) -> None:
        for item_id, vector in pairs(records, ItemVector):
            embedder.remember(item_id, vector)

    # Without it a partition's new owner would embed again what did not change, and take a late message for a new one.
    core = parts.core("embedder")
    memory = parts.replica("embedder-memory", [VECTORS], remember, core)
    changed = parts.group(EMBEDDER, GROUPS[EMBEDDER], embed, core, after=[memory.reader.ready], buries=())
    return Role("embedder", [memory, changed])
