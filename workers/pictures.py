"""The embedder's lane of pictures: the catalogue once more, at the pace of picture servers; texts never wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from mode import Service

from streamrec.errors import BrokerUnavailable
from streamrec.events import CatalogItem
from streamrec.events.topics import CATALOG
from streamrec.pictures.desk import Want
from workers.sweeper import Sweeper

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from streamrec.pictures.desk import Desk
    from streamrec.pictures.opening import Pictures
    from workers.parts import Parts
    from workers.transport.batch import Place, Record
    from workers.transport.pipeline import Pipeline

log = structlog.get_logger(__name__)

#: Items whose vectors are sent together, and how often it is looked whether pictures came.
TOGETHER: Final = 128
SWEEP_S: Final = 0.05
#: Records of one batch: the desk may have no room for many at once.
MAX_BATCH: Final = 100


class PictureLane:
    """Lays items with pictures on the desk, and has them embedded again when their pictures are there.

    ``embed`` is called on ``core``, the embedder's thread, with items whose vectors are to be brought up to date and sent; it
    raises BrokerUnavailable where Kafka does not have them for certain. ``stands`` tells whether a message still holds of its item.
    An offset is committed when nothing before it lies on the desk: whatever a crash leaves there is read, and fetched, again.
    """

    def __init__(
        self,
        parts: Parts,
        pictures: Pictures,
        core: Executor,
        *,
        owned: Callable[[], frozenset[Place]],
        after: Sequence[threading.Event],
        stands: Callable[[str, CatalogItem], bool],
        embed: Callable[[Sequence[tuple[str, CatalogItem]]], None],
    ) -> None:
        self._desk = pictures.desk
        self._stands = stands
        self._embed = embed
        # Other pictures, or the same seen otherwise, begin at the beginning; what the album holds is not fetched again.
        name = f"embedder-pictures-{pictures.gallery.digest}"
        self.pipeline: Pipeline = parts.following(
            name,
            [CATALOG],
            self.put,
            parts.core("pictures"),
            owned=owned,
            floor=self._desk.floor,
            dropped=self._desk.drop,
            after=after,
            max_batch=MAX_BATCH,
        )
        self.others: list[Any] = [_Fetching(self._desk), Sweeper(core, self.sweep, SWEEP_S, after)]

    def put(self, records: Sequence[Record]) -> None:
        """Lay down what has a picture; wait while the desk is full."""
        self._desk.put(
            Want(record.key, record.value, (record.topic, record.partition), record.offset)
            for record in records
            if isinstance(record.value, CatalogItem) and (record.value.image or record.value.image_url)
        )

    def sweep(self) -> bool:
        """Have items embedded whose pictures are known now; True: there may be more."""
        wants = self._desk.take(TOGETHER)
        if not wants:
            return False
        try:
            self._embed([(want.item_id, want.item) for want in wants if self._stands(want.item_id, want.item)])
        except BrokerUnavailable as error:
            log.warning("pictures wait", error=str(error))
            self._desk.put_back(wants)
            return False
        self._desk.settle(wants)
        return len(wants) == TOGETHER

    def status(self) -> dict[str, int]:
        """Return the numbers of the heartbeat."""
        return {"pictures_waiting": self._desk.waiting}


class _Fetching(Service):
    """Has the desk's thread begin and end with the worker."""

    def __init__(self, desk: Desk, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._desk = desk

    async def on_start(self) -> None:
        """Begin."""
        self._desk.start()

    async def on_stop(self) -> None:
        """End."""
        self._desk.stop()
