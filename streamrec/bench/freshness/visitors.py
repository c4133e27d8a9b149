"""Every visitor's profile and list, written in bulk as a recommender writes them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final

import msgspec

from streamrec.bench.freshness.histories import visitors_of
from streamrec.bench.freshness.lists import HistoryFiles, Progress
from streamrec.config import RedisSettings
from streamrec.lists.connection import connect
from streamrec.lists.functions import ensure_functions
from streamrec.lists.keys import HOME
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import VisitorUpdate
from streamrec.profiles import Profile
from streamrec.profiles.profile import Interaction

_BATCH: Final = 500
_SAY_EVERY: Final = 10_000
#: How long ago a visitor did something last, at most.
_LATEST_MS: Final = 86_400_000


def user_id(number: int) -> str:
    """Return a visitor's id.

    >>> user_id(7)
    'user-0000007'
    """
    return f"user-{number:07d}"


def write_visitors(  # noqa: PLR0917 - the arguments of a child come in order
    files: HistoryFiles, settings: RedisSettings, users: int, seed: int, part: tuple[int, int], progress: Progress
) -> int:
    """Write profile and list of the visitors of one ``part`` (number, of how many) of the histories; return how many were written.

    Raises StoreUnavailable.
    """
    number, parts = part
    count = files.count
    histories = range(count * number // parts, count * (number + 1) // parts)
    total = sum(len(visitors_of(history, count, users)) for history in histories)
    updates = _updates(files, histories, count, users, Random(seed + number))
    written = done = 0
    with connect(settings) as client:
        ensure_functions(client)
        store = RedisVisitorStore(client)
        while batch := list(islice(updates, _BATCH)):
            written += sum(store.commit(batch))
            done += len(batch)
            if done % _SAY_EVERY < _BATCH or done == total:
                progress("visitors written", done, total)
    return written


def _updates(files: HistoryFiles, histories: range, count: int, users: int, rng: Random) -> Iterator[VisitorUpdate]:
    packed = zip(histories, files.profiles(histories), files.lists(histories), strict=True)
    for history, profile, ranked in packed:
        for number in visitors_of(history, count, users):
            # Nothing in a list depends on when its visitor was here, only on what came how long before what.
            mine = Profile(recent=_earlier(profile.recent, rng.randrange(_LATEST_MS)))
            told = msgspec.structs.replace(ranked, made_at=int(time.time() * 1000))
            yield VisitorUpdate(user_id(number), mine, {HOME: told})


def _earlier(recent: list[Interaction], ms: int) -> list[Interaction]:
    return [Interaction(one.ts - ms, one.code, one.item_id, one.event) for one in recent]
