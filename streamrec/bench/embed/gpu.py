"""How near an encoder is to what the device can do: end to end, the session alone, the graph's arithmetic, the device's idle time.

Where no GPU is found the same is measured on the CPU, and ``provider`` says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from streamrec.bench.catalogue.titles import default_folder
from streamrec.bench.embed.texts import draw, mixed
from streamrec.config import ModelSettings, Settings
from streamrec.embedding import SentenceEncoder, load_encoder
from streamrec.embedding.batching import Batch
from streamrec.embedding.runtime import cores, cuda_problem

Progress = Callable[[str, int, int], None]

#: Dense float16 on the tensor cores of an H200 SXM, from NVIDIA's data sheet (which prints the double, with sparsity).
H200_TFLOPS: Final = 989.5
_MODELS: Final = ("use-multilingual-v3", "minilm-int8")
_MATRICES: Final = frozenset({"MatMul", "Gemm", "FusedGemm", "FusedMatMul", "MatMulIntegerToFloat"})
_SAMPLE_MS: Final = 100
#: Micro-batches, evenly of all lengths, whose operations are counted.
_SAMPLED: Final = 12


def run_gpu(
    texts: int,
    *,
    peak_tflops: float = 0.0,
    data: Path | None = None,
    settings: ModelSettings | None = None,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Return for each built-in model titles per second end to end and of the session alone, and the shares below.

    ``flops_per_title`` counts two for each multiplication of a matrix product of the graph, as onnxruntime's profile shows their
    shapes (padding counts, element-wise work does not). ``share_of_peak`` is session titles/s times that, by ``peak_tflops`` (0: an
    H200's, or on the CPU what a large float32 product reaches here). ``session_share`` is the session's time alone by the time end
    to end: 1 where the device never waits for a tokenizer. ``gpu_busy`` is the mean of nvidia-smi's utilisation end to end.
    """
    pool = mixed(draw(texts, data or default_folder()))
    model = settings or Settings.load().model
    results: dict[str, Any] = {}
    provider, peak, notes = "cpu", peak_tflops, list[str]()
    for name in _MODELS:
        wanted = {"name": name, "onnx_path": None, "tokenizer_path": None, "dim": 0}
        encoder = _load(model.model_copy(update={**wanted, "precision": "float16"}))
        if not encoder.on_gpu:  # float16 is no type that processors multiply in
            encoder = _load(model.model_copy(update={**wanted, "precision": "float32", "provider": "cpu"}))
        provider = "cuda" if encoder.on_gpu else "cpu"
        peak = peak or (H200_TFLOPS if encoder.on_gpu else _cpu_tflops())
        results[name] = _measure(encoder, pool, peak)
        progress("models", 1, len(_MODELS))
        if not encoder.on_gpu:
            notes = [f"measured on the CPU: {encoder.trouble or cuda_problem(encoder.graph) or 'model.provider is cpu'}"]
    return {
        "provider": provider,
        "texts": len(pool),
        "cores": cores(),
        "peak_tflops": round(peak, 3),
        "models": results,
        "notes": notes,
    }


def _load(settings: ModelSettings) -> SentenceEncoder:
    encoder = load_encoder(settings)
    assert isinstance(encoder, SentenceEncoder)
    return encoder


def _measure(encoder: SentenceEncoder, texts: list[str], peak_tflops: float) -> dict[str, Any]:
    encoder.encode(texts)  # warm: memory on the device is allocated, kernels are chosen
    with _busy_share(encoder.on_gpu) as busy:
        started = time.perf_counter()
        encoder.encode(texts)
        end_to_end_s = time.perf_counter() - started
    batches = list(encoder.prepare(texts))
    started = time.perf_counter()
    with ThreadPoolExecutor(encoder.lanes) as lanes:
        for _ in lanes.map(encoder.compute, batches):
            pass
    session_s = time.perf_counter() - started
    places = sum(batch.mask.size for batch in batches)
    sample = batches[:: max(len(batches) // _SAMPLED, 1)]
    per_place = _flops(encoder.graph, encoder.inputs, sample) / sum(batch.mask.size for batch in sample)
    flops = per_place * places / len(texts)
    return {
        "titles_per_s": round(len(texts) / end_to_end_s, 1),
        "session_titles_per_s": round(len(texts) / session_s, 1),
        "session_share": round(session_s / end_to_end_s, 3),
        "tokens_per_title": round(sum(int(batch.mask.sum()) for batch in batches) / len(texts), 1),
        "padding": round(1 - sum(int(batch.mask.sum()) for batch in batches) / places, 3),
        "mflops_per_title": round(flops / 1e6, 1),
        "share_of_peak": round(len(texts) / session_s * flops / (peak_tflops * 1e12), 3),
        "gpu_busy": round(fmean(busy) / 100, 3) if busy else None,
        "batch_tokens": encoder.batch_tokens,
        "trouble": encoder.trouble,
    }


@contextmanager
def _busy_share(on_gpu: bool) -> Iterator[list[float]]:
    """Fill the list with the device's utilisation in percent, sampled while the block runs; empty where nobody can say it."""
    samples: list[float] = []
    program = shutil.which("nvidia-smi") if on_gpu else None
    if program is None:
        yield samples
        return
    command = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0", f"--loop-ms={_SAMPLE_MS}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as sampler:  # noqa: S603 - our own words
        yield samples
        sampler.terminate()
        said, _ = sampler.communicate()
    samples += [float(line) for line in said.split() if line.replace(".", "", 1).isdigit()]


def _flops(graph: Path, inputs: Sequence[str], sample: Sequence[Batch]) -> float:
    """Return the operations of all matrix products of the sample, by the shapes that a profile on the CPU shows."""
    with tempfile.TemporaryDirectory(prefix="streamrec-profile-") as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # the products as they are written,
        options.add_session_config_entry("session.disable_prepacking", "1")  # with the shapes of both sides
        session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        for batch in sample:
            known = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": np.zeros_like(batch.ids)}
            session.run(None, {name: known[name] for name in inputs})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return sum(_operations(event) for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"))


def _operations(event: dict[str, Any]) -> float:
    kind = event["args"]["op_name"]
    shapes: list[list[int]] = [next(iter(one.values())) for one in event["args"].get("input_type_shape", [])]
    if kind in _MATRICES:
        return 2.0 * float(np.prod(shapes[0])) * shapes[1][-1]
    if kind == "MultiHeadAttention":  # (batch, length, width): scores, and their sums of values
        batch, length, width = shapes[0]
        return 4.0 * batch * length * length * width
    return 0.0


def _cpu_tflops() -> float:
    """Return what a product of two float32 matrices of 1024 by 1024 reaches on all cores, in 10¹² operations per second."""
    from onnx import TensorProto, helper  # noqa: PLC0415 - only here

    side = 1024
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [side, side]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "peak", infos[:2], infos[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores()
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    matrix = np.ones((side, side), dtype=np.float32)
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        session.run(None, {"a": matrix, "b": matrix})
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best / 1e12
