"""Freshness at scale: a catalogue and as many visitors with pushed lists, a mixed load upon them, and how late every effect is."""

from __future__ import annotations

from streamrec.bench.freshness.options import FreshnessOptions

__all__ = ["FreshnessOptions"]
