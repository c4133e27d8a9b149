"""Names of encoders, and how each is built from the settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from streamrec.config import ModelSettings
from streamrec.embedding import minilm, use
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
    if settings.onnx_path and settings.tokenizer_path:
        return _from_paths(settings, settings.onnx_path, settings.tokenizer_path)
    graph, tokenizer = minilm.packaged()
    if settings.onnx_path or settings.tokenizer_path:
        return _from_paths(settings, settings.onnx_path or graph, settings.tokenizer_path or tokenizer)
    return _open(minilm.files(graph, tokenizer, settings.cache_dir, settings.precision, settings.max_tokens), settings)


def _onnx(settings: ModelSettings) -> Encoder:
    if settings.onnx_path is None or settings.tokenizer_path is None:
        msg = "model.name is onnx, which needs model.onnx_path and model.tokenizer_path (a tokenizer.json); set both"
        raise ConfigError(msg)
    return _from_paths(settings, settings.onnx_path, settings.tokenizer_path)


def _from_paths(settings: ModelSettings, graph: Path, tokenizer: Path) -> Encoder:
    for label, path in (("onnx_path", graph), ("tokenizer_path", tokenizer)):
        if not path.is_file():
            msg = f"model.{label} is {path}, which is not a file; correct it"
            raise ConfigError(msg)
    files = EncoderFiles(
        settings.name,
        graph,
        tokenizer,
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


def _hashing_96(settings: ModelSettings) -> Encoder:  # noqa: ARG001 - it has no settings
    return HashingEncoder(96, seed="another")


_BUILDERS: Final[dict[str, Callable[[ModelSettings], Encoder]]] = {
    use.NAME: _use,
    minilm.NAME: _minilm,
    "onnx": _onnx,
    # Tests and `bench rollover` only: nothing chooses them but these names.
    "hashing": _hashing,
    "hashing-96": _hashing_96,
}
