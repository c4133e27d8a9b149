"""What of this process works, but not as it should: parts enter themselves, and whoever reports need not know who holds them.

It imports nothing: a worker without an encoder must not load one to say that it has none.
"""

from __future__ import annotations

import weakref
from typing import Final, Protocol


class Troubled(Protocol):
    """A part that can go on in a worse way than it should."""

    @property
    def trouble(self) -> str:
        """What is wrong, in words; empty if it is well."""
        ...


_PARTS: Final[weakref.WeakSet[Troubled]] = weakref.WeakSet()


def enter(part: Troubled) -> None:
    """Ask ``part`` from now on, for as long as it lives."""
    _PARTS.add(part)


def troubles() -> list[str]:
    """Return what is wrong, each once; empty while all are well."""
    return sorted({part.trouble for part in list(_PARTS) if part.trouble})
