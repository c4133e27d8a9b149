"""Role: changed items → vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from streamrec.embedding import Embedder, load_encoder
from streamrec.events import CatalogItem, ItemVector, encode
from streamrec.events.topics import VECTORS
from streamrec.pictures.opening import open_pictures
from workers.groups import EMBEDDER, GROUPS
from workers.parts import Parts, Role
from workers.pictures import PictureLane
from workers.transport.batch import pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.transport.batch import Record
    from workers.transport.group import GroupReader


def build(parts: Parts) -> Role:
    """Put the role together; loads the encoder, and builds it on the first run."""
    encoder = load_encoder(parts.settings.model)
    pictures = open_pictures(parts.settings, encoder.digest, clock=parts.clock, observer=parts.observer)
    embedder = Embedder(encoder, pictures=pictures.gallery if pictures else None)
    unsent: dict[str, ItemVector | None] = {}

    def embed(records: Sequence[Record]) -> None:
        bring_up_to_date(pairs(records, CatalogItem))

    def bring_up_to_date(items: Sequence[tuple[str, CatalogItem | None]]) -> None:
        # Noted until Kafka has them: repeating the batch after a failed send finds nothing changed any more.
        unsent.update(embedder.update(items))
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
    after = [memory.reader.ready]
    changed = parts.group(EMBEDDER, GROUPS[EMBEDDER], embed, core, after=after, buries=())
    if pictures is None:
        return Role("embedder", [memory, changed])
    group = cast("GroupReader", changed.reader)
    lane = PictureLane(
        parts, pictures, core, owned=lambda: group.owned, after=after, stands=embedder.stands, embed=bring_up_to_date
    )
    return Role("embedder", [memory, changed, lane.pipeline], lane.others, lane.status)
