"""Several observers in the place of one."""

from __future__ import annotations

from streamrec.observe import Observer


class Both:
    """Tells every outcome to each of its observers, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def count(self, name: str, kind: str, n: int = 1) -> None:
        """Tell the count to each."""
        for observer in self._observers:
            observer.count(name, kind, n)

    def fresh(self, kind: str, age_ms: float) -> None:
        """Tell the age to each."""
        for observer in self._observers:
            observer.fresh(kind, age_ms)

    def took(self, name: str, seconds: float) -> None:
        """Tell the time to each."""
        for observer in self._observers:
            observer.took(name, seconds)

    def size(self, name: str, n: int) -> None:
        """Tell the size to each."""
        for observer in self._observers:
            observer.size(name, n)
