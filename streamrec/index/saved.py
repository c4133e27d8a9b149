"""The rows of an index as files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from streamrec.errors import VectorIndexError
from streamrec.index.rows import Rows

_PARTS: Final = ("matrix", "present", "blocked")


def save_rows(rows: Rows, folder: Path) -> None:
    """Write vectors and marks into an empty folder."""
    for part in _PARTS:
        np.save(folder / f"{part}.npy", getattr(rows, part))


def restore_rows(rows: Rows, folder: Path) -> None:
    """Read what ``save_rows`` wrote into rows of the same dimension and type. Raises VectorIndexError."""
    try:
        found = {part: np.load(folder / f"{part}.npy") for part in _PARTS}
    except (OSError, ValueError) as error:
        msg = f"the saved index in {folder} cannot be read ({error}); build the index from its topic"
        raise VectorIndexError(msg) from error
    matrix = found["matrix"]
    if matrix.shape[1:] != rows.matrix.shape[1:] or matrix.dtype != rows.matrix.dtype or len(matrix) > rows.max_items:
        msg = f"the saved index in {folder} holds {matrix.dtype} {matrix.shape}, which does not fit; build the index from its topic"
        raise VectorIndexError(msg)
    for part in _PARTS:
        setattr(rows, part, found[part])
    rows.count = int(rows.present.sum())
    rows.version += 1
