"""What everybody likes: all the time, or of late."""

from __future__ import annotations

from math import inf

from streamrec.evaluate.methods.baseline import Baseline


class Popular(Baseline):
    """The items that were met most since the stream began."""

    def __init__(self) -> None:
        super().__init__(fallback_half_life_s=inf)


class RecentPopular(Baseline):
    """The items that were met most of late: each interaction counts half after ``half_life_s``."""

    def __init__(self, half_life_s: float = 86_400.0) -> None:
        super().__init__(fallback_half_life_s=half_life_s)
