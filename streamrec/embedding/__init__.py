"""Texts to vectors: encoders, the registry of models, digests, and the embedder that embeds only what changed."""

from streamrec.embedding.embedder import Embedder
from streamrec.embedding.encoder import Encoder
from streamrec.embedding.hashing import HashingEncoder
from streamrec.embedding.onnx_encoder import EncoderFiles, SentenceEncoder
from streamrec.embedding.registry import load_encoder, load_named
from streamrec.embedding.text import content_digest, item_text
from streamrec.embedding.vectors import pack_vectors, unpack_vectors

__all__ = [
    "Embedder",
    "Encoder",
    "EncoderFiles",
    "HashingEncoder",
    "SentenceEncoder",
    "content_digest",
    "item_text",
    "load_encoder",
    "load_named",
    "pack_vectors",
    "unpack_vectors",
]
