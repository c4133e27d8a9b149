"""What the embedder sees of pictures: whether one is at hand for an item, and how it moves the vector. Nothing here waits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.events import CatalogItem
from streamrec.pictures.album import Album
from streamrec.pictures.decoding import digest_of, from_base64
from streamrec.pictures.projection import Projection, mix
from streamrec.pictures.refusals import Refused


class Picture(NamedTuple):
    """A picture in the space of the text encoder."""

    #: Changes with the picture's content, and with how it counts.
    mark: str
    #: (dim,) float32 of norm 1.
    vector: NDArray[np.float32]
    weight: float

    def mixed(self, text: bytes) -> bytes:
        """Return the vector of an item whose text has the vector ``text``; both are little-endian float16."""
        return mix(text, self.vector, self.weight)


class Gallery:
    """Finds what the album holds of an item's picture, and keeps the last ``max_vectors`` vectors in memory.

    There is one projection per text encoder; of two for the same encoder the last counts.
    """

    def __init__(self, album: Album, projections: Iterable[Projection], *, weight: float, max_vectors: int = 25_000) -> None:
        self.album = album
        self._projections = {one.space: one for one in projections}
        self._weight = weight
        self._max_vectors = max_vectors
        #: (space, picture's digest) → (dim,) float32
        self._vectors: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()

    @property
    def digest(self) -> str:
        """What changes whenever the same pictures would move vectors otherwise."""
        how = [self._weight, sorted(one.digest for one in self._projections.values())]
        return digest_of(repr(how).encode())[:12]

    def of(self, item: CatalogItem, model_digest: str) -> Picture | None:
        """Return the item's picture as it was seen last; None where none is at hand, or the model is not what pictures fit to."""
        projection = self._projections.get(model_digest)
        if projection is None or not (item.image or item.image_url):
            return None
        digest = self._digest(item)
        vector = self._vector(digest, projection) if digest else None
        return None if vector is None else Picture(f"{digest}:{projection.digest}:{self._weight!r}", vector, self._weight)

    def _digest(self, item: CatalogItem) -> str:
        if item.image:
            try:
                return digest_of(from_base64(item.image))
            except Refused:
                return ""
        seen = self.album.seen(item.image_url)
        return seen.digest if seen else ""

    def _vector(self, digest: str, projection: Projection) -> NDArray[np.float32] | None:
        key = (projection.space, digest)
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
            return vector
        features = self.album.features(digest)
        if features is None:
            return None
        new: NDArray[np.float32] = projection(features[None])[0]
        self._vectors[key] = new
        if len(self._vectors) > self._max_vectors:
            self._vectors.popitem(last=False)
        return new
