"""Which node has which vector: a hash table in two numpy arrays, 16 bytes a node where a dict of bytes takes 180."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]
Nodes = NDArray[np.int32]

_FIRST: Final = 1024
#: Rows mixed at once; their intermediate numbers stay in the cache.
_CHUNK: Final = 1024
_GOLDEN: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX: Final = ((30, np.uint64(0xBF58_476D_1CE4_E5B9)), (27, np.uint64(0x94D0_49BB_1331_11EB)))


class NodeMap:
    """From digests to nodes 0, 1, 2, ... by open addressing, at most half full; nothing is ever taken out."""

    def __init__(self) -> None:
        self.count = 0
        #: (capacity,) per node its digest, and (slots,) node + 1, or 0 where there is none.
        self._digests: Digests = np.zeros(_FIRST, np.uint64)
        self._table: Nodes = np.zeros(2 * _FIRST, np.int32)

    @property
    def digests(self) -> Digests:
        """(count,); the digest of each node."""
        return self._digests[: self.count]

    @property
    def nbytes(self) -> int:
        """Bytes that are used of the arrays."""
        return self.digests.nbytes + self._table.nbytes

    def find(self, digests: Digests) -> Nodes:
        """Return the node of each digest, -1 where there is none."""
        nodes = np.full(len(digests), -1, np.int32)
        slots, left = self._slots(digests), np.arange(len(digests))
        while len(left):
            entries = self._table[slots[left]]
            used = entries > 0
            hit = used & (self._digests[entries - 1] == digests[left])
            nodes[left[hit]] = entries[hit] - 1
            left = left[used & ~hit]
            slots[left] = (slots[left] + 1) % len(self._table)
        return nodes

    def add(self, digests: Digests) -> None:
        """Give the next nodes to distinct digests that have none."""
        first, self.count = self.count, self.count + len(digests)
        if self.count > len(self._digests):
            larger = np.zeros(max(self.count, len(self._digests) * 3 // 2), np.uint64)
            larger[:first] = self._digests[:first]
            self._digests = larger
        self._digests[first : self.count] = digests
        if 2 * self.count > len(self._table):
            self._table = np.zeros(1 << (2 * self.count - 1).bit_length(), np.int32)
            first = 0
        self._place(np.arange(first, self.count, dtype=np.int32))

    def _place(self, nodes: Nodes) -> None:
        """Write nodes into free slots; of several that want the same one the others go on to the next."""
        slots = self._slots(self._digests[nodes])
        while len(nodes):
            free = self._table[slots] == 0
            self._table[slots[free]] = nodes[free] + 1
            left = self._table[slots] != nodes + 1
            nodes, slots = nodes[left], (slots[left] + 1) % len(self._table)

    def _slots(self, digests: Digests) -> NDArray[np.int64]:
        return (digests & np.uint64(len(self._table) - 1)).astype(np.int64)


def digests(rows: NDArray[Any]) -> Digests:
    """Return a digest of 64 bits for the bytes of each row, (n,) uint64; two of a million rows share one in 1 of 30 million cases.

    Each 8 bytes with their place are mixed by the finaliser of Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", 2014, and added up, all rows of a batch at once.
    """
    size = rows.dtype.itemsize * rows.shape[1]
    found = np.zeros(len(rows), np.uint64)
    keys = np.arange(1, -(-size // 8) + 1, dtype=np.uint64) * _GOLDEN
    for start in range(0, len(rows), _CHUNK):
        raw = np.ascontiguousarray(rows[start : start + _CHUNK]).view(np.uint8)
        if size % 8:
            raw = np.pad(raw, ((0, 0), (0, -size % 8)))
        words = raw.view(np.uint64) + keys
        for shift, factor in _MIX:
            words ^= words >> np.uint64(shift)
            words *= factor
        words ^= words >> np.uint64(31)
        found[start : start + _CHUNK] = words.sum(axis=1, dtype=np.uint64)
    return found
