"""Any sentence encoder that is an ONNX graph and a tokenizer.json."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.encoder import unit_rows
from streamrec.embedding.runtime import open_session
from streamrec.embedding.tokenizer import TextTokenizer
from streamrec.errors import ModelError

Pooling = Literal["mean", "cls", "last", "none"]
#: Tokens per micro-batch: what the caches of a core hold, and what keeps a GPU busy.
_CPU_BATCH_TOKENS: Final = 1024
_GPU_BATCH_TOKENS: Final = 16_384


@dataclass(frozen=True)
class EncoderFiles:
    """One encoder's graph and tokenizer, and how they are used; all of it goes into the digest."""

    name: str
    graph: Path
    tokenizer: Path
    pooling: Pooling = "mean"
    query_prefix: str = ""
    item_prefix: str = ""
    max_tokens: int = 128
    normalize: bool = True
    split_unknown: bool = False
    #: What the digest is made from in place of the files' bytes: for files that are written here, where another version of the
    #: writing library may give other bytes of the same meaning.
    identity: str = ""


class SentenceEncoder:
    """Encodes texts in micro-batches of similar length, each at most ``batch_tokens`` places large (0: chosen by device).

    A micro-batch holds at least one text; a text longer than ``max_tokens`` is cut there. Raises ModelError when the graph wants
    inputs that no sentence encoder has, or gives no vectors.
    """

    def __init__(
        self, files: EncoderFiles, *, provider: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0, batch_tokens: int = 0
    ) -> None:
        self.name = files.name
        self._files = files
        self._tokenize = TextTokenizer(files.tokenizer, max_tokens=files.max_tokens, split_unknown=files.split_unknown)
        self._session = open_session(files.graph, provider=provider, threads=threads)
        self.on_gpu = self._session.get_providers()[0] == "CUDAExecutionProvider"
        self._batch_tokens = batch_tokens or (_GPU_BATCH_TOKENS if self.on_gpu else _CPU_BATCH_TOKENS)
        self._inputs = [node.name for node in self._session.get_inputs()]
        if "input_ids" not in self._inputs or not set(self._inputs) <= set(_FEED_OF):
            msg = f"{files.graph} wants the inputs {self._inputs}; export it with none but {sorted(_FEED_OF)}"
            raise ModelError(msg)
        self._output = self._session.get_outputs()[0].name
        self.digest = _digest(files)
        self.dim = self._run([[0, 0, 0]]).shape[1]

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows; see ``Encoder.encode``. Rows have norm 1 unless the settings say ``normalize = false``."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        prefix = self._files.query_prefix if query else self._files.item_prefix
        tokens = self._tokenize([prefix + text for text in texts] if prefix else texts)
        for places in micro_batches([len(ids) for ids in tokens], self._batch_tokens):
            vectors[places] = self._run([tokens[place] for place in places])
        return unit_rows(vectors) if self._files.normalize else vectors

    def _run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        length = max(map(len, tokens), default=0)
        ids = np.zeros((len(tokens), length), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, token_ids in enumerate(tokens):
            ids[row, : len(token_ids)] = token_ids
            mask[row, : len(token_ids)] = 1
        feeds: dict[str, NDArray[np.int64]] = {}
        for name in self._inputs:
            feeds[name] = _FEED_OF[name](ids, mask)
        output: NDArray[Any] = self._session.run([self._output], feeds)[0]
        return pool(output, mask, self._files.pooling)


def micro_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield groups of positions of similar length, shortest first, each of at most ``budget`` places when padded, or of one text.

    >>> list(micro_batches([5, 1, 4], 7))
    [[1], [2], [0]]
    >>> list(micro_batches([5, 1, 4], 10))
    [[1, 2], [0]]
    """
    group: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[position] > budget:
            yield group
            group = []
        group.append(position)
    if group:
        yield group


def pool(output: NDArray[Any], mask: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float32]:
    """Turn a graph's output into (n, dim) float32: (n, length, dim) token rows by ``pooling``, (n, dim) as it is with ``none``.

    Raises ModelError when output and pooling do not fit together.
    """
    if output.ndim != (2 if pooling == "none" else 3):
        rule = "has none" if output.ndim == 3 else "pools by itself"
        msg = f"the graph's output has shape {output.shape} and pooling is {pooling!r}, but the graph {rule}; correct model.pooling"
        raise ModelError(msg)
    rows: NDArray[np.float32] = output.astype(np.float32, copy=False)
    if pooling == "none":
        return rows
    if pooling == "cls":
        first: NDArray[np.float32] = rows[:, 0]
        return first
    if pooling == "last":
        # The last place that holds a token, whichever side is padded; the first where there is none.
        places = np.where(mask.any(axis=1), mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1), 0)
        last: NDArray[np.float32] = rows[np.arange(len(rows)), places]
        return last
    weights = mask[:, :, None].astype(np.float32)
    total: NDArray[np.float32] = (rows * weights).sum(axis=1)
    mean: NDArray[np.float32] = total / np.maximum(weights.sum(axis=1), np.float32(1.0))
    return mean


_FEED_OF: Final[dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]]] = {
    "input_ids": lambda ids, _: ids,
    "attention_mask": lambda _, mask: mask,
    "token_type_ids": lambda ids, _: np.zeros_like(ids),
    "position_ids": lambda _, mask: np.maximum(mask.cumsum(axis=1) - 1, 0),
}


def _digest(files: EncoderFiles) -> str:
    digest = hashlib.sha256(files.identity.encode())
    for path in () if files.identity else (files.graph, files.tokenizer):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    settings = (files.pooling, files.query_prefix, files.item_prefix, files.max_tokens, files.normalize, files.split_unknown)
    digest.update(repr(settings).encode())
    return digest.hexdigest()[:16]
