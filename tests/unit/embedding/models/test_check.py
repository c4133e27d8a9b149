"""Whether a check passes what is the same, and tells what differs and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.config import ModelSettings
from streamrec.embedding import Encoder
from streamrec.embedding.encoder import unit_rows
from streamrec.embedding.models import ModelEntry, check, entry_of
from streamrec.errors import ModelError
from tests.encoders import encoder

KNOWN = check.texts()


class Remembered:
    """Gives each text a direction of its own; ``turned`` texts get another one."""

    name, dim, digest = "mine", 16, "0" * 16

    def __init__(self, items: bool = False, queries: bool = False, one: str = "", batches: bool = False) -> None:
        self._turned = {False: items, True: queries}
        self._one = one
        self._batches = batches

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        rows = []
        for text in texts:
            seed = sum(text.encode()) + 1000 * query + 77 * (self._turned[query] or text == self._one) + self._batches * len(texts)
            rows.append(np.random.default_rng(seed).standard_normal(self.dim))
        return unit_rows(np.array(rows, np.float32))


def entry(tmp_path: Path, **more: object) -> ModelEntry:
    check.keep(tmp_path / "mine.npy", check.embed(Remembered()))
    fields = {"paths": {"graph": "g", "tokenizer": "t"}, "check_vectors": str(tmp_path / "mine.npy"), **more}
    return ModelEntry.model_validate(fields)


def told(subject: Encoder, tmp_path: Path) -> tuple[bool, str]:
    found = check.report(subject, entry(tmp_path), ModelSettings(name="mine"))
    return found["ok"], "; ".join(found["problems"])


@pytest.mark.parametrize("name", ["use-multilingual-v3", "minilm-int8", "multilingual-e5-small"])
def test_the_real_models_give_the_stored_vectors(name: str) -> None:
    settings = ModelSettings(name=name)
    found = check.report(encoder(name), entry_of(settings), settings)
    assert (found["ok"], found["problems"], found["compared"], found["texts"]) == (True, [], True, 28)
    assert found["cosine_min"] >= found["threshold"]


def test_the_same_vectors_are_the_same(tmp_path: Path) -> None:
    assert told(Remembered(), tmp_path) == (True, "")


@pytest.mark.parametrize(
    ("subject", "advice"),
    [
        (Remembered(queries=True), "compare query_prefix"),
        (Remembered(items=True), "compare item_prefix"),
        (Remembered(one=KNOWN.items[3]), "the tokenizer, or a language"),
        (Remembered(items=True, queries=True), "another pooling"),
        (Remembered(batches=True), "depends on what else is in the batch"),
    ],
)
def test_what_differs_tells_where_to_look(subject: Encoder, advice: str, tmp_path: Path) -> None:
    ok, problems = told(subject, tmp_path)
    assert not ok
    assert advice in problems


def test_another_dimension_is_told_and_not_compared(tmp_path: Path) -> None:
    subject = Remembered()
    subject.dim = 8
    assert "8 numbers, the stored ones 16" in told(subject, tmp_path)[1]


def test_what_is_not_finite_is_told(tmp_path: Path) -> None:
    class Broken(Remembered):
        def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
            return super().encode(texts, query=query) * np.float32("nan")

    assert "not finite" in told(Broken(), tmp_path)[1]


def test_float16_is_enough_to_store() -> None:
    held = check.stored("minilm-int8", entry_of(ModelSettings(name="minilm-int8")))
    assert held is not None
    assert held.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(held, axis=1), 1.0, atol=1e-3)


def test_a_model_without_stored_vectors_is_looked_at_alone() -> None:
    alone = ModelEntry.model_validate({"paths": {"graph": "g", "tokenizer": "t"}})
    found = check.report(Remembered(), alone, ModelSettings(name="mine"))
    assert (found["ok"], found["compared"]) == (True, False)


def test_stored_vectors_that_are_none_are_refused_with_how_to_write_them(tmp_path: Path) -> None:
    mine = entry(tmp_path)
    for content in (b"no numbers", (tmp_path / "mine.npy").read_bytes()[:-8]):
        (tmp_path / "mine.npy").write_bytes(content)
        with pytest.raises(ModelError, match=r"streamrec model check mine --write"):
            check.stored("mine", mine)
    np.save(tmp_path / "mine.npy", np.zeros((3, 4), np.float16))
    with pytest.raises(ModelError, match=r"shape \(3, 4\), not \(28, dim\)"):
        check.stored("mine", mine)
    (tmp_path / "mine.npy").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        check.stored("mine", mine)
