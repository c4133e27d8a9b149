"""The list of each history, ranked once by the real ranker, in a file that visitors' writers and the load read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.freshness.goods import Goods, GoodsSpec
from streamrec.catalogue.store import Fact
from streamrec.config import ProfileSettings, Settings
from streamrec.events import Click
from streamrec.events.topics import CATALOG
from streamrec.lists.packing import RankedList, pack, unpack
from streamrec.profiles import Profile, apply
from streamrec.recommender import Knowledge
from streamrec.snapshot import SnapshotFolder
from streamrec.snapshot.files import restore

#: Items taken, and histories ranked, between two words of progress.
_ITEMS: Final = 5_000
_RANKED: Final = 256
_CLICK_EVERY_MS: Final = 60_000
_FILES: Final = ("profiles.bin", "lists.bin")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class HistoryFiles:
    """Histories and their lists in a folder, so that several processes share them."""

    folder: Path

    def write_clicks(self, clicks: NDArray[np.int32]) -> None:
        """Keep the histories, (h, n) int32 numbers of items."""
        np.save(self.folder / "clicks.npy", clicks)

    @property
    def clicks(self) -> NDArray[np.int32]:
        """The histories, (h, n) int32 numbers of items, oldest first."""
        found: NDArray[np.int32] = np.load(self.folder / "clicks.npy")
        return found

    @property
    def count(self) -> int:
        """How many histories there are."""
        return len(np.load(self.folder / "clicks.npy", mmap_mode="r"))

    def write_ranked(self, ranked: Iterator[tuple[bytes, bytes]], members: NDArray[np.int32]) -> None:
        """Keep each history's packed profile and list, and which items stand in the list."""
        ends = np.zeros((len(members), 2), np.int64)
        with (self.folder / _FILES[0]).open("wb") as profiles, (self.folder / _FILES[1]).open("wb") as lists:
            for number, (profile, ranking) in enumerate(ranked):
                profiles.write(profile)
                lists.write(ranking)
                ends[number] = profiles.tell(), lists.tell()
        np.save(self.folder / "ends.npy", ends)
        np.save(self.folder / "members.npy", members)

    @property
    def members(self) -> NDArray[np.int32]:
        """The items of each history's list, (h, k) int32 numbers of items, best first, -1 where it is shorter."""
        found: NDArray[np.int32] = np.load(self.folder / "members.npy")
        return found

    def profiles(self, histories: range) -> Iterator[Profile]:
        """Yield the profiles of some histories."""
        return map(Profile.unpack, self._records(0, histories))

    def lists(self, histories: range) -> Iterator[RankedList]:
        """Yield the lists of some histories; their ``made_at`` is 0."""
        return map(unpack, self._records(1, histories))

    def _records(self, which: int, histories: range) -> Iterator[bytes]:
        ends = np.load(self.folder / "ends.npy")[:, which]
        with (self.folder / _FILES[which]).open("rb") as records:
            for history in histories:
                start = int(ends[history - 1]) if history else 0
                records.seek(start)
                yield records.read(int(ends[history]) - start)


def profile_of(clicked: list[str], history: int, base_ms: int, settings: ProfileSettings) -> Profile:
    """Return the profile of a visitor who clicked these items, the last one at ``base_ms``."""
    profile = Profile()
    for place, item_id in enumerate(clicked):
        ts = base_ms - (len(clicked) - 1 - place) * _CLICK_EVERY_MS
        apply(profile, Click(item_id=item_id, ts=ts, event_id=f"h{history}-{place}"), settings)
    return profile


def rank_histories(
    shelf: GoodsSpec, settings: Settings, files: HistoryFiles, snapshots: Path | None, progress: Progress
) -> dict[str, float]:
    """Rank every history of ``files`` and write the lists there; return seconds by step.

    The knowledge is that of a recommender which has read the whole catalogue, and is gone when this returns; ``snapshots`` is the
    folder where it may have left it. Raises SnapshotError where that is torn.
    """
    began = time.monotonic()
    goods = shelf.open()
    knowledge = build_knowledge(goods, settings, snapshots, progress)
    built = time.monotonic()
    members = np.full((files.count, knowledge.ranked_size), -1, np.int32)
    files.write_ranked(_ranked(goods, knowledge, settings, files.clicks, members, shelf.base_ms, progress), members)
    return {"knowledge_s": built - began, "ranking_s": time.monotonic() - built}


def _ranked(  # noqa: PLR0917 - rank_histories names them
    goods: Goods,
    knowledge: Knowledge,
    settings: Settings,
    clicks: NDArray[np.int32],
    members: NDArray[np.int32],
    now_ms: int,
    progress: Progress,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield each history's profile and list, and note the list's items in ``members``."""
    hidden = knowledge.hidden(now_ms)
    numbers = {goods.item_id(i): i for i in range(len(goods))}
    for start in range(0, len(clicks), _RANKED):
        profiles = [
            profile_of([goods.item_id(i) for i in row], history, now_ms, settings.profiles)
            for history, row in enumerate(clicks[start : start + _RANKED].tolist(), start)
        ]
        # Many visitors share a history, so it is ranked for nobody in particular.
        for place, ranking in enumerate(knowledge.ranker.rank(profiles, now_ms, k=knowledge.ranked_size)):
            told = knowledge.publish(ranking, 0, hidden)
            members[start + place, : len(told.items)] = [numbers[item_id] for item_id in told.ids()]
            yield profiles[place].pack(), pack(told)
        progress("histories ranked", min(start + _RANKED, len(clicks)), len(clicks))


def build_knowledge(goods: Goods, settings: Settings, snapshots: Path | None, progress: Progress) -> Knowledge:
    """Return what a recommender knows that has read the catalogue and its vectors: out of its snapshot where there is one."""
    knowledge = Knowledge.build(settings, goods.vectors.shape[1], goods.model_digest)
    for folder in SnapshotFolder(snapshots).all() if snapshots else ():
        restore(knowledge, folder)
        return knowledge
    for start in range(0, len(goods), _ITEMS):
        items = [(i, goods.message(i)) for i in range(start, min(start + _ITEMS, len(goods)))]
        knowledge.take_facts([Fact(CATALOG, goods.item_id(i), item, i) for i, item in items])
        knowledge.take_vectors([(goods.item_id(i), goods.vector(i, item)) for i, item in items])
        progress("items indexed to rank by", start + len(items), len(goods))
    return knowledge
