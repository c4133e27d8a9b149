"""Bulk against live: how fresh changes stay while a catalogue is loaded and while the model changes under the same load."""

from streamrec.bench.rollover.run import Options, run

__all__ = ["Options", "run"]
