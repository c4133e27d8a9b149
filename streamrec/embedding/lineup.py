"""The models in play: each changed item is embedded by all of them, so that any of them may answer at any moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from streamrec.embedding.embedder import Embedder, Pictures
from streamrec.embedding.encoder import Encoder
from streamrec.events import CatalogItem, ItemVector, ModelPlan, slot_key, split_slot

#: Leftovers that are remembered; more of them are found at the next start.
_MAX_STRAYS: Final = 4_000_000


class Lineup:
    """Turns catalogue messages into messages of item-vectors: (key, vector or None).

    Without a plan there is one model, ``encoder``, in the plain slot. A plan brings the wanted one and, until its ``keep_until`` is
    over and the wanted one covers the catalogue, the previous one. Vectors of models that left are strays: they are to be taken
    back. All methods belong to one thread, but ``is_news``.
    """

    def __init__(
        self, encoder: Encoder, *, pictures: Pictures | None = None, max_items: int = 2_000_000, max_missing: float = 0.001
    ) -> None:
        self._pictures = pictures
        self._max_items = max_items
        self._max_missing = max_missing
        self._plan: ModelPlan | None = None
        #: Per digest, the wanted model first.
        self._embedders: dict[str, Embedder] = {encoder.digest: self._embedder(encoder)}
        self._strays: dict[str, None] = {}
        #: Per model, items that it was given by ``fill`` and that no other model knew.
        self._filled: dict[str, set[str]] = {}
        #: Strays of items that were others' when they were looked at.
        self._others: dict[str, None] = {}

    @property
    def plan(self) -> ModelPlan | None:
        """The plan that is followed."""
        return self._plan

    @property
    def wanted(self) -> str:
        """The digest of the model that the shop is to be served by."""
        return next(iter(self._embedders))

    @property
    def in_play(self) -> tuple[str, ...]:
        """The digests of all models that embed what changes, the wanted one first."""
        return tuple(self._embedders)

    @property
    def counts(self) -> dict[str, int]:
        """Per model in play, how many items have a vector of it, as far as is known."""
        return {digest: embedder.count for digest, embedder in self._embedders.items()}

    @property
    def strays(self) -> int:
        """How many vectors are left of models that are not in play."""
        return len(self._strays) + len(self._others)

    def follow(self, plan: ModelPlan, encoders: Mapping[str, Encoder]) -> bool:
        """Bring the plan's models into play and send the others away; False where a newer plan is followed already."""
        if self._plan is not None and plan.version <= self._plan.version:
            return False
        before, self._plan = self._embedders, plan
        self._filled = {}
        self._embedders = {one.digest: before.get(one.digest) or self._embedder(encoders[one.digest]) for one in plan.choices}
        for digest in before.keys() - self._embedders.keys():
            self._send_away(digest, before[digest])
        # Who comes back finds what is left of it, which is no stray any more; what is not known is embedded again.
        slots = {plan.slot(digest) for digest in self._embedders}
        self.look_again()
        self._strays = {key: None for key in self._strays if split_slot(key)[1] not in slots}
        return True

    def update(self, items: Sequence[tuple[str, CatalogItem | None]]) -> list[tuple[str, ItemVector | None]]:
        """Return the messages that the batch makes necessary, of each model in play; see ``Embedder.update``."""
        return [
            (slot_key(item_id, self._slot(digest)), vector)
            for digest, embedder in self._embedders.items()
            for item_id, vector in embedder.update(items)
        ]

    def fill(self, items: Sequence[tuple[str, CatalogItem | None]]) -> list[tuple[str, ItemVector | None]]:
        """Return the messages of the items that a model in play lacks; ``items`` are what a catalogue holds from its beginning on.

        Such a reading meets versions and removals that were long overtaken. What a model knows is therefore left as it is, and what
        it lacks is embedded if the other model, which knew every change, has it in this version. Where no other knows the item it
        is embedded, and a removal that is met later counts.
        """
        return [
            (slot_key(item_id, self._slot(digest)), vector)
            for digest, embedder in self._embedders.items()
            for item_id, vector in embedder.update([one for one in items if self._lacks(digest, *one)])
        ]

    def _lacks(self, digest: str, item_id: str, item: CatalogItem | None) -> bool:
        filled = self._filled.setdefault(digest, set())
        if item is None:
            if item_id not in filled:
                return False
            filled.discard(item_id)
            return True
        if self._embedders[digest].standing(item_id) is not None:
            # Its own filling of a moment ago may be an older version than this one.
            return item_id in filled
        others = [one.standing(item_id) for name, one in self._embedders.items() if name != digest]
        known = next((standing for standing in others if standing is not None), None)
        if known is None:
            filled.add(item_id)
            return True
        there, ts = known
        return there and item.ts >= ts

    def remember(self, key: str, message: ItemVector | None) -> None:
        """Take note of a message that was sent before, by whomever."""
        item_id, slot = split_slot(key)
        if message is None:
            self._strays.pop(key, None)
            self._others.pop(key, None)
            for digest, embedder in self._embedders.items():
                if self._slot(digest) == slot:
                    embedder.remember(item_id, None)
            return
        owner = self._embedders.get(message.model_digest)
        if owner is not None and self._slot(message.model_digest) == slot:
            owner.remember(item_id, message)
        elif self._plan is not None and slot not in map(self._slot, self._embedders) and self.strays < _MAX_STRAYS:
            self._strays[key] = None

    def settle(self, now_ms: int) -> bool:
        """Send the previous model away when its time is over and the wanted one can do without it; True: it went."""
        plan = self._plan
        if plan is None or plan.previous is None or now_ms < plan.keep_until:
            return False
        previous = self._embedders.get(plan.previous.digest)
        if previous is None or self._embedders[plan.wanted.digest].count < (1 - self._max_missing) * previous.count:
            return False
        # Another dict, because another thread may be looking at this one.
        self._embedders = {digest: one for digest, one in self._embedders.items() if one is not previous}
        self._send_away(plan.previous.digest, previous)
        return True

    def take_back(self, mine: Callable[[str], bool], n: int) -> list[tuple[str, None]]:
        """Return tombstones of at most ``n`` strays of items that are ``mine``; the others wait for their owner, or for us again.

        Sending them twice does no harm.
        """
        found: list[tuple[str, None]] = []
        for key in list(islice(self._strays, n)):
            del self._strays[key]
            if mine(split_slot(key)[0]):
                found.append((key, None))
            else:
                self._others[key] = None
        return found

    def look_again(self) -> None:
        """Ask of all strays again whose they are: partitions change hands."""
        self._strays |= self._others
        self._others = {}

    def stands(self, item_id: str, item: CatalogItem) -> bool:
        """Tell whether the message may be applied again by all models in play; see ``Embedder.stands``."""
        return all(embedder.stands(item_id, item) for embedder in self._embedders.values())

    def is_news(self, item_id: str, item: CatalogItem | None) -> bool | None:
        """Tell whether a known item has another text than the one embedded; None: it is not known. From any thread."""
        if item is None:
            return False
        said = [embedder.is_news(item_id, item) for embedder in self._embedders.values()]
        return None if all(one is None for one in said) else any(said)

    def _embedder(self, encoder: Encoder) -> Embedder:
        return Embedder(encoder, pictures=self._pictures, max_items=self._max_items)

    def _slot(self, digest: str) -> str:
        return "" if self._plan is None else self._plan.slot(digest)

    def _send_away(self, digest: str, embedder: Embedder) -> None:
        slot = self._slot(digest)
        self._strays |= {slot_key(item_id, slot): None for item_id in embedder.embedded()}
