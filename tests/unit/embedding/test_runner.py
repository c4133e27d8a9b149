"""An encoder on a GPU goes on by itself: with smaller batches where memory is short, on the CPU once the GPU is gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from streamrec.embedding.onnx_encoder import SentenceEncoder
from streamrec.embedding.runner import CUDA, Runner
from streamrec.embedding.runtime import open_session
from tests.encoders import MULTILINGUAL, cosines, encoder

OUT_OF_MEMORY = "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 4585490524"
LOST = "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0 ; the launch timed out and was terminated"


class FakeSession:
    """Answers with each text's first id; holds ``memory`` places, breaks after ``runs`` of them, notes what it was given."""

    def __init__(self, provider: str, *, memory: int = 10**9, runs: int = 10**9) -> None:
        self.provider = provider
        self.memory = memory
        self.runs = runs
        self.shapes: list[tuple[int, ...]] = []
        self.lock = threading.Lock()

    def get_inputs(self) -> Sequence[Any]:
        return [SimpleNamespace(name="input_ids"), SimpleNamespace(name="attention_mask")]

    def get_outputs(self) -> Sequence[Any]:
        return [SimpleNamespace(name="rows")]

    def get_providers(self) -> Sequence[str]:
        return [self.provider, "CPUExecutionProvider"]

    def run(self, output_names: Sequence[str], input_feed: Any) -> Sequence[Any]:
        ids = input_feed["input_ids"]
        with self.lock:
            self.shapes.append(ids.shape)
            self.runs -= 1
            if self.runs < 0:
                raise RuntimeError(LOST)
        if ids.size > self.memory:
            raise RuntimeError(OUT_OF_MEMORY)
        return [ids[:, :1].astype(np.float32)]

    def io_binding(self) -> Any:
        raise AssertionError("nothing is bound here")

    def run_with_iobinding(self, iobinding: Any) -> None:
        raise AssertionError("nothing is bound here")


def runner(gpu: FakeSession, cpu: FakeSession | None = None) -> Runner:
    cpu = cpu or FakeSession("CPUExecutionProvider")
    return Runner(lambda where: cpu if where == "cpu" else gpu, "auto", bind=False)


