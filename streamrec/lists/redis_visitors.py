"""Visitors in Redis: one packed value per profile and per list."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import redis
from numpy.typing import NDArray

from streamrec.lists import functions, keys
from streamrec.lists.blocks import blocks
from streamrec.lists.functions import Command, fcall, run, stream
from streamrec.lists.packing import HEAD_BYTES, read_made_at
from streamrec.lists.redis_errors import translated
from streamrec.lists.visitors import (
    REVISION_BYTES,
    Forgotten,
    ListPatches,
    Replacement,
    VisitorUpdate,
    read_revision,
    unpack_profile,
    value_of,
)
from streamrec.profiles import Profile

#: How many keys one SCAN step looks at: some ms of Redis' time, and a million keys in a few hundred round trips.
_SCAN_COUNT: Final = 2000
#: Visitors looked at in one step of adoption: a few ms of the worker's time.
_ADOPTED: Final = 256
#: Lists patched by one call: it keeps every reader waiting for less than 1 ms.
_PATCHED: Final = 128
#: What functions.lua reads of each list that is patched and of each patch, and its answer for a list that it patched.
_LIST: Final = np.dtype([("made_at", "<f8"), ("length", "<u4"), ("count", "<u4")])
_WRITE: Final = np.dtype([("offset", "<u4"), ("size", "<u4"), ("text", "<u4")])
_DONE: Final = ord("1")


class RedisVisitorStore:
    """Profiles and lists in Redis; one round trip per call, atomic per visitor. All keys of a visitor share a cluster slot.

    With ``cluster=True`` two visitors' lists lie on different servers, so that each is amended by a call of its own.
    """

    def __init__(self, client: redis.Redis, *, ttl_s: int = keys.VISITOR_TTL_S, cluster: bool = False) -> None:
        self._client = client
        self._cluster = cluster
        self._ttl_s = ttl_s

    def load(self, user_ids: Sequence[str]) -> list[Profile]:
        """Return the profiles in the order of the ids."""
        values = run(self._client, [("GET", keys.profile(user_id)) for user_id in user_ids], "loading profiles")
        return [unpack_profile(user_id, value) for user_id, value in zip(user_ids, values, strict=True)]

    def commit(self, updates: Sequence[VisitorUpdate]) -> list[bool]:
        """Write what nobody wrote since it was loaded."""
        revisions = run(self._client, [self._commit_command(update) for update in updates], "writing profiles and lists")
        for update, revision in zip(updates, revisions, strict=True):
            if revision:
                update.profile.revision = revision
        return [bool(revision) for revision in revisions]

    def _commit_command(self, update: VisitorUpdate) -> Command:
        names = [keys.profile(update.user_id), *(keys.rec(update.user_id, placement) for placement in update.lists)]
        body = update.profile.pack()[REVISION_BYTES:]
        return fcall(
            functions.COMMIT,
            names,
            read_revision(update.profile),
            self._ttl_s,
            body,
            *(value_of(ranked) for ranked in update.lists.values()),
        )

    def replace_lists(self, lists: Sequence[Replacement]) -> list[bool]:
        """Replace lists that stand, keeping their time to live."""
        commands = [
            fcall(functions.REPLACE, [keys.rec(one.user_id, one.placement)], one.made_at, value_of(one.ranked)) for one in lists
        ]
        return [bool(answer) for answer in run(self._client, commands, "replacing lists")]

    def patch_lists(self, patches: Iterable[ListPatches]) -> Iterator[NDArray[np.bool_]]:
        """Patch lists that stand; the next are made while Redis patches those that were sent."""
        sent: deque[int] = deque()
        commands = self._patch_commands(patches, sent)
        answers = stream(self._client, commands, "patching lists", cluster=self._cluster)
        done = b""
        for answer in answers:
            done += answer
            while sent and len(done) >= sent[0]:
                n = sent.popleft()
                yield np.frombuffer(done[:n], np.uint8) == _DONE
                done = done[n:]

    def _patch_commands(self, patches: Iterable[ListPatches], sent: deque[int]) -> Iterator[Command]:
        at_once = 1 if self._cluster else _PATCHED
        for many in patches:
            if len(many):
                sent.append(len(many))
            yield from map(_patch_command, many.blocks(at_once))

    def home_values(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the home lists that stand, as they are stored."""
        return run(self._client, [("GET", keys.rec(user_id)) for user_id in user_ids], "reading lists")

    def made_at(self, user_ids: Sequence[str]) -> list[int]:
        """Return when the home lists that stand were made."""
        commands = [("GETRANGE", keys.rec(user_id), 0, HEAD_BYTES - 1) for user_id in user_ids]
        return [read_made_at(head) for head in run(self._client, commands, "looking for lists")]

    def forget(self, user_id: str) -> Forgotten:
        """Delete the profile and every list of a visitor; walks the whole key space, because placements are anyone's names."""
        # The profile goes first: from then on no commit of an older profile can succeed.
        profile = keys.profile(user_id)
        deleted = self._delete([profile]) | self._delete(self._lists_of(user_id))
        remaining = [*self._existing([profile]), *self._lists_of(user_id)]
        return Forgotten(deleted, tuple(sorted(remaining)))

    def _lists_of(self, user_id: str) -> list[str]:
        home = keys.rec(user_id)
        found = self._scan(re.sub(r"([*?\[\]^\\-])", r"\\\1", home) + "*")
        return sorted({name for name in found if name == home or name.startswith(f"{home}:")})

    def _delete(self, names: Sequence[str]) -> dict[str, int]:
        answers = run(self._client, [c for name in names for c in (("STRLEN", name), ("DEL", name))], "forgetting a visitor")
        return {name: size for name, size, gone in zip(names, answers[::2], answers[1::2], strict=True) if gone}

    def _existing(self, names: Sequence[str]) -> list[str]:
        there = run(self._client, [("EXISTS", name) for name in names], "forgetting a visitor")
        return [name for name, exists in zip(names, there, strict=True) if exists]

    def adopt(self, wanted: Callable[[str], bool]) -> Iterator[list[tuple[str, int]]]:
        """Yield the visitors that ``wanted`` accepts and have a home list, and when it was made, some hundred keys at a time."""
        for names in blocks(self._scan("rec:{*}"), _ADOPTED):
            user_ids = [user_id for name in names if wanted(user_id := name[len("rec:{") : -1])]
            yield [(user_id, at) for user_id, at in zip(user_ids, self.made_at(user_ids), strict=True) if at]

    def _scan(self, pattern: str) -> Iterator[str]:
        with translated(f"looking for {pattern}"):
            found: Any = self._client.scan_iter(match=pattern, count=_SCAN_COUNT)
            for name in found:
                yield name.decode()


def _patch_command(patches: ListPatches) -> Command:
    lists = np.empty(len(patches), _LIST)
    lists["made_at"], lists["length"], lists["count"] = patches.made_at, patches.length, patches.counts
    writes = np.empty(len(patches.offsets), _WRITE)
    # Arguments are counted from 1, and two stand before the texts; 0 is for blanks.
    writes["offset"], writes["size"] = patches.offsets, patches.sizes
    writes["text"] = np.where(patches.text_of >= 0, patches.text_of + 3, 0)
    names = [keys.rec(user_id) for user_id in patches.user_ids]
    return fcall(functions.PATCH, names, lists.tobytes(), writes.tobytes(), *patches.texts)
