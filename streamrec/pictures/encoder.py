"""Any image encoder that is an ONNX graph."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.runtime import open_session
from streamrec.errors import ModelError
from streamrec.pictures import efficientnet
from streamrec.pictures.decoding import decode
from streamrec.pictures.settings import PictureSettings

#: Pictures that the graph is given at once: what a core's caches hold.
_BATCH: Final = 16
#: Changes whenever the built-in graph is written or used differently, so that what is cached is seen anew.
_BUILDER_VERSION: Final = "efficientnet-onnx-1"


class Eye(Protocol):
    """Turns pictures into features; the same bytes always give the same numbers."""

    @property
    def dim(self) -> int:
        """Numbers per picture."""
        ...

    @property
    def digest(self) -> str:
        """16 hex characters that change with whatever changes the features."""
        ...

    def look(self, content: bytes) -> NDArray[np.uint8]:
        """Return a picture's pixels as ``see`` takes them; raises Refused for bytes that are no picture."""
        ...

    def see(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one row of features per picture, (n, dim) float32."""
        ...


class PictureEncoder:
    """Scales pictures to ``size``, takes ``mean``, divides by ``std``, and pools what the graph gives.

    Raises ModelError when the file is no graph, or wants or gives something else.
    """

    def __init__(self, graph: Path, settings: PictureSettings, *, identity: str = "") -> None:
        self._settings = settings
        self._session = open_session(graph, provider=settings.provider, threads=settings.threads)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            msg = f"{graph} wants the inputs {[one.name for one in inputs]}; export it with one, the pixels"
            raise ModelError(msg)
        self._input, self._output = inputs[0].name, self._session.get_outputs()[0].name
        self._mean, self._std = (np.array(three, np.float32) for three in (settings.mean, settings.std))
        self.digest = _digest(graph, settings, identity)
        self.dim = self.see([np.zeros((settings.input_size, settings.input_size, 3), np.uint8)]).shape[1]

    def look(self, content: bytes) -> NDArray[np.uint8]:
        """Return (size, size, 3) uint8 pixels; see ``decode``."""
        return decode(content, self._settings.input_size, self._settings.max_pixels)

    def see(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return one row of features per picture, (n, dim) float32, in batches of 16."""
        rows = [self._run(np.stack(pixels[start : start + _BATCH])) for start in range(0, len(pixels), _BATCH)]
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        settings = self._settings
        ordered = pixels if settings.channels == "rgb" else pixels[..., ::-1]
        values = (ordered.astype(np.float32) - self._mean) / self._std
        fed = np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if settings.layout == "nchw" else values
        output: NDArray[Any] = self._session.run([self._output], {self._input: fed})[0]
        return pool(output, settings.pooling, settings.layout)


def pool(output: NDArray[Any], pooling: str, layout: str) -> NDArray[np.float32]:
    """Return (n, dim) float32 of a graph's output: (n, dim) as it is, a map's mean over its places, or the first of some tokens.

    Raises ModelError when output and pooling do not fit together.
    """
    fits = {"none": (2,), "mean": (3, 4), "cls": (3,)}[pooling]
    if output.ndim not in fits:
        msg = f"the graph's output has shape {output.shape}, which pictures.pooling={pooling!r} does not take; correct it"
        raise ModelError(msg)
    rows: NDArray[np.float32] = output.astype(np.float32, copy=False)
    if pooling == "cls":
        return np.ascontiguousarray(rows[:, 0])
    if pooling == "mean":
        places = (1,) if rows.ndim == 3 else (2, 3) if layout == "nchw" else (1, 2)
        mean: NDArray[np.float32] = rows.mean(axis=places)
        return mean
    return rows


def load_eye(settings: PictureSettings, cache_dir: Path) -> PictureEncoder:
    """Return the encoder that the settings name; the first use of the built-in one writes its graph to ``cache_dir``.

    Raises ModelError when its files are missing or do not load.
    """
    if settings.model == "onnx" and settings.onnx_path is not None:
        if not settings.onnx_path.is_file():
            msg = f"pictures.onnx_path is {settings.onnx_path}, which is not a file; correct it"
            raise ModelError(msg)
        return PictureEncoder(settings.onnx_path, settings)
    means, stds = (efficientnet.MEAN,) * 3, (efficientnet.STD,) * 3
    own = {"mean": means, "std": stds, "channels": "rgb", "layout": "nchw", "pooling": "none"}
    return PictureEncoder(build(cache_dir), settings.model_copy(update=own), identity=f"{_BUILDER_VERSION}-{efficientnet.SHA256}")


def build(cache_dir: Path) -> Path:
    """Return the built-in encoder's graph in ``cache_dir``, written from the installed weights where it is not there (18 MB)."""
    folder = cache_dir.expanduser() / "models"
    path = folder / f"{efficientnet.NAME}-{_BUILDER_VERSION}-{efficientnet.SHA256[:12]}.onnx"
    if path.is_file():
        return path
    from streamrec.pictures import efficientnet_graph  # noqa: PLC0415 - 0.1 s and 30 MB that only the first use needs

    content = efficientnet_graph.build(efficientnet.read_weights(efficientnet.packaged_weights())).SerializeToString()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o644)  # a container may build as one user and run as another
        Path(file.name).replace(path)
    except OSError as error:
        msg = f"the model cache {folder} cannot be written ({error}); set STREAMREC_MODEL__CACHE_DIR to a folder that can"
        raise ModelError(msg) from error
    return path


def _digest(graph: Path, settings: PictureSettings, identity: str) -> str:
    digest = hashlib.sha256(identity.encode())
    if not identity:
        with graph.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    use = (settings.input_size, settings.mean, settings.std, settings.channels, settings.layout, settings.pooling)
    digest.update(repr(use).encode())
    return digest.hexdigest()[:16]
