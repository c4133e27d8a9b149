"""The bench of the transport compares like with like: every engine handles the same clicks, and what is missing is said."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from streamrec.bench.transport.clicks import real_clicks
from streamrec.bench.transport.compare import run
from streamrec.bench.transport.engines import ENGINES, missing, run_engine
from streamrec.bench.transport.tally import TOPIC, Job, Tally
from streamrec.cli.app import root
from streamrec.errors import ConfigError, DataError, LocalStackError
from streamrec.events import Click, Stock, decode, encode

NOW_MS = 1_767_225_600_000


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Give a data set of 3,000 clicks."""
    lines = [
        {"topic": TOPIC, "key": f"user-{n % 70}", "value": {"item_id": f"item-{n % 900}", "ts": NOW_MS + n}} for n in range(3000)
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.integration
def test_every_engine_handles_the_same_clicks_in_one_run(shop: Path) -> None:
    result = run(messages=3000, rounds=1, latencies=20, broker="embedded", data=shop, engines=["streamrec", "raw"])
    assert set(result["rates"]) == {"streamrec", "raw"}
    assert all(rate > 0 for rate in result["rates"].values())
    assert set(result["ratios"]) == {"to_raw"}
    assert all(n >= 3000 for n in result["messages"].values())
    assert 0 < result["p50_ms_at_100"] <= result["p99_ms_at_100"]
    assert result["latencies"] == 20
    assert (result["broker"], result["missing"]) == ("embedded", {})
    assert all(30 < mib < 2000 for mib in result["rss_mb"].values())
    assert "confluent-kafka" in result["versions"]["streamrec"]


@pytest.mark.integration
def test_a_peer_that_is_not_installed_is_null_and_told_how_to_get(shop: Path) -> None:
    nowhere = shop.parent / "no" / "python"
    arguments = ["--broker", "embedded", "--data", str(shop), "--peers-python", str(nowhere), "--rounds", "1", "--latencies", "0"]
    outcome = CliRunner().invoke(root, ["bench", "transport", *arguments, "--engine", "bytewax", "--json"])
    assert outcome.exit_code == 0, outcome.output
    result = json.loads(outcome.stdout)
    assert result["rates"]["bytewax"] is None
    assert "make bench-peers" in result["missing"]["bytewax"]


def test_all_peers_are_missing_where_their_interpreter_is() -> None:
    assert set(missing(Path("/no/python"))) == {engine.name for engine in ENGINES if engine.package}


def test_an_engine_that_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"flink.*streamrec, raw"):
        run(engines=["flink"])


def test_every_engine_has_its_module() -> None:
    spec = {engine.module for engine in ENGINES}
    assert all(importlib.util.find_spec(f"streamrec.bench.transport.engine_{module}") for module in spec)


def test_an_engine_that_fails_says_why(tmp_path: Path) -> None:
    [raw] = [engine for engine in ENGINES if engine.name == "raw"]
    broken = type(raw)("broken", "of_nobody", "")
    with pytest.raises(LocalStackError, match="of_nobody"):
        run_engine(broken, "127.0.0.1:1", 1, tmp_path, Path(sys.executable))


def test_the_clicks_are_valid_and_as_many_as_there_are(shop: Path) -> None:
    _, pairs = real_clicks(10_000, shop)
    assert len(pairs) == 3000
    key, value = pairs[5]
    assert decode(TOPIC, key, value, NOW_MS).value == Click(item_id="item-5", ts=NOW_MS + 5)


def test_a_data_set_without_clicks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = {"topic": "items.stock", "key": "a", "value": json.loads(encode(Stock(quantity=1, ts=NOW_MS), "items.stock"))}
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(DataError, match="no clicks"):
        real_clicks(5, path)


def test_a_tally_counts_from_the_first_message_to_the_last_and_ends_once(tmp_path: Path) -> None:
    """What came together with the first message took no time that was measured."""
    ended: list[bool] = []
    path = tmp_path / "result.json"
    tally = Tally(Job("nowhere:1", "g", 10, str(path)), ("msgspec", "no-such-package"), lambda: ended.append(True))
    for n in (4, 4, 4, 4):
        tally.count(n)
    assert ended == [True]
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["messages"] == 12
    assert result["per_s"] > 0
    assert result["versions"]["no-such-package"] == "not installed"
