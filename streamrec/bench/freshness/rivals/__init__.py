"""Side by side: pushed lists behind a guard, vector search with a stock filter, and one update per list that holds the item."""

from __future__ import annotations

from streamrec.bench.freshness.rivals.compare import run
from streamrec.bench.freshness.rivals.tables import columns, markdown, rows

__all__ = ["columns", "markdown", "rows", "run"]
