"""Goods × encoders × ways of putting text and picture together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.config import ModelSettings, Settings
from streamrec.embedding import Encoder, load_encoder
from streamrec.embedding.encoder import unit_rows
from streamrec.errors import DataError
from streamrec.evaluate.pictures.goods import Goods, read_goods
from streamrec.evaluate.pictures.judging import Found, among, asked_by
from streamrec.evaluate.pictures.seeing import Progress, features_of
from streamrec.pictures.encoder import load_eye
from streamrec.pictures.projection import Projection, fit, mix_rows
from streamrec.pictures.settings import PictureSettings

Floats = NDArray[np.float32]

#: Of ten goods so many are fitted to, the next is for choosing the weight, the rest is judged.
_FITTED: Final = 5
_TRIED: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
#: The alternative that was not taken: parts side by side, weighted so that cosines add up; the picture's share of a cosine.
_SIDE_BY_SIDE: Final = (0.2, 0.3, 0.4)
_COMPONENTS: Final = 256
_TIMED: Final = 64


@dataclass(frozen=True)
class Options:
    """What is measured, and of how much."""

    data: Path
    #: Names of text encoders; empty: the configured one.
    encoders: tuple[str, ...] = ()
    #: Goods at most; 0: all.
    items: int = 10_000
    seed: int = 7


def run(options: Options, settings: Settings | None = None, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Return the figures as ``streamrec pictures evaluate --json`` prints them.

    Raises DataError where there are no goods with pictures, ModelError where an encoder is not installed.
    """
    settings = settings or Settings.load()
    chosen = settings.pictures if settings.pictures.model else _built_in(settings.pictures)
    eye = load_eye(chosen, settings.model.cache_dir)
    goods = read_goods(options.data, options.items)
    timing = _timing(goods, eye.look, eye.see)
    features, seen, refused = features_of(goods, eye, progress)
    goods = goods.part(seen)
    part = _parts(goods)
    result: dict[str, Any] = {
        "data": {
            "name": goods.name,
            "goods": len(goods.ids),
            "kinds": len(set(goods.kinds)),
            "refused": refused,
            "fitted_on": int((part == 0).sum()),
            "weights_tried_on": int((part == 1).sum()),
            "judged": int((part == 2).sum()),
        },
        "eye": {"model": chosen.model, "digest": eye.digest, "features": eye.dim, "input_size": chosen.input_size, **timing},
        "weight": chosen.weight,
        "encoders": {},
    }
    for name in options.encoders or (settings.model.name,):
        progress(f"{name}: titles", 0, 0)
        own = settings.model if name == settings.model.name else ModelSettings(name=name, cache_dir=settings.model.cache_dir)
        encoder = load_encoder(own)
        result["encoders"][name] = _Evaluation(goods, features, part, encoder, eye.digest, chosen.weight, options.seed).figures()
    return result


def _built_in(given: PictureSettings) -> PictureSettings:
    # Without the validation that asks for a projection: it is fitted here.
    return PictureSettings.model_construct(**(given.model_dump() | {"model": "efficientnet-lite0"}))


def _parts(goods: Goods) -> NDArray[np.int64]:
    """Return 0, 1 or 2 for each good: fitted to, for choosing, judged. Goods of one title are in one part."""
    tenth = [hashlib.sha256(f"parts-1 {item.title.casefold()}".encode()).digest()[0] % 10 for item in goods.items]
    return np.digitize(tenth, [_FITTED, _FITTED + 1]).astype(np.int64)


def _timing(goods: Goods, look: Callable[[bytes], Any], see: Callable[[list[Any]], Any]) -> dict[str, float]:
    contents = [goods.picture(place) for place in range(min(_TIMED, len(goods.ids)))]
    start = perf_counter()
    pixels = [look(content) for content in contents]
    looked = perf_counter()
    see(pixels)
    done = perf_counter()
    return {
        "ms_to_decode": round(1e3 * (looked - start) / len(contents), 3),
        "ms_to_see": round(1e3 * (done - looked) / len(contents), 3),
    }


def poor(title: str, kind: str) -> str:
    """Return the title without the words that name the kind, as many a merchant's title is.

    >>> poor("Quechua Blue Light Backpack", "Backpacks")
    'Quechua Blue Light'
    """
    stems = {word.casefold().rstrip("s") for word in re.findall(r"\w+", kind)}
    kept = [word for word in title.split() if re.sub(r"\W", "", word).casefold().rstrip("s") not in stems]
    return " ".join(kept) or title


