"""Vectors to neighbours: one port, exact search (in ONNX, and in numpy as the oracle), HNSW, and changes of index and model."""

from __future__ import annotations

from streamrec.config import IndexSettings
from streamrec.index.auto import AutoIndex
from streamrec.index.exact import ExactIndex
from streamrec.index.generations import Coverage, Generations
from streamrec.index.hnsw import HnswIndex, build_hnsw
from streamrec.index.onnx_exact import OnnxExactIndex, build_exact
from streamrec.index.port import VectorIndex
from streamrec.index.replica import ReplicaChange, VectorReplica

__all__ = [
    "AutoIndex",
    "Coverage",
    "ExactIndex",
    "Generations",
    "HnswIndex",
    "OnnxExactIndex",
    "ReplicaChange",
    "VectorIndex",
    "VectorReplica",
    "build_index",
]


def build_index(settings: IndexSettings, dim: int) -> VectorIndex:
    """Return an empty index of the kind that the settings name, for vectors of ``dim`` numbers."""
    if settings.kind == "auto":
        return AutoIndex(settings, dim)
    return build_exact(settings, dim) if settings.kind == "exact" else build_hnsw(settings, dim)
