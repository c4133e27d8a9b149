"""An index as files in a folder: numpy arrays, hnswlib's own file, and last a small JSON that says what must be there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import VectorIndexError

#: Grows with every change of what the files mean.
_FORMAT: Final = 1
_ABOUT: Final = "index.json"
_REBUILD: Final = "delete the folder and let the index fill from its topic"

Arrays = dict[str, NDArray[Any]]


def write(folder: Path, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays and, last, ``about`` with the size of every file of the folder."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    (folder / _ABOUT).write_text(json.dumps({"format": _FORMAT, **about, "files": sizes}), encoding="utf-8")


def read(folder: Path, kind: str, dim: int) -> tuple[dict[str, Any], Arrays]:
    """Return what was written of an index of this kind and dimension.

    Raises VectorIndexError where a file is missing, torn, or of another format, kind or dimension.
    """
    about = _about(folder)
    for key, expected in (("format", _FORMAT), ("kind", kind), ("dim", dim)):
        if about.get(key) != expected:
            msg = f"{folder} holds an index of {key} {about.get(key)}, this one has {expected}; {_REBUILD}"
            raise VectorIndexError(msg)
    for name, size in about["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            have = path.stat().st_size if path.is_file() else "no"
            msg = f"{path} has {have} bytes instead of {size}; {_REBUILD}"
            raise VectorIndexError(msg)
    return about, {name.removesuffix(".npy"): _array(folder / name) for name in about["files"] if name.endswith(".npy")}


def kind_of(folder: Path) -> str:
    """Return which kind of index was written.

    Raises VectorIndexError where the folder holds none.
    """
    return str(_about(folder).get("kind"))


def expect_empty(vectors: int) -> None:
    """Refuse to restore over what is there.

    Raises VectorIndexError if there are ``vectors``.
    """
    if vectors:
        msg = f"the index has {vectors} vectors already; restore into one that was just built"
        raise VectorIndexError(msg)


def torn(folder: Path, why: object) -> VectorIndexError:
    """Return the error for files that do not belong together."""
    return VectorIndexError(f"the index in {folder} is damaged ({why}); {_REBUILD}")


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        about["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise torn(folder, error) from error
    return about


def _array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise torn(path.parent, error) from error
    return array
