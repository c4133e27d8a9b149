"""Names of encoders, and how each is opened by the settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from streamrec.config import ModelSettings
from streamrec.embedding.encoder import Encoder
from streamrec.embedding.hashing import HashingEncoder
from streamrec.embedding.models import entry_of, sources
from streamrec.embedding.models.truncated import TruncatedEncoder
from streamrec.embedding.onnx_encoder import EncoderFiles, SentenceEncoder
from streamrec.errors import ConfigError

#: Tests and `bench rollover` only: nothing chooses them but these names.
_TOYS: Final[dict[str, Callable[[], Encoder]]] = {
    "hashing": HashingEncoder,
    "hashing-96": partial(HashingEncoder, 96, seed="another"),
}


def load_encoder(settings: ModelSettings) -> Encoder:
    """Return the encoder that the settings name; what is written from a package's weights is written to ``cache_dir`` at first use.

    Raises ConfigError for an unknown name, a wrong entry or missing paths, ModelError when files are missing or do not load.
    """
    if settings.name in _TOYS:
        return _TOYS[settings.name]()
    if settings.name == "onnx":
        return _cut(_open(_by_paths(settings), settings), settings.dim, settings.normalize)
    entry = entry_of(settings)
    files = sources.files_of(entry, settings)
    return _cut(_open(files, settings), sources.dim_of(entry, settings), files.normalize)


def load_named(name: str, settings: ModelSettings) -> Encoder:
    """Return the encoder of that name on the device and from the cache of ``settings``; see ``ModelSettings.named``."""
    return load_encoder(settings.named(name))


def _by_paths(settings: ModelSettings) -> EncoderFiles:
    if settings.onnx_path is None or settings.tokenizer_path is None:
        msg = "model.name is onnx, which needs model.onnx_path and model.tokenizer_path (a tokenizer.json); set both"
        raise ConfigError(msg)
    for label, path in (("onnx_path", settings.onnx_path), ("tokenizer_path", settings.tokenizer_path)):
        if not Path(path).is_file():
            msg = f"model.{label} is {path}, which is not a file; correct it"
            raise ConfigError(msg)
    return EncoderFiles(
        settings.name,
        settings.onnx_path,
        settings.tokenizer_path,
        pooling=settings.pooling,
        query_prefix=settings.query_prefix,
        item_prefix=settings.item_prefix,
        max_tokens=settings.max_tokens,
        normalize=settings.normalize,
    )


def _open(files: EncoderFiles, settings: ModelSettings) -> Encoder:
    return SentenceEncoder(files, provider=settings.provider, threads=settings.threads, batch_tokens=settings.batch_tokens)


def _cut(encoder: Encoder, dim: int, normalize: bool) -> Encoder:
    return TruncatedEncoder(encoder, dim, normalize=normalize) if dim else encoder
