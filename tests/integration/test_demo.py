"""The whole demo on a tiny shop: real broker, Redis, workers and storefront; and the same file replayed twice."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random

import pytest

from streamrec.demo import DemoOptions, open_data, replay_twice, run_demo
from streamrec.demo.actions import Rates
from streamrec.demo.view import PlainView
from tests.brokers import KIND
from tests.processes import check_ctrl_c_leaves_nothing_behind

pytestmark = pytest.mark.integration

#: The hashing encoder loads in no time; the demo that people run has the real one.
QUICK = {"STREAMREC_MODEL__NAME": "hashing", "STREAMREC_LOG_LEVEL": "WARNING"}
TS = 1_767_225_600_000
KINDS = ("mug", "lamp", "chair", "bowl")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of 400 items and 30 visitors, each of whom likes one kind of thing."""
    folder = tmp_path_factory.mktemp("shop")
    rng = Random(3)
    items = [
        {"item_id": f"i{n}", "title": f"{KINDS[n % 4]} no {n}", "category": KINDS[n % 4], "price": 5.0, "ts": TS}
        for n in range(400)
    ]
    events = []
    for n in range(60_000):
        visitor = rng.randrange(30)
        item = f"i{4 * rng.randrange(100) + visitor % 4}"
        ts = TS + 1000 * n
        click = {"item_id": item, "ts": ts, "event_id": f"c{n}"}
        events.append({"topic": "events.clicks", "key": f"u{visitor}", "value": click})
        if n % 40 == 0:
            order = {"lines": [{"item_id": item}], "ts": ts, "event_id": f"o{n}"}
            events.append({"topic": "events.orders", "key": f"u{visitor}", "value": order})
        if n % 25 == 0:
            events.append({"topic": "items.price", "key": f"i{rng.randrange(400)}", "value": {"price": 1 + n % 9, "ts": ts}})
    (folder / "catalogue.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def test_the_demo_measures_every_latency_and_finds_no_violation(shop: Path, tmp_path: Path) -> None:
    options = DemoOptions(
        seconds=8.0,
        data=shop,
        report=tmp_path / "r.json",
        rate=60.0,
        read_rate=200.0,
        warm_up_s=3.0,
        patience_s=5.0,
        view=False,
        rates=Rates(soldout=3.0, price=3.0, campaign=0.5, new_item=0.5),
        log_dir=tmp_path / "logs",
        environment=QUICK,
        broker=KIND,
    )
    report = run_demo(options)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["violations"] == {"count": 0, "kinds": {}, "examples": []}
    assert report.exit_code == 0
    assert found["reads"] > 100
    assert found["lists_pushed"] > 0
    assert found["items"] > 390
    assert {"clicks", "stock", "price", "campaigns"} <= found["events"].keys()
    assert {name for name, latency in found["latency_ms"].items() if not latency["n"]} == set()


@pytest.mark.embedded_only
def test_the_same_file_replayed_twice_changes_nothing(shop: Path, tmp_path: Path) -> None:
    said: list[str] = []
    view = PlainView(said.append)
    result = replay_twice(open_data(shop), 1500, items=400, view=view, log_dir=tmp_path / "logs", environment=QUICK)
    assert result.equal, "\n".join(result.lines())
    assert result.parts["profiles"].equal == result.parts["lists"].equal == 30
    assert said[-1] == "replayed twice = replayed once"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.embedded_only
def test_ctrl_c_ends_the_demo_and_leaves_no_process_behind(shop: Path, tmp_path: Path) -> None:
    arguments = ["demo", "--data", str(shop), "--seconds", "300", "--no-view", "--broker", KIND]
    # Broker, Redis, four workers, storefront.
    check_ctrl_c_leaves_nothing_behind(
        arguments, tmp_path / "out", environment={**os.environ, **QUICK}, when=b"warming up", children=7
    )
