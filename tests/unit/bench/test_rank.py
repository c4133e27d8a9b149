"""The bench of ranking reports figures of the real thing on a small world."""

from __future__ import annotations

import json

import pytest

from streamrec.bench import rank
from streamrec.embedding import HashingEncoder
from streamrec.errors import DataError


def test_every_figure_is_a_positive_number_that_json_can_hold() -> None:
    figures = rank.run(200, 12, batches=(1, 8), encoder=HashingEncoder(16))
    assert json.loads(json.dumps(figures)) == figures
    assert figures["visitors"] == 12
    for name in ("ms_first", "ms_again"):
        assert set(figures[name]) == {"1", "8"}
        assert all(value > 0 for value in figures[name].values())
    assert all(value > 0 for name, value in figures.items() if name.endswith("_us"))


def test_without_the_data_set_products_are_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: None) -> None:
        raise DataError("not installed")

    monkeypatch.setattr(rank, "open_data", absent)
    figures = rank.run(80, 4, batches=(4,), encoder=HashingEncoder(16))
    assert (figures["catalogue"], figures["items"], figures["distinct_texts"]) == ("synthetic", 80, 20)
