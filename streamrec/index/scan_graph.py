"""Exact search as ONNX graphs: a product of rows and queries, what may not be found masked out, boosts, and the best of the rest.

A graph sees one block of rows, so that its scores are bounded however many rows there are; the few best of each block are merged by
the caller. Rows are the left side of the product as they lie in memory, the few queries the right one: so nothing of the size of
the rows is turned or packed for a call (with 16 queries and 10,000 float32 rows 1.4 ms, the other way round 2.8).

The best are found in three steps: groups of sixteen rows by their best one, groups of four in the best sixteens, rows in the best
fours. The k best rows lie in the k best groups, of which equal ones go by place, so equal scores go by place too. Each step has
about four times as many to choose from as are chosen, for which onnxruntime's TopK selects; of many more it keeps a heap, which is
slower the larger k is. The mask is added, because one number a row can be part of the product.
"""

from __future__ import annotations

import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamrec.embedding.runtime import open_session
from streamrec.index.rows import GROUP

Storage = Literal["float32", "float16", "int8"]
Provider = Literal["auto", "cpu", "cuda"]

#: What is added to the score of a row that may not be found: far below any score, and no infinity, of which none is left by zero.
_NEVER: Final = np.float32(-3e38)
_NEVER_INT: Final = np.int32(-(1 << 30))
#: A power of the number to choose from; TopK selects where it is to find at least so many. Only speed depends on it.
_SELECTED: Final[float] = 0.73
_FOUR: Final = 4
#: int8 codes are kept as uint8, for which the processor has instructions: so much is added to each.
OFFSET: Final = 128
_CUDA: Final = "CUDAExecutionProvider"
#: By itself CUDA multiplies float32 with 10 bits of mantissa, by which scores are off by up to a thousandth, and doubles the memory
#: that it keeps with each need, though encoders want some too.
_CUDA_OPTIONS: Final = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
_OPSET: Final = 17
_IR_VERSION: Final = 9
_TYPES: Final = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int8": TensorProto.UINT8}
#: Numbers of a row of the trial below: as many as the widest instructions take at once, several times.
_TRIAL_DIM: Final = 256


def scan_model(storage: Storage, *, boosted: bool = False) -> onnx.ModelProto:
    """Return the checked graph that scores a block of rows.

    ``rows`` (n, d) in the storage's type, int8 as uint8 with ``OFFSET`` added, n a multiple of ``GROUP``; ``queries`` (q, d)
    float32, int8 for int8; ``allowed`` (n,) bool; ``groups``, ``fours`` and ``k`` (1,) int64, see ``wanted``; with ``boosted`` also
    ``boost`` (n, 1) float32, factors of scores. For int8 also ``slack`` (n, 1) int32, what is added to each row's score. Answers
    ``scores`` (q, k), float32 (int32 for int8 unless boosted), best first, and their ``places`` (q, k) int64 in the block; what
    is not allowed comes last, far below every score.
    """
    graph = _Graph()
    turned = graph.op("Transpose", "queries", perm=[1, 0])
    if storage == "int8":
        slack = graph.op("Add", "slack", graph.mask(_NEVER_INT)) if not boosted else "slack"
        scores = graph.op("Add", graph.op("MatMulInteger", "rows", turned, graph.constant(np.uint8(OFFSET))), slack)
        if boosted:
            scores = graph.op("Cast", scores, to=TensorProto.FLOAT)
    else:
        rows = graph.op("Cast", "rows", to=TensorProto.FLOAT) if storage == "float16" else "rows"
        scores = graph.op("MatMul", rows, turned)
    if boosted:
        scores = graph.op("Mul", scores, "boost")
    if boosted or storage != "int8":
        scores = graph.op("Add", scores, graph.mask(_NEVER))
    graph.best(graph.op("Transpose", scores, perm=[1, 0]))
    inputs = [
        ("rows", _TYPES[storage], ["n", "d"]),
        ("queries", TensorProto.INT8 if storage == "int8" else TensorProto.FLOAT, ["q", "d"]),
        ("allowed", TensorProto.BOOL, ["n"]),
        *((name, TensorProto.INT64, [1]) for name in ("groups", "fours", "k")),
        *([("slack", TensorProto.INT32, ["n", 1])] if storage == "int8" else []),
        *([("boost", TensorProto.FLOAT, ["n", 1])] if boosted else []),
    ]
    kind = TensorProto.INT32 if storage == "int8" and not boosted else TensorProto.FLOAT
    return _model(f"scan-{storage}", graph, inputs, [("scores", kind, ["q", "best"]), ("places", TensorProto.INT64, ["q", "best"])])


