"""The parts of our ranking, each switched off by the settings that exist for it."""

from __future__ import annotations

from typing import Any, Final

#: Part → the settings that take it away.
PARTS: Final[dict[str, dict[str, Any]]] = {
    "content": {"weight_content": 0.0},
    "together": {"weight_together": 0.0},
    "trending": {"weight_trending": 0.0},
    "newness": {"weight_new": 0.0},
    "exploration": {"explore_every": 0},
    "discount": {"weight_discount": 0.0},
    "interests": {"max_interests": 1},
    "earlier_items": {"seeds": 1},
    "position": {"seed_decay": 1.0},
    "again": {"weight_again": 0.0},
    "seen_factor": {"seen_factor": 1.0},
    "smoothing": {"smoothing": 0.01},
    "diversity": {"max_per_category": 10_000, "max_per_brand": 10_000},
    "threshold_drop": {"threshold_drop": 0.0},
    "learning": {"learnt": False},
}

#: Part that is off by default → the settings that bring it in.
EXTRAS: Final[dict[str, dict[str, Any]]] = {
    "price_affinity": {"weight_price": 0.25},
}
