"""``streamrec model``: what is asked for, what is refused, and what is shown."""

from __future__ import annotations

import json

import pytest

from streamrec.config import ModelSettings
from streamrec.embedding import HashingEncoder
from streamrec.events import ModelPlan
from tests.unit.cli.fakes import NOW_MS, FakeParts, run

OLD, NEW = HashingEncoder().digest, HashingEncoder(96, seed="another").digest
HOUR = 3_600_000


@pytest.fixture
def parts() -> FakeParts:
    found = FakeParts()
    found.settings = found.settings.model_copy(update={"model": ModelSettings(name="hashing", threads=3)})
    found.heartbeat("r1", "recommender", model=OLD)
    return found


def _planned(parts: FakeParts) -> ModelPlan:
    plan = parts.memory_broker.plan()
    assert plan is not None
    return plan


def test_use_asks_for_the_model_and_names_the_one_before(parts: FakeParts) -> None:
    result = run(parts, "model", "use", "hashing-96", "--keep", "2h")
    assert result.exit_code == 0
    assert "the way back is `streamrec model use hashing`" in result.stdout
    plan = _planned(parts)
    assert (plan.version, plan.wanted.digest, plan.wanted.dim, plan.plain, plan.ts) == (1, NEW, 96, OLD, NOW_MS)
    assert plan.previous is not None
    assert (plan.previous.digest, plan.previous.settings, plan.keep_until) == (OLD, {"name": "hashing"}, NOW_MS + 2 * HOUR)


def test_the_way_back_takes_the_plans_own_model_and_keeps_the_plain_slot(parts: FakeParts) -> None:
    run(parts, "model", "use", "hashing-96")
    parts.heartbeat("r1", "recommender", model=NEW, plan=1)
    assert run(parts, "model", "use", "hashing").exit_code == 0
    plan = _planned(parts)
    assert plan.previous is not None
    assert (plan.version, plan.wanted.digest, plan.previous.digest, plan.plain) == (2, OLD, NEW, OLD)


def test_a_change_that_is_called_off_before_anybody_left_keeps_what_was_begun(parts: FakeParts) -> None:
    run(parts, "model", "use", "hashing-96")
    assert run(parts, "model", "use", "hashing").exit_code == 0
    plan = _planned(parts)
    assert plan.previous is not None
    assert (plan.wanted.digest, plan.previous.digest) == (OLD, NEW)


def test_while_recommenders_differ_the_model_before_is_the_one_that_some_still_serve(parts: FakeParts) -> None:
    run(parts, "model", "use", "hashing-96")
    parts.heartbeat("r2", "recommender", model=NEW, plan=1)
    parts.settings = parts.settings.model_copy(update={"model": ModelSettings(name="hashing")})
    assert run(parts, "model", "use", "hashing", "--set", "max_tokens=64").exit_code == 0
    plan = _planned(parts)
    assert plan.wanted.settings == {"name": "hashing", "max_tokens": 64}
    assert plan.previous is not None
    assert plan.previous.digest == NEW  # what is wanted is the old one: the new one is what is left


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nonsense",), "nonsense"),
        (("hashing-96", "--set", "max_tokens"), "write SETTING=VALUE"),
        (("hashing-96", "--set", "magic=1"), "magic"),
    ],
)
def test_what_cannot_be_opened_here_is_not_asked_for(parts: FakeParts, arguments: tuple[str, ...], says: str) -> None:
    result = run(parts, "model", "use", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert parts.memory_broker.sent == []


def test_what_is_wanted_already_is_not_asked_for_again(parts: FakeParts) -> None:
    run(parts, "model", "use", "hashing-96")
    result = run(parts, "model", "use", "hashing-96")
    assert result.exit_code == 2
    assert "already" in result.stderr
    assert _planned(parts).version == 1


def test_settings_that_do_not_name_the_model_that_is_served_are_refused(parts: FakeParts) -> None:
    """The way back would lead to a model that the shop never had."""
    parts.heartbeat("r1", "recommender", model="ab12")
    result = run(parts, "model", "use", "hashing-96")
    assert result.exit_code == 2
    assert "answer from the model ab12" in result.stderr
    assert parts.memory_broker.sent == []


def test_wait_returns_when_every_recommender_answers_from_it(parts: FakeParts) -> None:
    parts.heartbeat("r1", "recommender", model=NEW, plan=7)
    parts.heartbeat("r2", "recommender", model=OLD)
    parts.memory_broker.sent.clear()
    run(parts, "model", "use", "hashing-96")
    parts.heartbeat("r2", "recommender", model=NEW, plan=2)
    result = run(parts, "model", "use", "hashing", "--json")
    assert json.loads(result.stdout)["seconds"] is None
    parts.heartbeat("r1", "recommender", model=NEW, plan=9)
    parts.heartbeat("r2", "recommender", model=NEW, plan=9)
    result = run(parts, "model", "use", "hashing-96", "--wait", "--json")
    assert json.loads(result.stdout)["seconds"] < 5


def test_status_shows_coverage_and_rate_and_whether_it_is_done(parts: FakeParts) -> None:
    assert "no change was asked for" in run(parts, "model", "status").stdout
    run(parts, "model", "use", "hashing-96")
    parts.heartbeat("r1", "recommender", model=OLD, next_model=NEW, next_model_percent=40, plan=1)
    parts.heartbeat(
        "e1", "embedder", in_play=f"{NEW} {OLD}", embedded=400, embedded_previous=1000, pass_left=600, pass_per_s=200, plan=1
    )
    result = run(parts, "model", "status")
    assert result.exit_code == 1
    assert "600 records of the catalogue left, 200 vectors/s: about 3 s" in result.stdout
    found = json.loads(run(parts, "model", "status", "--json").stdout)
    assert (found["recommenders"][0]["percent"], found["left"], found["per_s"], found["done"]) == (40, 600, 200, False)
    assert found["embedders"][0]["in_play"] == [NEW, OLD]
    parts.heartbeat("r1", "recommender", model=NEW, next_model=OLD, next_model_percent=100, plan=1)
    result = run(parts, "model", "status", "--json")
    assert (result.exit_code, json.loads(result.stdout)["recommenders"][0]["percent"]) == (0, 100)
