"""How vectors are kept: whole, or turned so that a few numbers say nearly all.

Measured on 85,000 real titles of seven catalogues in two languages, embedded with the default model, and 300,000 more made of
them; recall@10 of the exact float32 search, queries that are not in the catalogue, before the graph's own loss:

    numbers the graph sees            64      80      96      64      80      96
    numbers in a row                 320     320     320     256     256     256
    looked at again: 60            0.961   0.973   0.979   0.948   0.957   0.963
    looked at again: 100           0.970   0.978   0.982   0.955   0.962   0.966
    bytes of an item, links 12       812     876     940     748     812     876

Inner products of the turned parts lose more than cosines of them (0.895 instead of 0.968 of the ten best among the sixty that 64
numbers find): what is cut off is the larger the less common an item is, so parts are brought to unit length again. Half a byte for
the numbers after the 128th gains 0.005 at the same size; it was left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streamrec.index.port import Vectors

#: Rows from which a rotation is learnt: as float32 they are 64 MB with 512 dimensions.
SAMPLE: Final = 32_768
_LARGEST: Final = 127
#: Later vectors may reach further than those that the scale is learnt from; what is clipped is lost, a coarser step costs little.
_HEADROOM: Final = 1.25
_TINY: Final = 1e-12
#: Rows turned at once: 2 MB of float64 with 512 dimensions. Linear algebra keeps a buffer per thread that grows with the product
#: (15 MB each at 32,768 rows), and the allocator what a thread has freed.
_CHUNK: Final = 512
#: Of so many rows, a fifth has no other row of the sample as near as what is called far.
_FAR_ROWS: Final = 512
_FAR_SHARE: Final = 0.2

Stored = NDArray[Any]


@dataclass(frozen=True, slots=True)
class CompactOptions:
    """The shape of compact vectors: see the table above for what each number costs and brings."""

    #: Numbers that the graph sees, float32.
    graph_dim: int = 64
    #: Numbers in a row, int8.
    width: int = 320
    #: Nodes that are looked at again beyond those asked for.
    reserve: int = 90
    #: Links per node.
    m: int = 12


class Codec(Protocol):
    """Between a vector and what is stored of it: ``floats(stored) @ turned(queries).T`` are the scores.

    ``kind`` names the codec, ``dim`` is the vectors' dimension, ``width`` and ``dtype`` describe a stored row, ``graph_dim`` is how
    many numbers the graph sees, ``reserve`` how many of its finds beyond those asked for must be scored again by their rows (0: the
    graph's scores are final), ``scan_us`` what making one row floats costs. A best score below ``far`` is a reason to doubt the
    graph.
    """

    kind: str
    dim: int
    width: int
    dtype: type[np.generic]
    graph_dim: int
    reserve: int
    scan_us: float
    far: float

    def encode(self, vectors: Vectors) -> Stored:
        """Return (n, dim) vectors as they are stored, (n, width); equal vectors give equal rows whatever the batch."""
        ...

    def floats(self, stored: Stored) -> Vectors:
        """Return stored rows as (n, width) float32."""
        ...

    def vectors(self, floats: Vectors) -> Vectors:
        """Return the (n, dim) vectors that ``floats`` stand for."""
        ...

    def turned(self, queries: Vectors) -> Vectors:
        """Return (q, dim) queries in the space of ``floats``, (q, width)."""
        ...

    def points(self, stored: Stored) -> Vectors:
        """Return what the graph sees of stored rows, (n, graph_dim) float32."""
        ...

    def heads(self, turned: Vectors) -> Vectors:
        """Return what the graph sees of queries, (q, graph_dim)."""
        ...


class WholeCodec:
    """Stores vectors as they are, in the precision of ``dtype``."""

    kind = "whole"
    reserve = 0
    scan_us = 0.13
    far = -np.inf

    def __init__(self, dim: int, dtype: type[np.float16] | type[np.float32]) -> None:
        self.dim = self.width = self.graph_dim = dim
        self.dtype: type[np.generic] = dtype

    def encode(self, vectors: Vectors) -> Stored:
        """Return vectors in the stored precision."""
        return vectors.astype(self.dtype, copy=False)

    def floats(self, stored: Stored) -> Vectors:
        """Return rows as float32."""
        return stored if stored.dtype == np.float32 else _widened(stored)

    def vectors(self, floats: Vectors) -> Vectors:
        """Return the same."""
        return floats

    def turned(self, queries: Vectors) -> Vectors:
        """Return the same."""
        return queries

    def points(self, stored: Stored) -> Vectors:
        """Return whole vectors."""
        return stored.astype(np.float32)

    def heads(self, turned: Vectors) -> Vectors:
        """Return whole queries."""
        return turned


class CompactCodec:
    """Stores the first ``width`` components of the turned vector as int8, of which the graph sees the first ``graph_dim``.

    Directions only: what comes out has unit length again, or is zero. The rotation is that of the principal components about the
    origin, not about the mean: turning leaves every inner product as it is, so no query needs a correction.
    """

    kind = "compact"
    #: Measured for one query over 20,000 rows of 320 numbers, which are also brought to unit length.
    scan_us = 0.38

    def __init__(
        self, rotation: NDArray[np.float64], scale: NDArray[np.float64], options: CompactOptions, far: float = -np.inf
    ) -> None:
        #: (dim, width) with orthonormal columns, the most telling first; (width,) a component's value per step of its int8.
        self.rotation, self.scale, self.options, self.far = rotation, scale, options, far
        self.dim, self.width = rotation.shape
        self.dtype: type[np.generic] = np.int8
        self.graph_dim = min(options.graph_dim, self.width)
        self.reserve = options.reserve
        self._turn = rotation.astype(np.float32)
        self._scale = scale.astype(np.float32)

    @classmethod
    def learn(cls, vectors: Vectors, options: CompactOptions) -> CompactCodec:
        """Return the codec that keeps most of (n, dim) vectors."""
        dim = vectors.shape[1]
        _, axes = np.linalg.eigh(sum((part.T @ part for part in _parts(vectors)), np.zeros((dim, dim))))
        rotation = np.ascontiguousarray(axes[:, ::-1][:, : options.width])
        turn, greatest = rotation.astype(np.float32), np.full(rotation.shape[1], _TINY)
        for part in _parts(vectors):
            np.maximum(greatest, np.abs(part @ turn).max(axis=0), out=greatest)
        return cls(rotation, _HEADROOM * greatest / _LARGEST, options, _far(vectors))

    def encode(self, vectors: Vectors) -> Stored:
        """Return codes; in float64, because the last bits of a float32 product depend on the batch and would round differently."""
        stored = np.empty((len(vectors), self.width), np.int8)
        for start, part in zip(range(0, len(vectors), _CHUNK), _parts(vectors), strict=True):
            # As float16 first, which is how vectors travel: what is compacted later gets the same codes as what comes now.
            steps = part.astype(np.float16).astype(np.float64) @ self.rotation
            steps /= self.scale
            np.rint(steps, out=steps)
            stored[start : start + len(part)] = np.clip(steps, -_LARGEST, _LARGEST, out=steps)
        return stored

    def floats(self, stored: Stored) -> Vectors:
        """Return turned unit vectors."""
        floats: Vectors = stored * self._scale
        return _unit(floats)

    def vectors(self, floats: Vectors) -> Vectors:
        """Turn back."""
        vectors: Vectors = floats @ self._turn.T
        return vectors

    def turned(self, queries: Vectors) -> Vectors:
        """Turn queries; their length stays, less what lies in the components that are not kept."""
        turned: Vectors = queries @ self._turn
        return turned

    def points(self, stored: Stored) -> Vectors:
        """Return the first components at unit length."""
        points: Vectors = stored[:, : self.graph_dim] * self._scale[: self.graph_dim]
        return _unit(points)

    def heads(self, turned: Vectors) -> Vectors:
        """Return the first components; a query's length changes no order."""
        return turned[:, : self.graph_dim]


def _far(vectors: Vectors) -> float:
    """Return the cosine that the nearest other vector of (n, dim) unit vectors falls short of in ``_FAR_SHARE`` of cases."""
    asked = np.arange(0, len(vectors), max(1, len(vectors) // _FAR_ROWS))
    nearest = np.full(len(asked), -np.inf, np.float32)
    for start, part in zip(range(0, len(vectors), _CHUNK), _parts(vectors), strict=True):
        scores = vectors[asked] @ part.T
        inside = (asked >= start) & (asked < start + len(part))
        scores[inside, asked[inside] - start] = -np.inf
        np.maximum(nearest, scores.max(axis=1), out=nearest)
    return float(np.quantile(nearest, _FAR_SHARE, method="lower")) if len(vectors) > 1 else -np.inf


def _parts(vectors: Vectors) -> Iterator[Vectors]:
    return (vectors[start : start + _CHUNK] for start in range(0, len(vectors), _CHUNK))


def _unit(rows: Vectors) -> Vectors:
    """Scale rows to length 1 in place; zeros stay."""
    rows /= np.sqrt(np.einsum("nd,nd->n", rows, rows)).clip(min=_TINY)[:, None]
    return rows


def _widened(halves: NDArray[Any]) -> Vectors:
    """Return finite float16 as float32, six times as fast as ``astype``, which took most of an exact scan.

    float32 has the same fields in other places: shift exponent and mantissa there, keep the sign, mend the exponent's bias (and
    the subnormals with it) by one multiplication.
    """
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x7000_0001)
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide
