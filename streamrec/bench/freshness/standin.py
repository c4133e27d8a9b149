"""Stand-in."""

from __future__ import annotations

import numpy as np

from streamrec.config import Settings
from streamrec.embedding import item_text, load_encoder
from streamrec.events import CatalogItem


class _C:
    def __init__(self, n, encoder):
        rng = np.random.default_rng(3)
        self.n = n
        base = encoder.encode([item_text(self.item(i, 10**12)) for i in range(min(n, 500))])
        v = base[np.arange(n) % len(base)] + 0.02 * rng.standard_normal((n, base.shape[1]))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        self.vectors = v.astype(np.float16)
        self.model_digest = encoder.digest
        self.notes = ["stand-in"]

    def __len__(self):
        return self.n

    def item_id(self, i):
        return f"i-{i:06d}"

    def item(self, i, ts):
        w = ["red", "blue", "green", "old", "new", "soft", "hard", "big", "small", "round"]
        k = ["mug", "lamp", "chair", "bowl", "shoe", "coat", "bag", "ring", "desk", "bike"]
        j = i % 500
        return CatalogItem(
            title=f"{w[j % 10]} {w[(j // 10) % 10]} {k[j // 50]} no. {i}",
            category=k[j // 50],
            brand=f"brand {j % 37}",
            price=5.0 + i % 90,
            quantity=5,
            ts=ts,
        )


def standin(n, data=None):
    return _C(n, load_encoder(Settings.load().model))
