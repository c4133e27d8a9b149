"""Vectors to neighbours: one port, an exact implementation that is the oracle, HNSW, and the change from one model to the next."""

from __future__ import annotations

from streamrec.config import IndexSettings
from streamrec.index.exact import ExactIndex
from streamrec.index.generations import Coverage, Generations
from streamrec.index.hnsw import HnswIndex, build_hnsw
from streamrec.index.port import VectorIndex
from streamrec.index.replica import ReplicaChange, VectorReplica

__all__ = ["Coverage", "ExactIndex", "Generations", "HnswIndex", "ReplicaChange", "VectorIndex", "VectorReplica", "build_index"]


def build_index(settings: IndexSettings, dim: int) -> VectorIndex:
    """Return an empty index of the kind that the settings name, for vectors of ``dim`` numbers."""
    return ExactIndex(dim, settings.max_items) if settings.kind == "exact" else build_hnsw(settings, dim)
