"""One visitor's list, watched: what came, what went, and why each item is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import redis

from streamrec.demo.visitors import Visitors
from streamrec.lists import keys
from streamrec.lists.packing import unpack_or_none

_SHOWN: Final = 8
#: After so many looks another visitor is watched.
_LOOKS: Final = 60


class Shelf:
    """Looks at the list of a visitor who was active lately; titles come from the catalogue that was loaded."""

    def __init__(self, client: redis.Redis, visitors: Visitors, titles: Mapping[str, str]) -> None:
        self._client, self._visitors, self._titles = client, visitors, titles
        self.visitor = ""
        self._before: list[str] = []
        self._looks = 0

    def look(self) -> list[tuple[str, str, str]]:
        """Return (title, why, mark) of the first places; items that have just left them come last, marked ``gone``."""
        self._choose()
        ranked = unpack_or_none(cast("bytes | None", self._client.get(keys.rec(self.visitor)))) if self.visitor else None
        items = ranked.items[:_SHOWN] if ranked else ()
        now = [item.id for item in items]
        rows = [(self._title(item.id), self._why(item.why), "" if item.id in self._before else "new") for item in items]
        rows += [(self._title(item), "", "gone") for item in self._before if item not in now]
        self._before = now
        return rows

    def _choose(self) -> None:
        self._looks += 1
        newest = self._visitors.newest()
        if newest and (not self.visitor or self._looks % _LOOKS == 0):
            self.visitor, self._before = newest, []

    def _title(self, item_id: str) -> str:
        return self._titles.get(item_id, item_id)[:48]

    def _why(self, why: str) -> str:
        kind, colon, what = why.partition(":")
        return f"{kind}: {self._titles.get(what, what)[:40]}" if colon else why
