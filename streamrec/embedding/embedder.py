"""Embeds the items of a batch that changed, and nothing else."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from streamrec.embedding.encoder import Encoder
from streamrec.embedding.text import content_digest, item_text
from streamrec.embedding.vectors import pack_vectors
from streamrec.errors import ConfigError
from streamrec.events import CatalogItem, ItemVector

_K = TypeVar("_K")
_V = TypeVar("_V")


class Shown(Protocol):
    """An item's picture, at hand."""

    @property
    def mark(self) -> str:
        """What changes with the picture's content and with how it counts."""
        ...

    def mixed(self, text: bytes) -> bytes:
        """Return the vector of an item whose text has the vector ``text``; both are little-endian float16."""
        ...


class Pictures(Protocol):
    """Where the embedder finds pictures; it never waits for one."""

    def of(self, item: CatalogItem, model_digest: str) -> Shown | None:
        """Return the item's picture for vectors of this model, None where none is at hand."""
        ...


class _Known(NamedTuple):
    """What was last sent of an item: the digest of its text, and its catalogue message's ts."""

    digest: str
    ts: int


#: Stands for the digest of an item that was removed. Its ts is 0: a removal has none, so any later message brings the item back.
_GONE: Final = ""


class Embedder:
    """Turns catalogue messages into vector messages; a content digest decides whether an item is embedded again.

    It remembers the digests of the last ``max_items`` items and the vectors of the last ``max_texts`` distinct texts. Forgetting
    costs work and loses nothing: an item that is no longer remembered is embedded and sent again, with the same vector.

    Of an item whose picture is at hand in ``pictures`` the vector is that of text and picture, and so is the digest. When a picture
    has come, call ``update`` again with the same message.
    """

    def __init__(
        self, encoder: Encoder, *, pictures: Pictures | None = None, max_items: int = 1_000_000, max_texts: int = 25_000
    ) -> None:
        self._encoder = encoder
        self._pictures = pictures
        self._items: _Recent[str, _Known] = _Recent(max_items)
        #: How many of them were not removed.
        self.count = 0
        self._vectors: _Recent[str, bytes] = _Recent(max_texts)

    @property
    def model_digest(self) -> str:
        """The encoder's digest, which every vector message carries."""
        return self._encoder.digest

    def update(self, items: Sequence[tuple[str, CatalogItem | None]]) -> list[tuple[str, ItemVector | None]]:
        """Return the vector messages that the batch makes necessary, at most one per item, in the order of the batch.

        ``items`` are (item_id, catalogue message) pairs. Of an item's messages the last wins, but one with an older ``ts`` than a
        message seen before is out of date and ignored. None removes the item and is passed on as None, unless it is known to be
        removed. A vector's ``ts`` is the catalogue message's.
        """
        winners = self._winners(items)
        texts = {item_id: item_text(item) for item_id, item in winners.items() if item is not None}
        told = {item_id: content_digest(text, self._encoder.digest) for item_id, text in texts.items()}
        shown = self._shown(winners)
        digests = {
            item_id: content_digest(shown[item_id].mark, digest) if item_id in shown else digest for item_id, digest in told.items()
        }
        changed = [item_id for item_id in winners if self._digest_of(item_id) != digests.get(item_id, _GONE)]
        of_texts = self._embed({told[item_id]: texts[item_id] for item_id in changed if item_id in told})
        vectors = {item_id: of_texts[told[item_id]] for item_id in changed if item_id in told}
        vectors |= {item_id: shown[item_id].mixed(vector) for item_id, vector in vectors.items() if item_id in shown}
        for item_id, item in winners.items():
            self._note(item_id, _Known(digests.get(item_id, _GONE), item.ts if item else 0))
        return [(i, self._message(winners[i], digests.get(i, _GONE), vectors.get(i, b""))) for i in changed]

    def remember(self, item_id: str, message: ItemVector | None) -> None:
        """Take note of a vector message that was sent before, so that a restarted embedder does not embed the catalogue again.

        A message of another model is not noted: its item has to be embedded by this one. Nor is one older than what is known: an
        embedder reads its own messages back when it is further on.
        """
        known = self._items.get(item_id)
        if message is None:
            self._note(item_id, _Known(_GONE, 0))
        elif message.model_digest == self._encoder.digest and (known is None or message.ts >= known.ts):
            self._note(item_id, _Known(message.content_digest, message.ts))

    def forget(self, item_ids: Sequence[str]) -> None:
        """Drop what is known of items whose messages could not be sent: their next catalogue message is embedded again."""
        for item_id in item_ids:
            self._lose(self._items.drop(item_id))

    def is_news(self, item_id: str, item: CatalogItem) -> bool | None:
        """Tell whether the item's text is another than the one embedded; None: nothing of it is embedded. From any thread."""
        known = self._items.peek(item_id)
        if known is None or known.digest == _GONE:
            return None
        if self._pictures is not None and (item.image or item.image_url):
            return item.ts > known.ts  # pictures are looked at by the embedder's own thread alone: ``update`` will tell
        return item.ts >= known.ts and content_digest(item_text(item), self._encoder.digest) != known.digest

    def standing(self, item_id: str) -> tuple[bool, int] | None:
        """Return whether the item is there, and the ts of what is known of it; None where nothing is. From any thread."""
        known = self._items.peek(item_id)
        return None if known is None else (known.digest != _GONE, known.ts)

    def embedded(self) -> list[str]:
        """Return the items that are known to have a vector."""
        return [item_id for item_id, known in self._items.pairs() if known.digest != _GONE]

    def _note(self, item_id: str, known: _Known) -> None:
        before, forgotten = self._items.put(item_id, known)
        self.count += known.digest != _GONE
        self._lose(before)
        self._lose(forgotten)

    def _lose(self, known: _Known | None) -> None:
        if known is not None and known.digest != _GONE:
            self.count -= 1

    def stands(self, item_id: str, item: CatalogItem) -> bool:
        """Tell whether the message may be applied again: its item was not removed since, and has no newer message."""
        known = self._items.get(item_id)
        return known is None or (known.digest != _GONE and item.ts >= known.ts)

    def _shown(self, items: dict[str, CatalogItem | None]) -> dict[str, Shown]:
        if self._pictures is None:
            return {}
        found = {item_id: self._pictures.of(item, self._encoder.digest) for item_id, item in items.items() if item is not None}
        return {item_id: picture for item_id, picture in found.items() if picture is not None}

    def _winners(self, items: Sequence[tuple[str, CatalogItem | None]]) -> dict[str, CatalogItem | None]:
        winners: dict[str, CatalogItem | None] = {}
        for item_id, item in items:
            newest: CatalogItem | _Known | None = winners[item_id] if item_id in winners else self._items.get(item_id)
            if item is None or newest is None or item.ts >= newest.ts:
                winners[item_id] = item
        return winners

    def _digest_of(self, item_id: str) -> str | None:
        known = self._items.get(item_id)
        return known.digest if known else None

    def _embed(self, texts: dict[str, str]) -> dict[str, bytes]:
        known = {digest: vector for digest in texts if (vector := self._vectors.get(digest)) is not None}
        missing = [digest for digest in texts if digest not in known]
        if missing:
            rows = self._encoder.encode([texts[digest] for digest in missing])
            for digest, vector in zip(missing, pack_vectors(rows), strict=True):
                known[digest] = vector
                self._vectors.put(digest, vector)
        return known

    def _message(self, item: CatalogItem | None, digest: str, vector: bytes) -> ItemVector | None:
        if item is None:
            return None
        return ItemVector(
            content_digest=digest, model_digest=self._encoder.digest, dim=self._encoder.dim, vector=vector, ts=item.ts
        )


class _Recent(Generic[_K, _V]):
    """The most recently used pairs, at most ``capacity`` of them."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            msg = f"a memory of {capacity} entries remembers nothing; give at least 1"
            raise ConfigError(msg)
        self._capacity = capacity
        self._pairs: OrderedDict[_K, _V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs)

    def get(self, key: _K) -> _V | None:
        value = self._pairs.get(key)
        if value is not None:
            self._pairs.move_to_end(key)
        return value

    def peek(self, key: _K) -> _V | None:
        """Return the value and leave the order as it is: any thread may ask."""
        return self._pairs.get(key)

    def pairs(self) -> list[tuple[_K, _V]]:
        return list(self._pairs.items())

    def put(self, key: _K, value: _V) -> tuple[_V | None, _V | None]:
        """Return what it takes the place of, and what is forgotten for it."""
        before = self._pairs.get(key)
        self._pairs[key] = value
        self._pairs.move_to_end(key)
        # One comes in at a time, so one goes out at most.
        forgotten = self._pairs.popitem(last=False)[1] if len(self._pairs) > self._capacity else None
        return before, forgotten

    def drop(self, key: _K) -> _V | None:
        return self._pairs.pop(key, None)
