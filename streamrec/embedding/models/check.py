"""Whether an encoder still gives the vectors that it gave: a fixed set of titles, compared with stored vectors.

Another version of onnxruntime, another processor or device, a torn file, a prefix that was lost: all change vectors, and an index
whose vectors are of one meaning and its queries of another answers nonsense without an error. The stored vectors are of float32
on a CPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.config import ModelSettings
from streamrec.embedding.encoder import Encoder
from streamrec.embedding.model_files import write
from streamrec.embedding.models import hub
from streamrec.embedding.models.entry import ModelEntry
from streamrec.errors import ModelError

_PACKAGE: Final = "streamrec.embedding.models"
#: Cosine between a text's vector alone and in a batch.
_ALONE: Final = 0.9999


@dataclass(frozen=True)
class Texts:
    """What is embedded."""

    items: tuple[str, ...]
    queries: tuple[str, ...]

    def all(self) -> tuple[str, ...]:
        """Return the items, then the queries, in the order of the rows."""
        return self.items + self.queries


def texts() -> Texts:
    """Return the fixed texts."""
    held = json.loads(files(_PACKAGE).joinpath("check_texts.json").read_text(encoding="utf-8"))
    return Texts(tuple(held["items"]), tuple(held["queries"]))


def embed(encoder: Encoder) -> NDArray[np.float32]:
    """Return the vectors of the fixed texts, (texts, dim) float32: items as items, queries as queries."""
    known = texts()
    return np.vstack([encoder.encode(known.items), encoder.encode(known.queries, query=True)])


def stored(name: str, entry: ModelEntry) -> NDArray[np.float32] | None:
    """Return the stored vectors of the texts, (texts, dim) float32; None where there are none. Raises ModelError for a bad file."""
    if entry.check_vectors:
        path = Path(entry.check_vectors).expanduser()
        try:
            content = path.read_bytes()
        except OSError as error:
            msg = f"check_vectors of {name} cannot be read ({error}); write them: streamrec model check {name} --write {path}"
            raise ModelError(msg) from error
    else:
        held = files(_PACKAGE).joinpath("vectors", f"{name}.npy")
        if not held.is_file():
            return None
        content = held.read_bytes()
    try:
        vectors: NDArray[np.float32] = np.load(BytesIO(content), allow_pickle=False).astype(np.float32)
    except (ValueError, EOFError) as error:
        msg = f"the stored vectors of {name} are no .npy file ({error}); write them: streamrec model check {name} --write FILE"
        raise ModelError(msg) from error
    count = len(texts().all())
    if vectors.ndim != 2 or len(vectors) != count:
        msg = f"the stored vectors of {name} have the shape {vectors.shape}, not ({count}, dim); write them again: --write FILE"
        raise ModelError(msg)
    return vectors


def keep(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write vectors as the stored ones, in float16, whose rounding moves a cosine by less than 1e-6. Raises ModelError."""
    buffer = BytesIO()
    np.save(buffer, vectors.astype(np.float16), allow_pickle=False)
    write(path, buffer.getvalue())


def report(encoder: Encoder, entry: ModelEntry, settings: ModelSettings) -> dict[str, Any]:
    """Return the figures and the problems, each with what to do, as ``streamrec model check --json`` prints them."""
    name = settings.name
    vectors = embed(encoder)
    told: dict[str, Any] = {"model": name, "digest": encoder.digest, "dim": encoder.dim, "texts": len(vectors), "problems": []}
    problems: list[str] = told["problems"]
    if entry.hub is not None:
        problems += [
            f"{path} is not what was fetched: delete it and build again" for path in hub.damaged(settings.cache_dir, entry.hub)
        ]
    _sound(encoder, vectors, told)
    reference = stored(name, entry)
    told["compared"] = reference is not None
    if reference is not None:
        _compare(vectors, reference, entry.check_cosine, told)
    told["ok"] = not problems
    return told


def _sound(encoder: Encoder, vectors: NDArray[np.float32], told: dict[str, Any]) -> None:
    if not np.isfinite(vectors).all():
        told["problems"].append("some numbers are not finite: try model.precision = float32, then build the model again")
        return
    known = texts()
    alone = np.vstack([encoder.encode([text]) for text in known.items])
    least = float(_cosines(alone, vectors[: len(alone)]).min())
    told["alone_vs_batch_min"] = round(least, 6)
    if least < _ALONE:
        told["problems"].append(
            f"a text's vector depends on what else is in the batch (cosine {least:.4f}): the graph quantises whole batches by one "
            "scale, or reads padding; take another export of the model"
        )


def _compare(vectors: NDArray[np.float32], reference: NDArray[np.float32], threshold: float, told: dict[str, Any]) -> None:
    if vectors.shape != reference.shape:
        told["problems"].append(
            f"vectors have {vectors.shape[1]} numbers, the stored ones {reference.shape[1]}: compare dim and the graph's output "
            "with the entry"
        )
        return
    cosines = _cosines(vectors, reference)
    known = texts()
    worst = int(cosines.argmin())
    items, queries = cosines[: len(known.items)], cosines[len(known.items) :]
    told |= {
        "cosine_min": round(float(cosines.min()), 6),
        "cosine_mean": round(float(cosines.mean()), 6),
        "threshold": threshold,
        "worst": known.all()[worst],
        "below": [text for text, cosine in zip(known.all(), cosines, strict=True) if cosine < threshold],
    }
    if cosines.min() >= threshold:
        return
    if items.min() >= threshold > queries.max():
        advice = "queries differ and items do not: compare query_prefix with the entry"
    elif queries.min() >= threshold > items.max():
        advice = "items differ and queries do not: compare item_prefix with the entry"
    elif cosines.max() >= threshold:
        advice = "some texts differ and others do not: the tokenizer, or a language that this precision harms; build it again"
    else:
        advice = (
            "every text differs: other weights, another pooling, or both prefixes; compare pooling with the entry and build again"
        )
    told["problems"].append(
        f"cosine {cosines.min():.4f} < {threshold} to the stored vectors (worst: {known.all()[worst]!r}); {advice}"
    )


def _cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    result: NDArray[np.float32] = np.einsum("ij,ij->i", left, right) / np.maximum(norms, np.float32(1e-12))
    return result
