"""Names as small numbers, so that a category, brand or seller is one int32 column instead of a string per item."""

from __future__ import annotations


class CodeBook:
    """Gives every name one number for ever; the empty name is 0.

    At most ``max_names`` names are kept; a name past the bound is treated as the empty one, so it groups with nothing.
    """

    def __init__(self, max_names: int = 1_000_000) -> None:
        self._max_names = max_names
        self._names: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}

    def __len__(self) -> int:
        return len(self._names)

    def code(self, name: str) -> int:
        """Return the number of ``name``, giving it one if it is new."""
        code = self._codes.get(name)
        if code is None:
            if len(self._names) > self._max_names:
                return 0
            code = self._codes[name] = len(self._names)
            self._names.append(name)
        return code

    def find(self, name: str) -> int:
        """Return the number of ``name``, or -1 when no item ever had it."""
        return self._codes.get(name, -1)

    def name(self, code: int) -> str:
        """Return the name of a number given by ``code``."""
        return self._names[code]

    def names(self) -> list[str]:
        """Return every name but the empty one, in the order of their numbers."""
        return self._names[1:]

    def restore(self, names: list[str]) -> None:
        """Give these names the numbers 1, 2, …, as ``names`` returned them; forgets all others."""
        self._names = ["", *names]
        self._codes = {name: code for code, name in enumerate(self._names)}
