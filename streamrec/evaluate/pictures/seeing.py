"""Features of many pictures, and the map from them to the texts of their goods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding import Encoder, item_text
from streamrec.evaluate.pictures.goods import Goods
from streamrec.pictures.encoder import Eye
from streamrec.pictures.projection import Projection, fit
from streamrec.pictures.refusals import Refused

#: Hears what is being done, and of how many steps how many went by since the last time.
Progress = Callable[[str, int, int], None]
_TOGETHER: Final = 64


def features_of(goods: Goods, eye: Eye, told: Progress = lambda *_: None) -> tuple[NDArray[np.float32], list[int], dict[str, int]]:
    """Return (n, dim) float32 features of the pictures that can be seen, the places of these, and how many cannot, by reason."""
    rows: list[NDArray[np.float32]] = []
    seen: list[int] = []
    refused: dict[str, int] = {}
    for start in range(0, len(goods.ids), _TOGETHER):
        places = range(start, min(start + _TOGETHER, len(goods.ids)))
        pixels = []
        for place in places:
            try:
                pixels.append(eye.look(goods.picture(place)))
                seen.append(place)
            except Refused as error:
                refused[error.reason] = refused.get(error.reason, 0) + 1
        if pixels:
            rows.append(eye.see(pixels))
        told("pictures", len(places), len(goods.ids))
    return np.concatenate(rows) if rows else np.zeros((0, eye.dim), np.float32), seen, refused


def fit_to(goods: Goods, eye: Eye, encoder: Encoder, told: Progress = lambda *_: None) -> Projection:
    """Return the map from the goods' pictures to their texts as workers embed them. Raises ConfigError where they are too few."""
    features, seen, _ = features_of(goods, eye, told)
    texts = encoder.encode([item_text(goods.items[place]) for place in seen])
    return fit(features, texts, eye=eye.digest, space=encoder.digest)
