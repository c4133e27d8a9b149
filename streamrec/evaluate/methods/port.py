"""What every method offers to the harness."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from streamrec.evaluate.streams import Step


class Method(Protocol):
    """A recommender that hears a stream step by step; what it was not told it does not know."""

    @property
    def fitted_ms(self) -> int | None:
        """Event time up to which the model knows what visitors did, in ms; None where every step changes it at once."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the method's state takes."""
        ...

    def learn(self, step: Step) -> None:
        """Take a step into the visitor's history and into the model."""
        ...

    def remember(self, step: Step) -> None:
        """Take a step into the visitor's history alone: the model stays as it is."""
        ...

    def settle(self) -> None:
        """Finish what ``learn`` left for later; called before lists are asked for, so that it is no part of their time."""
        ...

    def recommend(self, visitor: str, now_ms: int, k: int, exclude: Set[str] = frozenset()) -> list[str]:
        """Return at most ``k`` distinct item ids, best first, none of ``exclude``; nothing is learnt by it."""
        ...
