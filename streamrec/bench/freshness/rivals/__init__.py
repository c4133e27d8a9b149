"""Side by side: pushed lists behind a guard, vector search with a stock filter, and one update per list that holds the item."""

from __future__ import annotations

from streamrec.bench.freshness.rivals.compare import COLUMNS, rows, run

__all__ = ["COLUMNS", "rows", "run"]
