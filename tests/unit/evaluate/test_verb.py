"""The verb replays a small stream from end to end and prints figures that can be told by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streamrec.cli.app import root
from streamrec.evaluate.abuse import Fraud
from streamrec.evaluate.tables import COLUMNS, markdown, rows
from tests.unit.evaluate.toys import T0

HOME_KEYS = {"hr@10", "hr@20", "mrr@20", "ndcg@20", "recall@20", "coverage", "longtail_recall", "longtail_share", "novelty"}
COST_KEYS = {"ms", "ms_p99", "learn_ms", "bytes", "freshness_s"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Forty visitors walk the same five items in the same order, each on a day of the own kind of goods."""
    folder = tmp_path / "walks"
    folder.mkdir()
    names = [f"{kind}-{n}" for kind in ("mug", "sofa") for n in range(5)]
    items = [{"item_id": name, "title": name.replace("-", " "), "category": name.split("-")[0], "ts": T0} for name in names]
    events = [
        {
            "topic": "events.clicks",
            "key": f"v{visitor}",
            "value": {"item_id": names[5 * (visitor % 2) + step], "ts": T0 + visitor * 7_200_000 + step * 1000},
        }
        for visitor in range(40)
        for step in range(5)
    ]
    (folder / "catalogue.jsonl").write_text("\n".join(map(json.dumps, items)))
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    return folder


def evaluated(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("STREAMREC_MODEL__NAME", "hashing")
    monkeypatch.setenv("STREAMREC_INDEX__KIND", "exact")
    result = CliRunner().invoke(root, ["evaluate", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_method_has_its_figures_under_both_protocols(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = ["streamrec", "popular", "recent_popular", "last_item", "item_knn", "vmis_knn", "content"]
    chosen = [part for name in methods for part in ("--method", name)]
    found = evaluated("--data", str(shop), *chosen, "--sample", "0", monkeypatch=monkeypatch)
    for stream in ("walks", "walks:new"):
        assert set(found["streams"][stream]) == set(methods)
        for figures in found["streams"][stream].values():
            assert figures.keys() >= HOME_KEYS | COST_KEYS
            assert figures["interval95"]["hr@20"][0] <= figures["hr@20"] <= figures["interval95"]["hr@20"][1]
    # Whoever met something is after one of four others of ten items: with lists of twenty everybody finds it.
    assert {figures["hr@20"] for figures in found["streams"]["walks:new"].values()} == {1.0}
    # The walk is always the same, so its next item comes first for whoever looks at the last one.
    new = found["streams"]["walks:new"]
    assert new["last_item"]["mrr@20"] > 0.8 > new["popular"]["mrr@20"]
    # Ours knows what belongs to the walk and not in which order: better than the ten items in any order, whose MRR is H(10) / 10.
    assert new["streamrec"]["mrr@20"] > sum(1 / rank for rank in range(1, 11)) / 10
    assert found["data"]["walks"]["interactions"] == 200
    assert found["data"]["walks"]["asked"] == 160


def test_session_protocol_and_ablation_stand_beside_the_replay(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        "--data",
        str(shop.parent),
        "--method",
        "streamrec",
        "--method",
        "vmis_knn",
        "--ablation",
        "--session-days",
        "1",
        "--sample",
        "30",
    ]
    found = evaluated(*arguments, monkeypatch=monkeypatch)
    assert set(found["sessions"]["walks"]) == {"streamrec", "vmis_knn"}
    parts = set(found["ablation"]["walks"])
    assert {"streamrec", "without content", "without together", "without exploration"} <= parts
    whole = found["ablation"]["walks"]["streamrec"]
    assert {key: whole[key] for key in HOME_KEYS} == {key: found["streams"]["walks"]["streamrec"][key] for key in HOME_KEYS}


def test_the_same_seed_gives_the_same_figures(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--data", str(shop), "--method", "item_knn", "--sample", "30", "--seed", "3"]
    first, second = (evaluated(*arguments, monkeypatch=monkeypatch)["streams"]["walks"]["item_knn"] for _ in range(2))
    unsteady = {"ms", "ms_p99", "learn_ms", "bytes"}
    assert {k: v for k, v in first.items() if k not in unsteady} == {k: v for k, v in second.items() if k not in unsteady}


def test_people_get_tables_the_best_method_first(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_MODEL__NAME", "hashing")
    chosen = ["--method", "popular", "--method", "last_item"]
    result = CliRunner().invoke(root, ["evaluate", "--data", str(shop), *chosen], catch_exceptions=False)
    assert result.exit_code == 0
    assert "streams: walks:new" in result.stdout
    assert result.stdout.index("last_item") < result.stdout.index("popular")


def test_fraud_stands_beside_the_replay_for_programs_and_for_people(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamrec.evaluate.abuse.FRAUDS", {"a few": Fraud(4, 5)})
    arguments = ["--data", str(shop), "--method", "popular", "--fraud"]
    found = evaluated(*arguments, monkeypatch=monkeypatch)["fraud"]["walks"]
    assert set(found["frauds"]["a few"]) == {"undefended", "defended"}
    text = CliRunner().invoke(root, ["evaluate", *arguments], catch_exceptions=False).stdout
    assert "fraud: walks" in text


def test_the_session_protocol_alone_leaves_the_replay_out(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--data", str(shop), "--method", "popular", "--no-online"]
    found = evaluated(*arguments, "--session-days", "1", monkeypatch=monkeypatch)
    assert found["streams"] == {}
    assert set(found["sessions"]["walks"]) == {"popular"}
    # Twelve visitors of the last day, each asked about four items.
    assert found["data"]["walks"]["asked"] == 48
    nothing = CliRunner().invoke(root, ["evaluate", *arguments])
    assert nothing.exit_code == 2
    assert "give --session-days or --fraud" in nothing.output


def test_an_unknown_method_and_a_folder_without_data_say_what_to_do(tmp_path: Path) -> None:
    unknown = CliRunner().invoke(root, ["evaluate", "--method", "magic"])
    assert unknown.exit_code == 2
    assert "choose from streamrec, popular" in unknown.output
    empty = CliRunner().invoke(root, ["evaluate", "--data", str(tmp_path)])
    assert empty.exit_code == 2
    assert "correct --data" in empty.output


def test_a_table_in_markdown_has_a_row_for_each_method() -> None:
    figures = {"hr@10": 0.1, "hr@20": 0.2, "mrr@20": 0.05, "diversity": None, "bytes": 2_500_000}
    lines = rows({"worse": figures | {"mrr@20": 0.01}, "better": figures})
    assert [line[0] for line in lines] == ["better", "worse"]
    text = markdown(COLUMNS, lines).splitlines()
    assert len(text) == 4
    assert text[2].startswith("| better | 0.1 | 0.2 | 0.05 |")
    assert "| - |" in text[2]
    assert "| 2.5 |" in text[2]
