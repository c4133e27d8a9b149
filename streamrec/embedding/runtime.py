"""Opens ONNX sessions: on the GPU where one can really be used, else on the CPU, and quietly either way."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import onnxruntime as ort

from streamrec.errors import ModelError

_log: Final = logging.getLogger(__name__)
_TRIAL: Final = """
import sys, onnxruntime as ort
ort.preload_dlls()
used = ort.InferenceSession(sys.argv[1], providers=["CUDAExecutionProvider"]).get_providers()
sys.exit(0 if "CUDAExecutionProvider" in used else 1)
"""
_TRIAL_TIMEOUT_S: Final = 120.0
_ERROR: Final = 3  # onnxruntime's severity scale; its warnings concern graph optimisation and device discovery


def open_session(path: Path, *, provider: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0) -> ort.InferenceSession:
    """Load a graph; ``threads`` 0 means one per core that this process may use.

    ``auto`` takes CUDA when a device, its driver and its libraries are there, else the CPU with one log line that says why.
    Raises ModelError when the file is no graph, or when ``cuda`` is demanded and cannot be had.
    """
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if provider != "cpu":
        problem = cuda_problem(path)
        if problem is None:
            _preload()
            # Shapes change from batch to batch: memory that grows by doubling would soon hold twice what is needed.
            providers.insert(0, ("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"}))
        elif provider == "cuda":
            msg = f"model.provider is cuda, but {problem}; install what is missing or set model.provider to auto"
            raise ModelError(msg)
        else:
            _log.info("encoder runs on the CPU: %s", problem)
    try:
        session = ort.InferenceSession(str(path), _options(threads), providers=providers)
        # Where a provider fails, onnxruntime would print a line and go on on the CPU: our runner does that, and says it.
        session.disable_fallback()
        return session  # noqa: TRY300 - nothing but the constructor fails
    except Exception as error:  # onnxruntime raises its own types, and RuntimeError
        if len(providers) > 1 and provider == "auto":
            _log.warning("encoder runs on the CPU: CUDA refused the session (%s)", error)
            return open_session(path, provider="cpu", threads=threads)
        msg = (
            f"{path} cannot be loaded as an ONNX graph ({error}); correct model.onnx_path, or delete the file if it is a cached one"
        )
        raise ModelError(msg) from error


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    # A number of our own keeps onnxruntime from pinning its threads to cores, which fails noisily in containers.
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    # Waiting threads sleep: other worker processes need these cores between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERROR
    return options


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cuda_problem(graph: Path) -> str | None:
    """Say in words why ``graph`` cannot run on CUDA here; None when it can.

    Where a device is found, a process of its own tries: onnxruntime prints an error for each library that it misses, and a wrong
    pair of driver and library can end the process.
    """
    return _driver_problem() or _trial_problem(graph)


def _driver_problem() -> str | None:
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return "this onnxruntime is built without CUDA (install onnxruntime-gpu)"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1)"
    devices = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(devices)) != 0 or devices.value == 0:
        return "the NVIDIA driver finds no device"
    return None


def _trial_problem(graph: Path) -> str | None:
    command = [sys.executable, "-c", _TRIAL, str(graph)]
    try:
        trial = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TRIAL_TIMEOUT_S)  # noqa: S603 - our own code
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the trial session did not end ({error})"
    if trial.returncode == 0:
        return None
    if missing := re.search(r"(\S+): cannot open shared object file", trial.stderr):
        return f"{missing[1]} is missing (pip install 'onnxruntime-gpu[cuda,cudnn]')"
    last = trial.stderr.strip().splitlines()[-1:]
    return f"a trial session failed with status {trial.returncode} ({last[0] if last else 'no message'})"


def _preload() -> None:
    """Load the CUDA libraries of installed wheels; what it prints about optional ones is no news to the operator."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ort.preload_dlls()
    _log.debug("onnxruntime.preload_dlls: %s", printed.getvalue())
