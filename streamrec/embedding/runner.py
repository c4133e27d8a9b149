"""Runs an encoder's graph where it can: on the GPU, in smaller batches where its memory is short, on the CPU once it is gone."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from streamrec.troubles import enter

_log: Final = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]
Feeds = Mapping[str, NDArray[np.int64]]

CUDA: Final = "CUDAExecutionProvider"
#: What onnxruntime, CUDA, cuBLAS and cuDNN say when memory is short; there is no type of its own for it.
_NO_MEMORY: Final = ("failed to allocate memory", "out of memory", "alloc_failed", "smaller than requested bytes")
#: These are about the graph or what it is fed with; the CPU would refuse them as well.
_OURS: Final = (ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.NotImplemented)
#: Shapes whose buffers on the device are kept for the next batch of that shape.
_KEPT_SHAPES: Final = 32


class Session(Protocol):
    """What is used of ``onnxruntime.InferenceSession``."""

    def get_inputs(self) -> Sequence[Any]:
        """Describe the inputs."""
        ...

    def get_outputs(self) -> Sequence[Any]:
        """Describe the outputs."""
        ...

    def get_providers(self) -> Sequence[str]:
        """Name what it runs on, first choice first."""
        ...

    def run(self, output_names: Sequence[str], input_feed: Any) -> Sequence[Any]:
        """Compute outputs from arrays."""
        ...

    def io_binding(self) -> Any:
        """Return an empty binding of inputs and outputs to memory."""
        ...

    def run_with_iobinding(self, iobinding: Any) -> None:
        """Compute what is bound from what is bound."""
        ...


#: Opens the graph on ``auto``, ``cpu`` or ``cuda``.
Opener = Callable[[Literal["auto", "cpu", "cuda"]], Session]


class Runner:
    """Runs feeds of (n, length) and returns the graph's first output; any number of threads may call it at once.

    On a GPU: when its memory does not hold a batch, the batch is halved until it does, and ``max_places`` remembers what did not
    fit. When the GPU fails in any other way, or cannot hold a single text, a session on the CPU takes over for good, and
    ``trouble`` says why; the batch that met the failure is computed there. A GPU that is lost takes its context in this process
    with it, so nothing but a restart brings it back. On the CPU errors are raised as they come.
    """

    def __init__(self, opener: Opener, provider: Literal["auto", "cpu", "cuda"], *, bind: bool | None = None) -> None:
        self._open = opener
        self._lock = threading.Lock()
        self._session = opener(provider)
        self._idle: list[_Bound] = []
        #: Bound memory pays where batches travel to a device; tests bind on the CPU.
        self._bind = self.on_gpu if bind is None else bind
        #: Places (texts times length) that a batch may have; 0 as long as every one did fit.
        self.max_places = 0
        #: How often a batch was halved.
        self.halvings = 0
        #: Why it runs on the CPU though it had a GPU; empty if it is well.
        self.trouble = ""
        enter(self)

    @property
    def session(self) -> Session:
        """The session of the moment."""
        return self._session

    @property
    def on_gpu(self) -> bool:
        """Whether the session of the moment runs on a GPU."""
        return self._session.get_providers()[0] == CUDA

    def __call__(self, feeds: Feeds) -> NDArray[Any]:
        """Return the output's rows for all texts of ``feeds``."""
        session = self._session
        rows, length = next(iter(feeds.values())).shape
        if 0 < self.max_places < rows * length and rows > 1:
            return self._halves(feeds, rows)
        try:
            return self._compute(session, feeds)
        except _OURS:
            raise
        except Exception as error:  # onnxruntime raises its own types, and RuntimeError
            if session.get_providers()[0] != CUDA:
                raise
            if rows > 1 and _is_memory(error):
                self._shrink(rows * length, error)
                return self._halves(feeds, rows)
            self._leave(session, error)
            return self(feeds)

    def _halves(self, feeds: Feeds, rows: int) -> NDArray[Any]:
        half = rows // 2
        first = self({name: value[:half] for name, value in feeds.items()})
        rest = self({name: value[half:] for name, value in feeds.items()})
        return np.concatenate([first, rest])

    def _shrink(self, places: int, error: Exception) -> None:
        with self._lock:
            self.halvings += 1
            wanted = max(places // 2, 1)
            if not self.max_places or wanted < self.max_places:
                self.max_places = wanted
                _log.warning("the GPU's memory does not hold %d tokens at once, %d from now on: %s", places, wanted, str(error))

    def _leave(self, failed: Session, error: Exception) -> None:
        with self._lock:
            if self._session is not failed:
                return  # another thread met the same failure and was first
            self._session = self._open("cpu")
            self._idle.clear()
            self._bind = False
            self.max_places = 0
            self.trouble = f"the GPU failed, and the encoder runs on the CPU: {error}"
            _log.error("%s; see that the GPU works, then restart the worker", self.trouble)

    def _compute(self, session: Session, feeds: Feeds) -> NDArray[Any]:
        if self._bind:
            return self._bound(session, feeds)
        output: NDArray[Any] = session.run([session.get_outputs()[0].name], feeds)[0]
        return output

    def _bound(self, session: Session, feeds: Feeds) -> NDArray[Any]:
        """Compute on memory that no other thread uses now; what a batch failed on is not used again."""
        with self._lock:
            bound = self._idle.pop() if self._idle else _Bound(session)
        if bound.session is not session:
            bound = _Bound(session)
        rows = bound(feeds)
        with self._lock:
            self._idle.append(bound)
        return rows


class _Bound:
    """Memory on the device for one batch at a time: inputs are copied to where the last one of their shape lay.

    Ids and mask are 16 bytes per token, for which an encoder does some ten million multiplications: the copy of one thread's batch
    is over long before the batch of another thread is computed.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._device: Device = "cuda" if session.get_providers()[0] == CUDA else "cpu"
        self._output = session.get_outputs()[0].name
        self._binding = session.io_binding()
        self._inputs: OrderedDict[tuple[int, ...], dict[str, Any]] = OrderedDict()

    def __call__(self, feeds: Feeds) -> NDArray[Any]:
        shape = next(iter(feeds.values())).shape
        values = self._inputs.get(shape)
        if values is None:
            values = {
                name: ort.OrtValue.ortvalue_from_shape_and_type(value.shape, value.dtype.type, self._device)
                for name, value in feeds.items()
            }
            self._inputs[shape] = values
            if len(self._inputs) > _KEPT_SHAPES:
                self._inputs.popitem(last=False)
        self._inputs.move_to_end(shape)
        for name, value in feeds.items():
            values[name].update_inplace(np.ascontiguousarray(value))
            self._binding.bind_ortvalue_input(name, values[name])
        # The device decides where the output lies: its shape depends on the graph.
        self._binding.bind_output(self._output, self._device)
        self.session.run_with_iobinding(self._binding)
        output: NDArray[Any] = self._binding.copy_outputs_to_cpu()[0]
        return output


def _is_memory(error: Exception) -> bool:
    said = str(error).lower()
    return any(sign in said for sign in _NO_MEMORY)
