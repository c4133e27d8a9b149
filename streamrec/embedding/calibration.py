"""How large the numbers inside a graph get on real titles: what int8 needs to know before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from streamrec.embedding.calibration_texts import TEXTS
from streamrec.embedding.tokenizer import TextTokenizer


def measure(
    model: onnx.ModelProto, sites: Mapping[str, str], tokenizer: Path, *, max_tokens: int, split_unknown: bool
) -> dict[str, NDArray[np.float32]]:
    """Return for each site the largest magnitude of each channel of its value on ``TEXTS``, shape (channels,) float32."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    present = {output.name for output in probe.graph.output}
    for value in set(sites.values()) - present:
        probe.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # one order of summing on every machine
    options.log_severity_level = 3
    session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = list(sites)
    peaks: dict[str, NDArray[np.float32]] = {}
    for ids in TextTokenizer(tokenizer, max_tokens=max_tokens, split_unknown=split_unknown)(TEXTS):
        feeds = {"input_ids": np.array([ids], dtype=np.int64), "attention_mask": np.ones((1, len(ids)), dtype=np.int64)}
        values: list[NDArray[Any]] = session.run([sites[name] for name in names], feeds)
        for name, array in zip(names, values, strict=True):
            peak = np.abs(array.reshape(-1, array.shape[-1])).max(axis=0)
            peaks[name] = np.maximum(peaks[name], peak) if name in peaks else peak
    return peaks