class _Evaluation:
    """One text encoder's part of the result."""

    def __init__(  # noqa: PLR0917 - every one is needed, and named where it is given
        self, goods: Goods, features: Floats, part: NDArray[np.int64], encoder: Encoder, eye: str, weight: float, seed: int
    ) -> None:
        self._seed = seed
        self._weight = weight
        names = sorted(set(goods.kinds))
        self._kinds = np.array([names.index(kind) for kind in goods.kinds], np.int64)
        self._part = part
        self._features = features
        self._titles = encoder.encode([item.title for item in goods.items])
        self._poor = encoder.encode([poor(item.title, kind) for item, kind in zip(goods.items, goods.kinds, strict=True)])
        self._queries = encoder.encode(names, query=True)
        fitted = part == 0
        if not (part == 2).any() or not (part == 1).any():
            raise DataError("too few goods to fit, choose and judge on different ones; give some hundreds")
        self._projection: Projection = fit(features[fitted], self._titles[fitted], eye=eye, space=encoder.digest)
        self._pictures = self._projection(features)

    def figures(self) -> dict[str, Any]:
        """Return everything that is told of this encoder."""
        judged = self._part == 2
        rows = {name: vectors[judged] for name, vectors in self._ways().items()}
        found = {name: among(vectors, self._kinds[judged]) for name, vectors in rows.items()}
        title, bare = found["title"], found["poor title"]
        against = {name: bare if name.startswith("poor") else title for name in found}
        return {
            "same_kind": {name: one.figures(self._seed, against[name]) for name, one in found.items()},
            "asked_by_kind": self._asked(rows),
            "weights": self._weights(),
            "geometry": self._geometry(rows),
            "projection": {"pairs": self._projection.pairs, "ridge": self._projection.ridge, "dim": self._titles.shape[1]},
        }

    def _ways(self) -> dict[str, Floats]:
        both = mix_rows(self._titles, self._pictures, self._weight)
        poor_both = mix_rows(self._poor, self._pictures, self._weight)
        every_other = (np.arange(len(both)) % 2 == 0)[:, None]
        ways = {
            "title": self._titles,
            "picture": self._pictures,
            "both": both,
            "both, every other without picture": np.where(every_other, both, self._titles).astype(np.float32),
            "poor title": self._poor,
            "poor title and picture": poor_both,
            "picture, features alone": self._seen(),
        }
        for share in _SIDE_BY_SIDE:
            ways[f"side by side, {share:g}"] = self._side_by_side(self._titles, share)
        share = _SIDE_BY_SIDE[1]
        alone = np.hstack([self._titles, np.zeros_like(self._seen())])
        ways[f"side by side, {share:g}, every other without picture"] = np.where(
            every_other, self._side_by_side(self._titles, share), alone
        ).astype(np.float32)
        ways[f"poor title side by side, {share:g}"] = self._side_by_side(self._poor, share)
        return ways

    def _seen(self) -> Floats:
        """Return features in as many dimensions as carry most of them, centred: what a picture is without any text."""
        fitted = self._features[self._part == 0]
        center = fitted.mean(axis=0)
        _, strengths, directions = np.linalg.svd(fitted - center, full_matrices=False)
        kept = slice(0, min(_COMPONENTS, len(directions)))
        turned = (self._features - center) @ directions[kept].T / np.sqrt(np.maximum(strengths[kept], 1e-6))
        return unit_rows(turned.astype(np.float32))

    def _side_by_side(self, texts: Floats, share: float) -> Floats:
        return np.hstack([np.sqrt(1 - share) * texts, np.sqrt(share) * self._seen()]).astype(np.float32)

    def _asked(self, rows: dict[str, Floats]) -> dict[str, Any]:
        judged, wanted = self._kinds[self._part == 2], np.arange(len(self._queries))
        found: dict[str, Found] = {}
        for name, vectors in rows.items():
            if "features alone" not in name:
                padded = np.pad(self._queries, ((0, 0), (0, vectors.shape[1] - self._queries.shape[1])))
                found[name] = asked_by(padded, wanted, vectors, judged)
        return {
            name: one.figures(self._seed, found["poor title" if name.startswith("poor") else "title"])
            for name, one in found.items()
        }

    def _weights(self) -> dict[str, dict[str, float]]:
        """Return recall by weight on goods that nothing was fitted to, and that nothing else is judged by."""
        chosen = self._part == 1
        kinds = self._kinds[chosen]
        told = {}
        for weight in (0.0, *_TRIED):
            rich = among(mix_rows(self._titles[chosen], self._pictures[chosen], weight), kinds)
            bare = among(mix_rows(self._poor[chosen], self._pictures[chosen], weight), kinds)
            told[f"{weight:g}"] = {
                "recall@10": round(float(rich.recall.mean()), 4),
                "poor_title_recall@10": round(float(bare.recall.mean()), 4),
            }
        return told

    def _geometry(self, rows: dict[str, Floats]) -> dict[str, float]:
        """Return mean cosines: what it means that one has a picture and the other has not."""
        text, both = rows["title"], rows["both"]
        kinds = self._kinds[self._part == 2]
        queries = self._queries[kinds]

        def mean(left: Floats, right: Floats) -> float:
            return round(float(left.mean(axis=0) @ right.mean(axis=0)), 4)

        def own(vectors: Floats) -> float:
            return round(float(np.einsum("ij,ij->i", queries, vectors).mean()), 4)

        return {
            "an_item_without_and_with_its_picture": round(float(np.einsum("ij,ij->i", text, both).mean()), 4),
            "two_items_without": mean(text, text),
            "two_items_one_with": mean(text, both),
            "two_items_with": mean(both, both),
            "query_of_its_kind_and_item_without": own(text),
            "query_of_its_kind_and_item_with": own(both),
            "any_query_and_item_without": mean(self._queries, text),
            "any_query_and_item_with": mean(self._queries, both),
        }
