"""Bytes of memory behind an object."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

#: Shared by everything; what stands behind them is no state of a method.
_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def footprint(root: object, *, without: tuple[object, ...] = ()) -> int:
    """Return the bytes of ``root`` and of all that it refers to, each object once, less what only ``without`` is.

    What the garbage collector can follow, and the arrays found there, is counted; memory that C++ libraries allocate (an HNSW
    graph) is not seen by it and must be added by whoever knows it.
    """
    seen: set[int] = {id(one) for one in without}
    total, waiting = 0, [root]
    while waiting:
        found: list[Any] = []
        for one in waiting:
            if id(one) not in seen and not isinstance(one, _SHARED):
                seen.add(id(one))
                total += sys.getsizeof(one)
                found += gc.get_referents(one)
        waiting = found
    return total
