"""The verbs against a real broker, Redis and worker: what is published is served, what is bad is told and can be mended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streamrec.cli.app import root
from streamrec.config import KafkaSettings, Settings
from streamrec.events.topics import TOPICS
from streamrec.local import LocalStack
from tests.brokers import KIND
from workers.transport.producer import Producer

pytestmark = pytest.mark.integration

PUBLIC = sorted(name for name, topic in TOPICS.items() if not topic.internal)
WORKER = {"STREAMREC_MODEL__NAME": "hashing"}


@pytest.fixture(scope="module")
def running() -> Iterator[LocalStack]:
    """Run a stack with its topics and one worker that plays every role."""
    with LocalStack(kind=KIND) as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment().items():
            patch.setenv(name, value)
        assert verb("topics", "create").exit_code == 0
        stack.worker(["availability", "embedder", "recommender", "aggregator"], WORKER).wait_ready(90.0)
        yield stack


def verb(*arguments: str) -> Result:
    result = CliRunner().invoke(root, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def publish(*arguments: str) -> None:
    assert verb("publish", *arguments).exit_code == 0


def answer(*arguments: str) -> Any:
    return json.loads(verb(*arguments, "--json").stdout)


def until(law: Callable[[], bool], patience_s: float = 60.0) -> None:
    """Wait until the law holds; fail when it does not within ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while not law():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def shown(user_id: str) -> list[str]:
    return [item["id"] for item in answer("top", user_id)["items"]]


def test_a_merchant_and_a_visitor_by_the_command_line(running: LocalStack) -> None:
    for number in range(1, 6):
        assert verb("publish", "item", f"cup-{number}", "--title", f"Espresso cup {number}", "--category", "cups").exit_code == 0
    until(lambda: answer("why", "ann", "cup-5")["reasons"] != ["not in the catalogue"])
    publish("click", "ann", "cup-1")
    publish("cart", "ann", "cup-2")
    until(lambda: "cup-3" in shown("ann") and "cup-2" not in shown("ann"))
    assert answer("why", "ann", "cup-3")["shown"] is True
    assert "in the cart" in " ".join(answer("why", "ann", "cup-2")["reasons"])

    publish("stock", "cup-3", "0")
    until(lambda: "cup-3" not in shown("ann"))
    # The guard hides it before the recommender, which answers why, has read the same fact.
    until(lambda: "sold out" in " ".join(answer("why", "ann", "cup-3")["reasons"]))
    publish("stock", "cup-3", "4")
    until(lambda: "cup-3" in shown("ann"))

    def found(*arguments: str) -> set[str]:
        return {item["id"] for item in answer(*arguments)["items"]}

    publish("item", "pot-1", "--title", "Espresso pot", "--category", "pots", "--brand", "A & B", "--price", "20")
    until(lambda: "pot-1" in found("search", "espresso", "--price-max", "20"))
    until(lambda: found("search", "espresso", "--category", "pots", "--brand", "A & B") == {"pot-1"})
    assert found("search", "espresso cup", "-n", "3") <= {f"cup-{number}" for number in range(1, 6)}
    assert found("similar", "cup-1", "--price-min", "20") == {"pot-1"}
    publish("price", "pot-1", "30")
    until(lambda: "pot-1" not in found("search", "espresso", "--price-max", "20"))  # what other tests left may be as cheap
    refused = verb("search", "espresso", "--price-min", "9", "--price-max", "1")
    assert (refused.exit_code, "exchange them" in refused.stderr) == (2, True)
    publish("item", "pot-1", "--remove")

    assert verb("doctor").exit_code == 0, verb("doctor").stdout
    gone = answer("forget", "ann")
    assert gone["deleted"].keys() == {"profile:{ann}", "rec:{ann}", "rec:{ann}:cart"}
    assert answer("top", "ann")["source"] == "fallback"


def _poison(topic: str, now_ms: int) -> list[bytes]:
    """Return a malformed, an oversized and a future-dated message."""
    return [
        b'{"quantity": oops',
        b'{"title": "' + b"x" * TOPICS[topic].max_value_bytes + b'"}',
        json.dumps(_valid(topic, now_ms + 86_400_000)).encode(),
    ]


def _valid(topic: str, ts: int) -> dict[str, Any]:
    fields: dict[str, dict[str, Any]] = {
        "items.catalog": {"title": "Mended cup"},
        "items.price": {"price": 3.0},
        "items.stock": {"quantity": 4},
        "promo.campaigns": {"action": "boost", "targets": {"brands": ["Lavo"]}, "starts_at": ts, "ends_at": ts + 1},
        "events.clicks": {"item_id": "mended"},
        "events.carts": {"item_id": "mended", "op": "add"},
        "events.orders": {"lines": [{"item_id": "mended"}]},
        "events.searches": {"query": "cup"},
        "events.impressions": {"item_ids": ["mended"]},
    }
    return fields[topic] | {"ts": ts}


def test_poison_on_every_topic_is_told_once_and_mended_by_redriving(running: LocalStack) -> None:
    settings = Settings.load()
    now_ms = time.time_ns() // 1_000_000
    before = len(answer("dlq", "list", "--all"))
    _send(settings.kafka, [(topic, value) for topic in PUBLIC for value in _poison(topic, now_ms)])
    until(lambda: len(answer("dlq", "list", "--all")) >= before + 3 * len(PUBLIC))
    letters = answer("dlq", "list")
    for topic in PUBLIC:
        reasons = [letter["reason"] for letter in letters if letter["source"]["topic"] == topic]
        assert len(reasons) == 3, (topic, reasons)
        for part in ("in the future", "JSON is malformed", f"bytes, at most {TOPICS[topic].max_value_bytes} on {topic}"):
            assert sum(part in reason for reason in reasons) == 1, (topic, part, reasons)

    # The stream went on: what comes after the poison has its effect.
    publish("stock", "mended", "0")
    until(lambda: "sold out" in " ".join(answer("why", "bob", "mended")["reasons"]))
    assert verb("dlq", "redrive", "--reason", "in the future").exit_code == 1  # the cause is not mended yet
    outcomes = answer("dlq", "redrive", "--reason", "in the future", "--restamp")
    assert [outcome["sent"] for outcome in outcomes] == [True] * len(PUBLIC)
    until(lambda: "Mended cup" in verb("new").stdout)
    assert [letter for letter in answer("dlq", "list") if "in the future" in letter["reason"]] == []
    assert len(answer("dlq", "list", "--all")) == before + 3 * len(PUBLIC)  # none of them was refused again


def _send(kafka: KafkaSettings, messages: list[tuple[str, bytes]]) -> None:
    with Producer(kafka) as producer:
        for topic, value in messages:
            producer.send(topic, "mended", value)
