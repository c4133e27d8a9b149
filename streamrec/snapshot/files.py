"""A recommender's replicated state as files: columns as .npy, names as MessagePack, the index as it writes itself.

Campaigns are not in it: their topic is small and is read from its beginning at each start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.covisitation import Logs, NeighbourState
from streamrec.catalogue.table import ItemState
from streamrec.errors import SnapshotError
from streamrec.recommender.knowledge import Knowledge, Rows
from streamrec.snapshot.manifest import READ_INSTEAD

#: Raised when the files below mean something else than before: a column more, another hash, another order.
STATE: Final = 4

_COLUMN: Final = "items-"


class _Items(msgspec.Struct):
    ids: list[str]
    titles: list[str]
    categories: list[str]
    brands: list[str]
    sellers: list[str]
    version: int
    shown_version: int
    refused: int


class _Neighbours(msgspec.Struct):
    owners: list[str]
    names: list[str]
    waiting: dict[str, Logs]
    version: int


class _Vectors(msgspec.Struct):
    #: Digest of the model that is served, None where none is known.
    model: str | None
    dim: int
    #: Digest and dimension of the model that is collected beside it, or kept.
    following: tuple[str, int] | None


_NEIGHBOUR_ARRAYS: Final = ("ends", "ages", "places", "together", "bought", "sums", "logs")


def dump(knowledge: Knowledge, due: Rows, folder: Path) -> None:
    """Write everything into an empty folder; by one thread and without a log, because a forked child calls it.

    ``due`` are the items whose lists are to be made: whoever goes on from here makes them.
    """
    items, neighbours = knowledge.items.state(), knowledge.neighbours.state()
    for name, column in items.columns.items():
        np.save(folder / f"{_COLUMN}{name}.npy", column)
    _pack(folder / "items.msgpack", _Items(**{name: getattr(items, name) for name in _Items.__struct_fields__}))
    for name in _NEIGHBOUR_ARRAYS:
        np.save(folder / f"neighbours-{name}.npy", getattr(neighbours, name))
    told = {name: getattr(neighbours, name) for name in _Neighbours.__struct_fields__}
    _pack(folder / "neighbours.msgpack", _Neighbours(**told))
    ts, model = knowledge.replica.dump()
    np.save(folder / "vectors-ts.npy", ts)
    following = knowledge.index.save_next(folder / "next")
    _pack(folder / "vectors.msgpack", _Vectors(model, knowledge.index.dim, following))
    np.save(folder / "due.npy", due)
    index = folder / "index"
    index.mkdir()
    knowledge.index.save(index)


def restore(knowledge: Knowledge, folder: Path) -> Rows:
    """Fill an empty state and return the items whose lists are due.

    Raises SnapshotError (state) where the files do not hold together; the state is then half filled and of no use.
    """
    try:
        return _restore(knowledge, folder)
    except Exception as error:  # whatever it is, the topics hold everything: a worker must not fail to start, again and again
        msg = f"{folder} cannot be taken up ({error}); {READ_INSTEAD}"
        raise SnapshotError("state", msg) from error


def _restore(knowledge: Knowledge, folder: Path) -> Rows:
    items = msgspec.msgpack.decode((folder / "items.msgpack").read_bytes(), type=_Items)
    knowledge.items.restore(ItemState(columns=_arrays(folder, _COLUMN), **msgspec.structs.asdict(items)))
    records = msgspec.msgpack.decode((folder / "neighbours.msgpack").read_bytes(), type=_Neighbours)
    told: dict[str, Any] = msgspec.structs.asdict(records) | _arrays(folder, "neighbours-")
    knowledge.neighbours.restore(NeighbourState(**told))
    vectors = msgspec.msgpack.decode((folder / "vectors.msgpack").read_bytes(), type=_Vectors)
    if vectors.model is not None and vectors.model != knowledge.index.model:
        knowledge.index.replace_empty(vectors.model, vectors.dim)
    knowledge.index.restore(folder / "index")
    if vectors.following is not None:
        knowledge.index.restore_next(folder / "next", *vectors.following)
    knowledge.replica.restore(np.load(folder / "vectors-ts.npy"))
    available = knowledge.items.available
    # What may be found is decided by the item table alone, whatever the index has kept of it.
    knowledge.index.block(np.flatnonzero(~available).astype(np.int32))
    knowledge.index.unblock(np.flatnonzero(available).astype(np.int32))
    due: Rows = np.load(folder / "due.npy")
    return due


def _arrays(folder: Path, prefix: str) -> dict[str, NDArray[Any]]:
    return {path.stem.removeprefix(prefix): np.load(path) for path in sorted(folder.glob(f"{prefix}*.npy"))}


def _pack(path: Path, value: object) -> None:
    path.write_bytes(msgspec.msgpack.encode(value))
