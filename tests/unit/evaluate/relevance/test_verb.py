"""The verb measures a small labelled shop from end to end; what is not installed is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streamrec.cli.app import root
from streamrec.evaluate.relevance import lexical
from tests.unit.evaluate.relevance.toys import write_lines, write_own


@pytest.fixture(autouse=True)
def _words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_MODEL__NAME", "hashing")
    monkeypatch.setenv("STREAMREC_INDEX__KIND", "exact")


def measured(*arguments: str) -> Any:
    result = CliRunner().invoke(root, ["relevance", *arguments, "--encoder", "hashing", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_method_has_its_figures_under_both_protocols(tmp_path: Path) -> None:
    found = measured("--data", str(write_own(tmp_path / "shop")))
    methods = {"bm25", "hashing/exact", "hashing/hnsw", "hashing/rrf", "hashing/weighted"}
    assert set(found["retrieval"]["shop"]) == {"judged", "whole"}
    for protocol in ("judged", "whole"):
        rows = found["retrieval"]["shop"][protocol]
        assert set(rows) == methods
        for row in rows.values():
            assert row["ndcg@10"] == 1.0
            assert row["interval95"]["ndcg@10"] == [1.0, 1.0]
            assert row["queries"] == 4
        assert rows["bm25"].keys() & {"lead_over_hnsw"} == set()
        assert rows["hashing/rrf"]["lead_over_hnsw"] == {"ndcg@10": 0.0, "interval95": [0.0, 0.0]}
    assert set(found["lists"]["shop"]["hashing"]) == {"visits", "streamrec", "without search"}
    assert found["data"]["shop"]["judgements"] == {"0": 4, "3": 16}
    assert found["encoders"]["hashing"]["ms_per_query"]["shop"] > 0
    assert found["missing"] == {}


def test_what_is_not_installed_is_named_and_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "find_spec", lambda name: None if name == "bm25s" else object())
    found = measured("--data", str(write_own(tmp_path / "shop")), "--no-lists")
    assert found["missing"] == {"bm25": "bm25s not installed; run: pip install 'streamrec[bench]'"}
    assert set(found["retrieval"]["shop"]["whole"]) == {"hashing/exact", "hashing/hnsw"}
    assert found["lists"] == {}


def test_pairs_and_translations_stand_beside_each_other(tmp_path: Path) -> None:
    pairs = [
        {"query": f"甲{n}乙", "title": f"甲{n}乙 丙丁" if fits else "戊己", "label": str(2 * fits)}
        for n in range(6)
        for fits in (0, 1)
    ]
    write_lines(tmp_path / "qbqtc" / "test_public.jsonl.gz", pairs)
    titles = [
        {"id": word, "title": word, "source": "gold_dev", "entities": [[0, 2, "4", word]]} for word in ("键盘", "鼠标", "耳机")
    ]
    write_lines(tmp_path / "jd" / "titles.jsonl.gz", titles)
    found = measured("--data", str(tmp_path))
    assert found["pairs"]["qbqtc"]["hashing/exact"]["auc_best_from_worst"] == 1.0
    assert found["pairs"]["qbqtc"]["bm25"]["same_query"] == 1.0
    assert set(found["retrieval"]["qbqtc"]) == {"whole"}
    english, chinese = found["retrieval"]["jd:en"]["whole"], found["retrieval"]["jd"]["whole"]
    assert chinese["bm25"]["ndcg@10"] == english["bm25"]["ndcg@10_of_originals"] == 1.0
    assert english["bm25"]["ndcg@10"] == 0.0


def test_queries_are_drawn_and_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    arguments = ("--data", str(write_own(tmp_path / "shop")), "--queries", "2", "--no-lists")
    first, second = (measured(*arguments)["retrieval"]["shop"]["whole"]["bm25"] for _ in range(2))
    assert first.pop("ms") > 0 < second.pop("ms")
    assert first["queries"] == 2
    assert first == second


def test_people_get_tables(tmp_path: Path) -> None:
    arguments = ["relevance", "--data", str(write_own(tmp_path / "shop")), "--encoder", "hashing"]
    result = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    for part in (
        "retrieval: shop: judged",
        "retrieval: shop: whole",
        "lists: shop: hashing",
        "clicks, then search",
        "hashing/hnsw",
    ):
        assert part in result.stdout


def test_wrong_data_and_an_unknown_encoder_say_what_to_do(tmp_path: Path) -> None:
    empty = CliRunner().invoke(root, ["relevance", "--data", str(tmp_path)])
    assert empty.exit_code == 2
    assert "judgements.csv" in empty.output
    shop = write_own(tmp_path / "shop", judgements="query,item_id,grade\nmug,mug-red,perfect\n")
    wrong = CliRunner().invoke(root, ["relevance", "--data", str(shop), "--encoder", "hashing"])
    assert wrong.exit_code == 2
    assert "line 2: the grade is 'perfect'" in wrong.output
    unknown = CliRunner().invoke(root, ["relevance", "--data", str(shop), "--encoder", "oracle"])
    assert unknown.exit_code == 2
    assert "must be one of" in unknown.output
