"""What is kept of a visitor: the profile and the lists, written together or not at all. The port, and its memory implementation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import ProfileError
from streamrec.lists import keys
from streamrec.lists.blocks import blocks
from streamrec.lists.layout import LaidOut
from streamrec.lists.packing import HEAD_BYTES, RankedList, pack, read_made_at, unpack_or_none
from streamrec.profiles import Profile

#: The packed profile starts with its revision.
REVISION_BYTES: Final = 8
#: Visitors that ``adopt`` yields at a time.
_BLOCK: Final = 256


@dataclass(frozen=True, slots=True)
class VisitorUpdate:
    """A profile as it was loaded and then changed, with the lists that follow from it, by placement."""

    user_id: str
    profile: Profile
    lists: Mapping[str, RankedList | LaidOut] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replacement:
    """A list that takes the place of the one that was made at ``made_at``."""

    user_id: str
    placement: str
    made_at: int
    ranked: RankedList | LaidOut


@dataclass(frozen=True, slots=True)
class ListPatches:
    """Bytes that take the place of others in (m,) home lists; the other arrays are (e,) over the patches, a list's together.

    Hundreds of thousands are made at a time, so they are arrays.
    """

    user_ids: Sequence[str]
    #: When each list that is meant was made, in ms, and its bytes: another one is left alone.
    made_at: NDArray[np.int64]
    length: NDArray[np.int64]
    #: Patches of each list, (m,).
    counts: NDArray[np.integer[Any]]
    #: Where each patch begins and how many bytes it writes, all within the list.
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    #: Which of ``texts`` it writes, -1: blanks. The texts are in the order of the patches.
    text_of: NDArray[np.int64]
    texts: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.user_ids)

    def blocks(self, n: int) -> Iterator[ListPatches]:
        """Yield the patches of ``n`` lists at a time."""
        ends = np.append(0, np.cumsum(self.counts)).tolist()
        texts = np.append(0, np.cumsum(self.text_of >= 0)).tolist()
        for start in range(0, len(self), n):
            end = min(start + n, len(self))
            first, last = ends[start], ends[end]
            yield ListPatches(
                self.user_ids[start:end],
                self.made_at[start:end],
                self.length[start:end],
                self.counts[start:end],
                self.offsets[first:last],
                self.sizes[first:last],
                np.where(self.text_of[first:last] >= 0, self.text_of[first:last] - texts[first], -1),
                self.texts[texts[first] : texts[last]],
            )


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The proof that a visitor is gone."""

    #: Every key that was deleted, with the bytes its value had.
    deleted: dict[str, int]
    #: Keys of the visitor found afterwards: empty, unless a worker wrote a new event of the visitor in between.
    remaining: tuple[str, ...]


