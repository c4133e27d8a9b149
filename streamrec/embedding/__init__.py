"""Texts to vectors: encoders, the registry of models, digests, and the embedder that embeds only what changed."""

from streamrec.embedding.choice import LazyEncoder, choice_of, opened, settings_of
from streamrec.embedding.embedder import Embedder
from streamrec.embedding.encoder import Encoder
from streamrec.embedding.hashing import HashingEncoder
from streamrec.embedding.lineup import Lineup
from streamrec.embedding.onnx_encoder import EncoderFiles, SentenceEncoder
from streamrec.embedding.registry import load_encoder, load_named
from streamrec.embedding.text import content_digest, item_text
from streamrec.embedding.vectors import pack_vectors, unpack_vectors

__all__ = [
    "Embedder",
    "Encoder",
    "EncoderFiles",
    "HashingEncoder",
    "LazyEncoder",
    "Lineup",
    "SentenceEncoder",
    "choice_of",
    "content_digest",
    "item_text",
    "load_encoder",
    "load_named",
    "opened",
    "pack_vectors",
    "settings_of",
    "unpack_vectors",
]