def feeds(rows: int, length: int) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    ids = np.arange(rows, dtype=np.int64)[:, None] + np.zeros((1, length), dtype=np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def test_a_batch_that_the_gpu_cannot_hold_is_halved_until_it_can() -> None:
    gpu = FakeSession(CUDA, memory=50)
    run = runner(gpu)
    np.testing.assert_array_equal(run(feeds(20, 10))[:, 0], np.arange(20))
    assert run.halvings > 0
    assert run.on_gpu
    assert run.trouble == ""


def test_what_did_not_fit_is_remembered_and_not_tried_again() -> None:
    gpu = FakeSession(CUDA, memory=50)
    run = runner(gpu)
    run(feeds(20, 10))
    halvings = run.halvings
    np.testing.assert_array_equal(run(feeds(20, 10))[:, 0], np.arange(20))
    assert run.max_places == 50
    assert run.halvings == halvings


def test_a_single_text_that_the_gpu_cannot_hold_moves_the_encoder_to_the_cpu() -> None:
    run = runner(FakeSession(CUDA, memory=5))
    np.testing.assert_array_equal(run(feeds(3, 10))[:, 0], np.arange(3))
    assert not run.on_gpu
    assert "Failed to allocate memory" in run.trouble


def test_a_lost_gpu_hands_over_to_the_cpu_in_the_middle_of_the_work(caplog: pytest.LogCaptureFixture) -> None:
    gpu, cpu = FakeSession(CUDA, runs=2), FakeSession("CPUExecutionProvider")
    run = runner(gpu, cpu)
    with caplog.at_level(logging.ERROR):
        for rows in (1, 2, 3, 4):
            np.testing.assert_array_equal(run(feeds(rows, 4))[:, 0], np.arange(rows))
    assert [shape[0] for shape in cpu.shapes] == [3, 4]
    assert "CUDNN failure 4" in run.trouble
    assert len(caplog.records) == 1
    assert "restart the worker" in caplog.text


def test_threads_that_meet_the_same_loss_open_one_session_on_the_cpu() -> None:
    gpu, opened = FakeSession(CUDA, runs=0), []

    def opener(where: str) -> FakeSession:
        if where != "cpu":
            return gpu
        opened.append(FakeSession("CPUExecutionProvider"))
        return opened[-1]

    run = Runner(opener, "auto", bind=False)
    with ThreadPoolExecutor(8) as pool:
        for rows, answer in zip(range(1, 40), pool.map(lambda n: run(feeds(n, 3)), range(1, 40)), strict=True):
            np.testing.assert_array_equal(answer[:, 0], np.arange(rows))
    assert len(opened) == 1


def test_a_batch_that_no_device_would_take_is_no_loss_of_the_gpu() -> None:
    class Picky(FakeSession):
        def run(self, output_names: Sequence[str], input_feed: Any) -> Sequence[Any]:
            raise InvalidArgument("indices element out of data bounds")

    run = runner(Picky(CUDA))
    with pytest.raises(InvalidArgument):
        run(feeds(2, 2))
    assert run.on_gpu
    assert run.trouble == ""


def test_errors_on_the_cpu_are_raised_as_they_come() -> None:
    run = runner(FakeSession("CPUExecutionProvider", runs=0))
    with pytest.raises(RuntimeError, match="CUDNN"):
        run(feeds(2, 2))


class Flaky:
    """The real session of MiniLM that calls itself CUDA and breaks after so many runs, or holds so many places."""

    def __init__(self, session: Any, *, runs: int = 10**9, memory: int = 10**9) -> None:
        self._session = session
        self._fake = FakeSession(CUDA, runs=runs, memory=memory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> Sequence[str]:
        return self._fake.get_providers()

    def run(self, names: Sequence[str], fed: Any) -> Any:
        self._fake.run([], fed)
        return self._session.run(names, fed)


@pytest.mark.parametrize("trouble", [{"runs": 3}, {"memory": 300}])
def test_the_encoder_s_vectors_are_the_same_whatever_happens_to_its_gpu(trouble: dict[str, int]) -> None:
    """Through the whole encoder, with many texts in flight: none is lost, none is doubled, none is another one's."""
    real = encoder("minilm-int8")
    assert isinstance(real, SentenceEncoder)

    def opener(where: str) -> Any:
        session = open_session(real.graph, provider="cpu", threads=1)
        return session if where == "cpu" else Flaky(session, **trouble)

    texts = [f"{text} {i}" for i in range(3) for text in MULTILINGUAL]
    subject = SentenceEncoder(real._files, batch_tokens=512, opener=opener, bind=False)  # there is no CUDA to bind memory of
    vectors = subject.encode(texts)
    assert cosines(vectors, real.encode(texts)).min() >= 0.9999
    assert bool(subject.trouble) == ("runs" in trouble)
    assert subject.on_gpu == ("memory" in trouble)
    assert subject.batch_tokens <= 512
    assert ("memory" in trouble) == (subject.batch_tokens < 512)


def test_bound_memory_gives_what_plain_runs_give_shape_by_shape() -> None:
    """On the CPU, whose memory is bound as a GPU's is: buffers that are used again hold no leftovers of the batch before."""
    real = encoder("minilm-int8")
    assert isinstance(real, SentenceEncoder)

    def opener(where: str) -> Any:
        return open_session(real.graph, provider="cpu", threads=1)

    bound, plain = Runner(opener, "cpu", bind=True), Runner(opener, "cpu", bind=False)
    random = np.random.default_rng(5)
    for shape in [(2, 5), (3, 4), (2, 5), (1, 9), (2, 5)]:
        ids = random.integers(1000, 20_000, shape)
        fed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        np.testing.assert_array_equal(bound(fed), plain(fed))


def test_threads_share_bound_memory_one_at_a_time() -> None:
    """More threads than buffers, batches of few shapes: each gets its own batch's rows."""
    real = encoder("minilm-int8")
    assert isinstance(real, SentenceEncoder)

    def opener(where: str) -> Any:
        return open_session(real.graph, provider="cpu", threads=1)

    run = Runner(opener, "cpu", bind=True)
    fed = [{"input_ids": np.full((2, 4), 1000 + i), "attention_mask": np.ones((2, 4), dtype=np.int64)} for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, fed))
    for one, rows in zip(fed, together, strict=True):
        np.testing.assert_array_equal(rows, run(one))
    assert 1 <= len(run._idle) <= 4