class VisitorStore(Protocol):
    """Profiles and lists of visitors. Every method raises StoreUnavailable when the work may be tried again."""

    def load(self, user_ids: Sequence[str]) -> list[Profile]:
        """Return the profiles in the order of the ids, an empty one for an unknown visitor. Raises ProfileError."""
        ...

    def commit(self, updates: Sequence[VisitorUpdate]) -> list[bool]:
        """Write each visitor's profile and lists together if nobody wrote the profile since it was loaded.

        True: written, and ``profile.revision`` is the new one. False: somebody else wrote; load and apply again.
        """
        ...

    def replace_lists(self, lists: Sequence[Replacement]) -> list[bool]:
        """Replace each list if the one that is meant still stands, keeping its time to live; False: it does not.

        So a repair never brings a forgotten visitor back, and never undoes a newer list of another worker.
        """
        ...

    def patch_lists(self, patches: Iterable[ListPatches]) -> Iterator[NDArray[np.bool_]]:
        """Patch each home list if the one that is meant still stands, keeping its time to live; yield of which it does.

        (m,) bool for each of the patches, which may be made while the last ones are sent. Repeating is safe. A list of the moment
        that is meant and of another length, which nobody should have made, is left alone or deleted.
        """
        ...

    def home_values(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the home lists that stand, as they are stored."""
        ...

    def made_at(self, user_ids: Sequence[str]) -> list[int]:
        """Return for each visitor when the home list that stands was made, in ms; 0 where none stands."""
        ...

    def forget(self, user_id: str) -> Forgotten:
        """Delete the profile and every list of a visitor and look whether anything is left."""
        ...

    def adopt(self, wanted: Callable[[str], bool]) -> Iterator[list[tuple[str, int]]]:
        """Yield the visitors that ``wanted`` accepts and have a home list, and when it was made, in ms; block by block.

        For a worker that took over their partition, which may do other work between two blocks: each costs some ms at most, and may
        be empty. A list that is written meanwhile may be yielded in its old or its new form, or twice.
        """
        ...


class MemoryVisitorStore:
    """Holds the ``max_visitors`` visitors that were written last; for tests and experiments."""

    def __init__(self, max_visitors: int) -> None:
        self._max_visitors = max_visitors
        self._profiles: OrderedDict[str, bytes] = OrderedDict()
        self._lists: dict[str, dict[str, bytes]] = {}
        #: Never repeats, so a visitor that was forgotten and came back never meets a revision that was read before.
        self._revision = 0

    def load(self, user_ids: Sequence[str]) -> list[Profile]:
        """Return the profiles in the order of the ids."""
        return [unpack_profile(user_id, self._profiles.get(user_id)) for user_id in user_ids]

    def commit(self, updates: Sequence[VisitorUpdate]) -> list[bool]:
        """Write what nobody wrote since it was loaded."""
        return [self._commit(update) for update in updates]

    def _commit(self, update: VisitorUpdate) -> bool:
        if self._profiles.get(update.user_id, b"")[:REVISION_BYTES] != read_revision(update.profile):
            return False
        self._revision += 1
        update.profile.revision = self._revision
        self._profiles[update.user_id] = update.profile.pack()
        self._profiles.move_to_end(update.user_id)
        lists = self._lists.setdefault(update.user_id, {})
        lists.update({placement: value_of(ranked) for placement, ranked in update.lists.items()})
        if len(self._profiles) > self._max_visitors:
            oldest, _ = self._profiles.popitem(last=False)
            self._lists.pop(oldest, None)
        return True

    def replace_lists(self, lists: Sequence[Replacement]) -> list[bool]:
        """Replace lists that stand."""
        return [self._replace(one) for one in lists]

    def _replace(self, one: Replacement) -> bool:
        mine = self._lists.get(one.user_id, {})
        stands = unpack_or_none(mine.get(one.placement))
        if stands is None or stands.made_at != one.made_at:
            return False
        mine[one.placement] = value_of(one.ranked)
        return True

    def patch_lists(self, patches: Iterable[ListPatches]) -> Iterator[NDArray[np.bool_]]:
        """Patch lists that stand."""
        for many in patches:
            yield np.array([self._patch(one) for one in many.blocks(1)], np.bool_)

    def _patch(self, one: ListPatches) -> bool:
        mine = self._lists.get(one.user_ids[0], {})
        value = mine.get(keys.HOME, b"")
        if read_made_at(value[:HEAD_BYTES]) != one.made_at[0] or len(value) != one.length[0]:
            return False
        text = bytearray(value)
        for offset, size, text_of in zip(one.offsets.tolist(), one.sizes.tolist(), one.text_of.tolist(), strict=True):
            text[offset : offset + size] = one.texts[text_of] if text_of >= 0 else b" " * size
        mine[keys.HOME] = bytes(text)
        return True

    def home_values(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the home lists that stand, as they are stored."""
        return [self._lists.get(user_id, {}).get(keys.HOME) for user_id in user_ids]

    def made_at(self, user_ids: Sequence[str]) -> list[int]:
        """Return when the home lists that stand were made."""
        return [read_made_at(self._lists.get(user_id, {}).get(keys.HOME, b"")) for user_id in user_ids]

    def forget(self, user_id: str) -> Forgotten:
        """Delete the profile and every list of a visitor."""
        profile, lists = self._profiles.pop(user_id, None), self._lists.pop(user_id, {})
        deleted = {keys.profile(user_id): len(profile)} if profile is not None else {}
        return Forgotten(deleted | {keys.rec(user_id, placement): len(value) for placement, value in lists.items()}, ())

    def adopt(self, wanted: Callable[[str], bool]) -> Iterator[list[tuple[str, int]]]:
        """Yield the visitors that ``wanted`` accepts and have a home list, and when it was made."""
        users = [user_id for user_id in self._lists if wanted(user_id)]
        for block in blocks(users, _BLOCK):
            yield [(user_id, made_at) for user_id, made_at in zip(block, self.made_at(block), strict=True) if made_at]

    def lists(self, user_id: str) -> dict[str, RankedList]:
        """Return the visitor's lists by placement."""
        found = {placement: unpack_or_none(value) for placement, value in self._lists.get(user_id, {}).items()}
        return {placement: ranked for placement, ranked in found.items() if ranked is not None}


def value_of(ranked: RankedList | LaidOut) -> bytes:
    """Return a list as it is stored."""
    return pack(ranked) if isinstance(ranked, RankedList) else ranked.value


def read_revision(profile: Profile) -> bytes:
    """Return the revision that must still stand for the profile to be written; empty: that there is none."""
    return profile.revision.to_bytes(REVISION_BYTES, "big") if profile.revision else b""


def unpack_profile(user_id: str, value: bytes | None) -> Profile:
    """Return the visitor's profile, empty if there is none. Raises ProfileError that names the visitor."""
    if value is None:
        return Profile()
    try:
        return Profile.unpack(value)
    except ProfileError as error:
        msg = f"visitor {user_id}: {error}"
        raise ProfileError(msg) from error