def wanted(k: int, rows: int) -> dict[str, NDArray[np.int64]]:
    """Return how many ``groups``, ``fours`` and rows (``k``) to take of a block so that its ``k`` best are among them."""
    groups = _taken(k, rows // GROUP)
    fours = _taken(k, groups * GROUP // _FOUR)
    return {name: np.array([n], np.int64) for name, n in (("groups", groups), ("fours", fours), ("k", min(k, rows)))}


def _taken(k: int, of: int) -> int:
    return min(of, max(k, math.ceil(math.pow(of, _SELECTED))))


def write_model(storage: Storage) -> onnx.ModelProto:
    """Return the checked graph that answers ``block`` (n, d) as ``written``, with ``rows`` (m, d) at ``places`` (m, 1) int64."""
    graph = _Graph()
    graph.op("ScatterND", "block", "places", "rows", output="written")
    kind = _TYPES[storage]
    inputs = [("block", kind, ["n", "d"]), ("places", TensorProto.INT64, ["m", 1]), ("rows", kind, ["m", "d"])]
    return _model(f"write-{storage}", graph, inputs, [("written", kind, ["n", "d"])])


@cache
def scan_session(storage: Storage, provider: Provider, threads: int, *, boosted: bool = False) -> ort.InferenceSession:
    """Return the session of ``scan_model``, opened once per process."""
    return _opened(scan_model(storage, boosted=boosted), provider, threads)


@cache
def write_session(storage: Storage, provider: Provider) -> ort.InferenceSession:
    """Return the session of ``write_model``, opened once per process."""
    return _opened(write_model(storage), provider, 1)


@cache
def query_range(threads: int) -> int:
    """Return how far an int8 query may go on this processor without any product being cut off: 127, or 63.

    Processors without instructions for sums of byte products add two of them in 16 bits, and 255 × 127 twice does not fit.
    """
    rows = np.full((GROUP, _TRIAL_DIM), 255, np.uint8)
    queries = np.full((1, _TRIAL_DIM), 127, np.int8)
    fed = {"rows": rows, "queries": queries, "allowed": np.ones(GROUP, np.bool_), "slack": np.zeros((GROUP, 1), np.int32)}
    found: list[NDArray[Any]] = scan_session("int8", "cpu", threads).run(["scores"], {**fed, **wanted(1, GROUP)})
    return 127 if int(found[0][0, 0]) == (255 - OFFSET) * 127 * _TRIAL_DIM else 63


def on_device(session: ort.InferenceSession) -> bool:
    """Tell whether a session runs on a GPU."""
    return bool(session.get_providers()[0] == _CUDA)


def _opened(model: onnx.ModelProto, provider: Provider, threads: int) -> ort.InferenceSession:
    with tempfile.TemporaryDirectory(prefix="streamrec-") as folder:
        path = Path(folder) / f"{model.graph.name}.onnx"
        onnx.save(model, str(path))
        session = open_session(path, provider=provider, threads=threads)
        if on_device(session):
            # The session is made anew from its file.
            session.set_providers([_CUDA, "CPUExecutionProvider"], [dict(_CUDA_OPTIONS), {}])
        return session


def _model(name: str, graph: _Graph, inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
    ins, outs = ([helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs))
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, ins, outs, graph.constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="streamrec",
    )
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Collects nodes and constants; ``op`` returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        return self.ops(kind, inputs, [output or f"t{len(self.nodes)}"], **attributes)[0]

    def ops(self, kind: str, inputs: tuple[str, ...], outputs: list[str], **attributes: Any) -> list[str]:
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def mask(self, never: Any) -> str:
        """Return what is to be added for ``allowed``, (n, 1): 0, or ``never``."""
        chosen = self.op("Where", "allowed", self.constant(never.dtype.type(0)), self.constant(never))
        return self.op("Unsqueeze", chosen, self.constant(np.array([1], np.int64)))

    def best(self, scores: str) -> None:
        """Answer the ``k`` best of (q, n) scores and their places."""
        by_four = self.op("Reshape", scores, self.constant(np.array([0, -1, _FOUR], np.int64)))
        fours = self.op("ReduceMax", by_four, axes=[2], keepdims=0)
        fours_by_group = self.op("Reshape", fours, self.constant(np.array([0, -1, GROUP // _FOUR], np.int64)))
        groups = self.op("ReduceMax", fours_by_group, axes=[2], keepdims=0)
        _, among = self.ops("TopK", (groups, "groups"), ["best_groups", "chosen_groups"], axis=1, sorted=0)
        chosen = self._ascending(among, "groups")
        _, among = self.ops(
            "TopK", (self._members(fours_by_group, chosen), "fours"), ["best_fours", "chosen_fours"], axis=1, sorted=0
        )
        chosen = self._of_members(chosen, self._ascending(among, "fours"))
        _, among = self.ops("TopK", (self._members(by_four, chosen), "k"), ["scores", "among"], axis=1)
        self._of_members(chosen, among, "places")

    def _ascending(self, places: str, n: str) -> str:
        """Order places again: TopK lets the first of equals go first, which is then the one whose place is lowest."""
        return self.ops("TopK", (places, n), [f"ascending_{n}", f"unused_{n}"], axis=1, largest=0)[0]

    def _members(self, by_parent: str, chosen: str) -> str:
        """Return the members of (q, m) chosen parents one after the other, (q, 4 m), out of (q, parents, 4)."""
        taken = self.op("GatherND", by_parent, self.op("Unsqueeze", chosen, self.constant(np.array([2], np.int64))), batch_dims=1)
        return self.op("Reshape", taken, self.constant(np.array([0, -1], np.int64)))

    def _of_members(self, chosen: str, among: str, output: str = "") -> str:
        """Return the places among all members of those that stand at ``among`` in what ``_members`` returned."""
        four = self.constant(np.int64(_FOUR))
        parents = self.op("GatherElements", chosen, self.op("Div", among, four), axis=1)
        return self.op("Add", self.op("Mul", parents, four), self.op("Mod", among, four), output=output)
