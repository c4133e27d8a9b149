"""An experiment through Kafka and Redis: lists name the variant, storefronts send it back, and the report finds all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streamrec.cli.app import root
from streamrec.config import Settings
from streamrec.events.topics import CATALOG, CLICKS, IMPRESSIONS, ORDERS
from streamrec.experiments.plan import Plan
from streamrec.experiments.reading import TOPICS, Reading
from streamrec.experiments.report import make_report
from streamrec.experiments.split import Split
from tests.integration.shop import Shop, await_until, now_ms
from workers.transport.history import history
from workers.transport.scan import scan

pytestmark = pytest.mark.integration

USERS = [f"user{number}" for number in range(40)]
EXPERIMENT = {
    "STREAMREC_EXPERIMENT__NAME": "tea",
    "STREAMREC_EXPERIMENT__VARIANTS": '[{"name": "control"}, {"name": "hot", "ranking": {"weight_content": 0, "weight_new": 5}}]',
}


def test_what_each_variant_was_shown_clicked_and_bought_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EXPERIMENT.items():
        monkeypatch.setenv(name, value)
    experiment = Settings.load().experiment
    split, labels = Split.of(experiment), experiment.labels
    with Shop(tmp_path, EXPERIMENT) as shop:
        shop.worker("embedder", "recommender")
        begun = now_ms()
        shop.publish([(CATALOG, f"i{n}", {"title": f"thing {n}", "category": f"c{n % 3}", "ts": begun}) for n in range(20)])
        shop.await_vectors(20)
        shop.publish([(CLICKS, user, {"item_id": f"i{n % 20}", "ts": begun + n}) for n, user in enumerate(USERS)])
        await_until(lambda: all(shop.storefront.top(user).source == "list" for user in USERS), "everybody's list")

        # What a storefront does: it shows an answer and tells so; the visitors of one variant click on what comes first.
        answers = {user: shop.storefront.top(user, 5) for user in USERS}
        assert {user: answer.variant for user, answer in answers.items()} == {user: labels[split.variant(user)] for user in USERS}
        ts = now_ms()
        shown = [
            (IMPRESSIONS, user, {"item_ids": answer.ids(), "ts": ts, "variant": answer.variant, "event_id": f"shown-{user}"})
            for user, answer in answers.items()
        ]
        hot = [user for user in USERS if split.variant(user) == 1]
        clicks = [
            (CLICKS, user, {"item_id": answers[user].ids()[0], "ts": ts + 1, "variant": answers[user].variant}) for user in hot
        ]
        order = {"lines": [{"item_id": "i1"}], "ts": ts + 2}
        nameless = {"item_ids": ["i1"], "ts": ts}
        shop.publish([*shown, *shown[:3], *clicks, (ORDERS, hot[0], order), (IMPRESSIONS, "stranger", nameless)])
        shop.publish([(CLICKS, "stranger", b"{")])

        for name, value in shop.stack.environment().items():
            monkeypatch.setenv(name, value)
        found = _told("experiment", "report", "--since", str(begun), "--until", "+1m")
        control_of, hot_of = found["variants"]
        assert (control_of["visitors"], hot_of["visitors"]) == (len(USERS) - len(hot), len(hot))
        assert (control_of["impressions"], hot_of["impressions"]) == (5 * control_of["visitors"], 5 * len(hot))
        assert (control_of["clicked"], hot_of["clicked"]) == (0, len(hot))
        assert (control_of["ordered"], hot_of["ordered"]) == (0, 1)
        assert hot_of["ctr"]["difference"]["value"] == pytest.approx(0.2)
        assert (found["events"]["repeated"], found["events"]["without_variant"]) == (3, 1)
        assert found["left_out"] == {"crossed": 0, "misplaced": 0, "unbounded": 0}
        assert any("1 records are no valid events" in note for note in found["notes"])

        # With hardly any room the topics are read several times, to the same end.
        plan = Plan.of(experiment, begun, found["until_ms"], window_ms=found["window_ms"])
        held = history(shop.kafka, TOPICS, begun - 300_000)
        reading = Reading(lambda: scan(shop.kafka, held), now_ms(), max_future_ms=300_000)
        small = json.loads(json.dumps(make_report(plan, reading, max_rows=150).plain()))
        assert {name: small[name] for name in ("variants", "events", "left_out")} == {
            name: found[name] for name in ("variants", "events", "left_out")
        }

        assert _told("why", hot[0], answers[hot[0]].ids()[0])["variant"] == "tea:hot"


def _told(*arguments: str) -> Any:
    """Return what a verb prints for programs."""
    result = CliRunner().invoke(root, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
