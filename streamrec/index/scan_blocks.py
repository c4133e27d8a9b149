"""Where the rows lie that graphs scan: in this process's memory, shared with numpy, or in that of a GPU."""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from streamrec.index.port import Labels
from streamrec.index.rows import rounded
from streamrec.index.scan_graph import Storage, write_session

#: Rows of a block. In memory a block's scores for 16 queries, 1 MB, stay in a core's cache between the steps of the graph; on a GPU
#: few large steps keep it busy. Room in a GPU is taken by whole blocks: 64 MB with 512 float16 numbers.
HOST_ROWS: Final = 16_384
DEVICE_ROWS: Final = 65_536


class Blocks(Protocol):
    """Gives rows to graphs, ``rows`` at a time."""

    rows: int

    def note(self, labels: Labels) -> None:
        """Remember labels whose rows were written."""
        ...

    def values(self, matrix: NDArray[Any], used: int) -> list[Any]:
        """Return an OrtValue per block that together hold the first ``used`` rows of a matrix as they are now, and perhaps more."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes taken beside the matrix, wherever they are."""
        ...


class HostBlocks:
    """Views of the matrix: what numpy writes the next scan sees, and nothing is copied."""

    nbytes = 0

    def __init__(self, rows: int = HOST_ROWS) -> None:
        self.rows = rows
        self._matrix: NDArray[Any] = np.empty((0, 0))
        self._used = 0
        self._values: list[Any] = []

    def note(self, labels: Labels) -> None:
        """Do nothing: a write is seen."""

    def values(self, matrix: NDArray[Any], used: int) -> list[Any]:
        """See the port; the matrix has room for whole groups."""
        if matrix is not self._matrix:
            self._matrix, self._used, self._values = matrix, 0, []
        if rounded(used) != self._used:
            del self._values[self._used // self.rows :]
            self._used = rounded(used)
            for start in range(len(self._values) * self.rows, self._used, self.rows):
                part = matrix[start : min(start + self.rows, self._used)]
                self._values.append(ort.OrtValue.ortvalue_from_numpy(part, "cpu"))
        return self._values


class DeviceBlocks:
    """Copies that stay on a device; rows that were written are sent before the next scan, and only these.

    The last block has room for later rows, so growing moves nothing.
    """

    def __init__(self, storage: Storage, device: str = "cuda", rows: int = DEVICE_ROWS) -> None:
        self.rows = rows
        self._storage = storage
        self._device = device
        self._values: list[Any] = []
        self._dirty: list[Labels] = []

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(int(np.prod(value.shape())) * (2 if self._storage == "float16" else 4) for value in self._values)

    def note(self, labels: Labels) -> None:
        """See the port."""
        self._dirty.append(labels)

    def values(self, matrix: NDArray[Any], used: int) -> list[Any]:
        """See the port."""
        fresh = len(self._values)
        while len(self._values) * self.rows < used:
            start = len(self._values) * self.rows
            block = np.zeros((self.rows, matrix.shape[1]), matrix.dtype)
            block[: len(matrix) - start] = matrix[start : start + self.rows]
            self._values.append(ort.OrtValue.ortvalue_from_numpy(block, self._device, 0))
        if self._dirty:
            dirty, self._dirty = np.unique(np.concatenate(self._dirty)), []
            for number in np.unique(dirty // self.rows).tolist():
                if number < fresh:
                    self._write(number, dirty[dirty // self.rows == number], matrix)
        return self._values

    def _write(self, number: int, labels: Labels, matrix: NDArray[Any]) -> None:
        """Write rows into a block in place: its output is the memory of its input."""
        session = write_session(self._storage, "cuda" if self._device == "cuda" else "cpu")
        binding, block = session.io_binding(), self._values[number]
        binding.bind_ortvalue_input("block", block)
        binding.bind_cpu_input("places", (labels - number * self.rows).astype(np.int64)[:, None])
        binding.bind_cpu_input("rows", np.ascontiguousarray(matrix[labels]))
        binding.bind_ortvalue_output("written", block)
        session.run_with_iobinding(binding)
