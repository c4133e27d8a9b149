"""Texts embedded per second: our encoders beside the package their weights come from and beside the plain way, on real titles."""

from streamrec.bench.embed.gpu import run_gpu
from streamrec.bench.embed.run import Options, run

__all__ = ["Options", "run", "run_gpu"]
