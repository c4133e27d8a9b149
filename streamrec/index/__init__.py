"""Vectors to neighbours: one port, an exact implementation that is the oracle, and HNSW."""

from streamrec.index.exact import ExactIndex
from streamrec.index.port import VectorIndex

__all__ = ["ExactIndex", "VectorIndex"]
