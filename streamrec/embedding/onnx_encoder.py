"""Any sentence encoder that is an ONNX graph and a tokenizer.json."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.batching import Batch, batches
from streamrec.embedding.encoder import unit_rows
from streamrec.embedding.runner import Opener, Runner
from streamrec.embedding.runtime import cores, open_session
from streamrec.embedding.tokenizer import TextTokenizer
from streamrec.errors import ModelError

Pooling = Literal["mean", "cls", "last", "none"]
#: Places per micro-batch: what the caches of a core hold, and what keeps a GPU busy.
_CPU_BATCH_TOKENS: Final = 1024
_GPU_BATCH_TOKENS: Final = 16_384
#: Micro-batches that are computed at the same time.
_LANES: Final = 2
_GPU_LANES: Final = 3
#: So few texts are encoded on the calling thread: others would cost more than they bring.
_FEW: Final = 64
#: Texts per chunk: enough for batches of one length, few enough that the first vectors do not wait for the last text.
_CHUNK: Final = 4096
_GPU_CHUNK: Final = 16_384
#: Micro-batches per lane that wait for it.
_AHEAD: Final = 3


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
    #: Places per micro-batch on the CPU at which this graph is quickest; no part of the digest.
    cpu_batch_tokens: int = _CPU_BATCH_TOKENS
    #: Its operators exist for processors only; on a GPU each of them would be a way to the CPU and back. No part of the digest.
    cpu_only: bool = False


class SentenceEncoder:
    """Encodes texts in micro-batches of similar length, each at most ``batch_tokens`` places large (0: chosen by device).

    Equal texts are encoded once. Texts are tokenised a chunk ahead, on a thread of their own, while the session computes. Two
    micro-batches are computed at the same time where there are two cores or a GPU: what one does between its matrices, and its
    way to the device and back, leaves room for the other.

    A micro-batch holds at least one text; a text longer than ``max_tokens`` is cut there. Raises ModelError when the graph wants
    inputs that no sentence encoder has, or gives no vectors. ``opener`` and ``bind`` are the runner's, for tests.
    """

    def __init__(
        self,
        files: EncoderFiles,
        *,
        provider: Literal["auto", "cpu", "cuda"] = "auto",
        threads: int = 0,
        batch_tokens: int = 0,
        opener: Opener | None = None,
        bind: bool | None = None,
    ) -> None:
        self.name = files.name
        self._files = files
        if files.cpu_only and provider == "cuda":
            msg = f"{files.graph.name} runs on processors only; set model.precision to float16 for a GPU, or model.provider to auto"
            raise ModelError(msg)
        self._tokenize = TextTokenizer(files.tokenizer, max_tokens=files.max_tokens, split_unknown=files.split_unknown)
        self._run = Runner(
            opener or (lambda where: open_session(files.graph, provider=where, threads=threads)),
            "cpu" if files.cpu_only else provider,
            bind=bind,
        )
        self._wanted_tokens = batch_tokens
        self._lanes = min(threads or cores(), _LANES)
        #: Names of the graph's inputs.
        self.inputs = [node.name for node in self._run.session.get_inputs()]
        if "input_ids" not in self.inputs or not set(self.inputs) <= set(_FEED_OF):
            msg = f"{files.graph} wants the inputs {self.inputs}; export it with none but {sorted(_FEED_OF)}"
            raise ModelError(msg)
        self.digest = _digest(files)
        self.dim = self._rows(np.zeros((1, 3), dtype=np.int64), np.ones((1, 3), dtype=np.int64)).shape[1]

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU now."""
        return self._run.on_gpu

    @property
    def trouble(self) -> str:
        """Why it runs on the CPU though it had a GPU; empty if it is well."""
        return self._run.trouble

    @property
    def graph(self) -> Path:
        """The graph's file."""
        return self._files.graph

    @property
    def lanes(self) -> int:
        """How many micro-batches are computed at the same time now."""
        return _GPU_LANES if self.on_gpu else self._lanes

    @property
    def batch_tokens(self) -> int:
        """Places per micro-batch now: as configured, and no more than the GPU's memory was found to hold."""
        wanted = self._wanted_tokens or (_GPU_BATCH_TOKENS if self.on_gpu else self._files.cpu_batch_tokens)
        return min(wanted, self._run.max_places or wanted)

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows; see ``Encoder.encode``. Rows have norm 1 unless the settings say ``normalize = false``."""
        place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        vectors = np.zeros((len(place_of), self.dim), dtype=np.float32)
        prefix = self._files.query_prefix if query else self._files.item_prefix
        self._fill(vectors, [prefix + text for text in place_of] if prefix else list(place_of))
        if self._files.normalize:
            vectors = unit_rows(vectors)
        return vectors if len(place_of) == len(texts) else vectors[[place_of[text] for text in texts]]

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the texts have, the special ones included."""
        return sum(map(len, self._tokenize(texts)))

    def prepare(self, texts: Sequence[str]) -> Iterator[Batch]:
        """Yield the micro-batches of the texts, as ``encode`` makes them; prefixes are left to the caller."""
        return self._batches(self._tokenize(texts), 0)

    def compute(self, batch: Batch) -> NDArray[np.float32]:
        """Return the rows of a micro-batch, (n, dim) float32, not normalised."""
        return self._rows(batch.ids, batch.mask)

    def _fill(self, vectors: NDArray[np.float32], texts: list[str]) -> None:
        if len(texts) <= _FEW:
            for batch in self._batches(self._tokenize(texts), 0):
                vectors[batch.places] = self.compute(batch)
            return
        lanes = self.lanes
        with ThreadPoolExecutor(1, "tokenise") as ahead, ThreadPoolExecutor(lanes, "encode") as pool:
            waiting: deque[Future[None]] = deque()

            def compute(batch: Batch) -> None:
                vectors[batch.places] = self.compute(batch)

            for batch in self._tokenised(texts, ahead):
                waiting.append(pool.submit(compute, batch))
                if len(waiting) > _AHEAD * lanes:  # so that no more than these batches' arrays are held
                    waiting.popleft().result()
            for one in waiting:
                one.result()

    def _tokenised(self, texts: list[str], ahead: ThreadPoolExecutor) -> Iterator[Batch]:
        """Yield micro-batches chunk by chunk; while one is computed, the next is tokenised."""
        chunk = _GPU_CHUNK if self.on_gpu else _CHUNK
        starts = range(0, len(texts), chunk)
        tokens = ahead.submit(self._tokenize, texts[:chunk])
        for first in starts:
            ready = tokens.result()
            if first + chunk < len(texts):
                tokens = ahead.submit(self._tokenize, texts[first + chunk : first + 2 * chunk])
            yield from self._batches(ready, first)

    def _batches(self, tokens: list[list[int]], first: int) -> Iterator[Batch]:
        return batches(tokens, self.batch_tokens, first=first, tight=not self.on_gpu)

    def _rows(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        feeds = {name: _FEED_OF[name](ids, mask) for name in self.inputs}
        return pool(self._run(feeds), mask, self._files.pooling)


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
