"""How often a worker's interpreter looks for garbage in cycles."""

from __future__ import annotations

import gc
from typing import Final

#: Records and what is made of them hold no cycles: reference counts free them. Python's default of 700 new containers has the
#: collector walk through every batch several times, a quarter of the transport's processor time (`streamrec bench transport`);
#: from here on up a larger number gains nothing.
CONTAINERS: Final = 20_000


def collect_seldom() -> None:
    """Look for cycles once per 20,000 new containers, and never again among what has been loaded so far."""
    gc.freeze()
    _, older, oldest = gc.get_threshold()
    gc.set_threshold(CONTAINERS, older, oldest)
