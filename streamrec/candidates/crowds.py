"""Holds off crowds: of many visitors of whom the very same is known, a few tell the aggregator of it, and the others nothing.

Who counts once per item is no bound to what a thousand such visitors do, and accounts cost nothing. What costs something is to be
different: visitors who came by themselves soon met items that nobody else met with them. So visitors are counted by the set of
items that is known of them, and of each set ``max_alike`` visitors in a window of event time count: so much the crowd moves an
item's trend and co-visitation, however large it is. A visitor who goes on to other items counts from there on. It needs no list
of bad visitors, no clock and no record of what normal traffic is; crowds that vary what they do are not seen by it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

#: Stands between ids, which hold no control characters.
_BETWEEN: Final = "\x00"


class Crowds:
    """Remembers who came with which set of items: the ``max_sets`` sets met last, some 300 bytes each.

    With ``max_alike`` 0 all pass. Asking again for a visitor, set and window gives the same answer, so a batch may be repeated.
    What is remembered is one worker's, of its own visitors and since its start: of a crowd over several workers ``max_alike`` of
    each pass.
    """

    def __init__(self, max_alike: int, window_s: float, *, max_sets: int = 100_000) -> None:
        self._max_alike = max_alike
        self._window_ms = max(int(window_s * 1000), 1)
        self._max_sets = max_sets
        self._passed: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._passed)

    def passes(self, visitor: int, item_ids: Iterable[str], ts: int) -> bool:
        """Tell whether what a visitor, of whom these items are known, did at ``ts`` counts for others."""
        if not self._max_alike:
            return True
        said = _BETWEEN.join([str(ts // self._window_ms), *sorted(set(item_ids))])
        name = blake2b(said.encode(), digest_size=16).digest()
        passed = self._passed.get(name, ())
        if visitor not in passed:
            if len(passed) >= self._max_alike:
                return False
            self._passed[name] = (*passed, visitor)
            if len(self._passed) > self._max_sets:
                self._passed.popitem(last=False)
        return True
