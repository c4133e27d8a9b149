"""Vectors of a bench catalogue on disk: made once, then memory-mapped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.catalogue.geometry import CHUNK, derive, near_neighbours
from streamrec.config import ModelSettings
from streamrec.embedding import Encoder, load_encoder

Say = Callable[[str], None]
#: Goes up when the derivation changes, so that no vectors of an earlier one are taken.
_VERSION: Final = 1
_BATCH: Final = 2048


class Store:
    """The vectors of some texts by one encoder, and those derived from them, as float16 files under the model's ``cache_dir``."""

    def __init__(self, texts: Sequence[str], settings: ModelSettings, say: Say | None) -> None:
        self._texts, self._say = texts, say or (lambda _: None)
        self._encoder = load_encoder(settings)
        self.model_digest = self._encoder.digest
        digest = hashlib.blake2b("\0".join([self.model_digest, *texts]).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self._folder, self._name = settings.cache_dir / "bench", f"v{_VERSION}-{digest}"

    def real(self) -> NDArray[np.float16]:
        """Return the texts' vectors, (texts, dim) float16; the first call embeds them."""
        return self._kept("real", len(self._texts), self._encoder.dim, np.float16, lambda: _encoded(self._encoder, self._texts))

    def catalogue(self, n: int, seed: int) -> NDArray[np.float16]:
        """Return the real vectors, then derived ones, (n, dim) float16; a larger catalogue's file serves a smaller one."""
        real = self.real()
        if n <= len(real):
            return real[:n]
        larger = [int(path.stem.rsplit("-", 1)[1]) for path in self._folder.glob(f"{self._name}-seed{seed}-*.npy")]
        rows = min((size for size in larger if size >= n), default=n)
        return self._kept(f"seed{seed}-{rows}", rows, real.shape[1], np.float16, lambda: self._derived(real, rows, seed))[:n]

    def _derived(self, real: NDArray[np.float16], n: int, seed: int) -> Iterator[NDArray[np.float16]]:
        wide = real.astype(np.float32)
        self._say(f"finding neighbours among {len(real):,} real vectors")
        neighbours = self._kept("neighbours", len(real), 16, np.int32, lambda: iter([near_neighbours(wide)]))
        yield from (real[start : start + CHUNK] for start in range(0, len(real), CHUNK))
        yield from derive(wide, np.asarray(neighbours), n - len(real), seed)

    def _kept(self, part: str, rows: int, columns: int, dtype: Any, make: Callable[[], Iterable[NDArray[Any]]]) -> NDArray[Any]:
        """Return the file of a part, memory-mapped; where it is missing or of another shape it is made, and appears as a whole."""
        path = self._folder / f"{self._name}-{part}.npy"
        with suppress(OSError, ValueError):
            kept: NDArray[Any] = np.load(path, mmap_mode="r")
            if kept.shape == (rows, columns) and kept.dtype == dtype:
                return kept
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            file = np.lib.format.open_memmap(draft, "w+", dtype, (rows, columns))
            self._fill(file, part, make())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]

    def _fill(self, file: NDArray[Any], part: str, chunks: Iterable[NDArray[Any]]) -> None:
        self._say(f"making {len(file):,} rows of {part}, which are kept in {self._folder}")
        done = 0
        with _progress() as bar:
            task = bar.add_task(f"vectors: {part}", total=len(file), note="")
            for chunk in chunks:
                file[done : done + len(chunk)] = chunk
                done += len(chunk)
                bar.update(task, completed=done)


def _encoded(encoder: Encoder, texts: Sequence[str]) -> Iterator[NDArray[np.float16]]:
    for start in range(0, len(texts), _BATCH):
        yield encoder.encode(texts[start : start + _BATCH]).astype(np.float16)


def _progress() -> Any:
    from streamrec.cli.output import progress  # noqa: PLC0415 - rich is only needed where something is made

    return progress()
