"""The smaller parts: what is counted, what workers say, who is in the shop, and which fact must stand."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
import redis

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact as StoredFact
from streamrec.demo import fleet
from streamrec.demo.ledger import Fact, Ledger
from streamrec.demo.outbox import Outbox
from streamrec.demo.probes import Board, Priced
from streamrec.demo.visitors import Visitors
from streamrec.events import Click, Price, Stock, decode
from streamrec.events.topics import CATALOG, CLICKS, PRICE, STOCK
from streamrec.lists import keys
from streamrec.lists.functions import ensure_functions

TS = 1_767_225_600_000


class Sent:
    def __init__(self) -> None:
        self.messages: list[tuple[str, str, bytes | None]] = []

    def send(self, topic: str, key: str, value: bytes | None) -> None:
        self.messages.append((topic, key, value))


def test_the_outbox_sends_valid_messages_and_counts_them_by_kind() -> None:
    sent = Sent()
    outbox = Outbox(sent)
    outbox.publish(CLICKS, "u", Click(item_id="a", ts=TS))
    outbox.publish(CLICKS, "u", Click(item_id="b", ts=TS))
    outbox.publish(CATALOG, "a", None)
    assert outbox.snapshot() == {"clicks": 2, "catalog": 1}
    topic, key, value = sent.messages[0]
    assert decode(topic, key.encode(), value, TS).value == Click(item_id="a", ts=TS)
    assert sent.messages[2] == (CATALOG, "a", None)


def test_the_slowest_recommender_decides_how_much_is_loaded(redis_client: redis.Redis) -> None:
    assert fleet.vectors(fleet.heartbeats(redis_client)) == 0
    for number, (role, vectors) in enumerate((("recommender", 10), ("recommender", 7), ("embedder", 3))):
        beat = {"id": str(number), "roles": [role], "vectors": vectors, "another": 1}
        redis_client.set(keys.worker(str(number)), msgspec.json.encode(beat))
    redis_client.set(keys.worker("broken"), b"{")
    beats = fleet.heartbeats(redis_client)
    assert len(beats) == 3
    assert fleet.vectors(beats) == 7


def test_items_are_present_when_all_their_facts_stand(redis_client: redis.Redis) -> None:
    redis_client.hset(keys.item("a"), "title", "A")
    assert fleet.present(redis_client, ["a"])
    assert not fleet.present(redis_client, ["a", "b"])


def test_a_worker_that_does_not_answer_pushes_no_lists(redis_client: redis.Redis) -> None:
    redis_client.set(keys.worker("1"), msgspec.json.encode({"roles": ["recommender"], "url": "http://127.0.0.1:9"}))
    assert fleet.lists_pushed(redis_client) == 0


def test_a_counter_is_summed_over_its_labels_and_no_other_is() -> None:
    text = (
        "# HELP streamrec_lists_pushed_total How often.\n"
        'streamrec_lists_pushed_total{kind="home"} 1.5e+03\nstreamrec_lists_pushed_total{kind="cart"} 2.0\n'
        'streamrec_lists_pushed_created{kind="home"} 1.7e+09\nstreamrec_records_total{kind="x"} 9.0\n'
    )
    assert fleet.metric(text, "lists_pushed") == 1502.0


def test_visitors_are_bounded_and_sampled_without_repeats() -> None:
    visitors = Visitors(limit=3)
    for n in range(5):
        visitors.saw(f"u{n}", n)
    assert len(visitors) == 3
    assert sorted(visitors.sample(9, Random(1))) == ["u2", "u3", "u4"]
    assert (visitors.newest(), visitors.last_ns("u4"), visitors.last_ns("u0")) == ("u4", 4, 0)


@pytest.fixture
def facts(redis_client: redis.Redis) -> RedisFactStore:
    ensure_functions(redis_client)
    return RedisFactStore(redis_client)


def test_a_fact_that_stands_is_no_violation_and_another_is(redis_client: redis.Redis, facts: RedisFactStore) -> None:
    ledger = Ledger(redis_client)
    ledger.write("stock", "a", Fact(TS, 0))
    ledger.write("price", "a", Fact(TS, 2.5))
    facts.apply([StoredFact(STOCK, "a", Stock(quantity=0, ts=TS), 1), StoredFact(PRICE, "a", Price(price=2.5, ts=TS), 1)])
    assert ledger.audit(settled=False) == []
    redis_client.srem(keys.SOLDOUT, "a")
    assert [violation.kind for violation in ledger.audit(settled=False)] == ["wrong_order"]
    redis_client.sadd(keys.SOLDOUT, "a")
    redis_client.hset(keys.item("a"), "price", "0.01")
    assert "expected 2.5" in ledger.audit(settled=False)[0].detail


def test_only_settled_facts_are_checked_while_facts_are_under_way(redis_client: redis.Redis) -> None:
    ledger = Ledger(redis_client)
    ledger.write("price", "a", Fact(TS, 2.5))
    assert ledger.audit() == []
    ledger.settle("price", "a", TS - 1)
    assert ledger.audit() == [], "an older fact that was seen settles nothing"
    ledger.settle("price", "a", TS)
    assert len(ledger.audit()) == 1
    ledger.write("price", "a", Fact(TS + 1, 3.0))
    assert ledger.audit() == []


def test_items_that_the_data_set_speaks_about_are_not_checked(redis_client: redis.Redis) -> None:
    ledger = Ledger(redis_client)
    ledger.write("price", "a", Fact(TS, 2.5))
    ledger.strike("price", "a")
    assert ledger.audit(settled=False) == []


def test_an_effect_that_is_not_seen_counts_with_the_whole_waiting_time(redis_client: redis.Redis) -> None:
    board = Board(redis_client, patience_s=0.0)
    board.record(on=True)
    board.put(Priced("a", TS))
    while board.waiting():
        board.poll()
    assert board.unresolved == {"price_to_visible": 1}
    assert board.latencies["price_to_visible"] == [0.0]


def test_an_effect_that_could_not_happen_is_no_sample(redis_client: redis.Redis) -> None:
    board = Board(redis_client, patience_s=0.0)
    board.record(on=True)
    board.put(Priced("a", TS, on_lost=lambda: False))
    while board.waiting():
        board.poll()
    assert not board.unresolved
    assert not board.latencies["price_to_visible"]


def test_what_began_outside_the_recorded_time_is_no_sample(redis_client: redis.Redis) -> None:
    redis_client.hset(keys.item("a"), "price_ts", TS)
    board = Board(redis_client)
    early = Priced("a", TS)
    board.record(on=True)
    inside = Priced("a", TS)
    board.record(on=False)
    late = Priced("a", TS)
    for probe in (early, inside, late):
        assert board.put(probe)
    assert board.poll() == 3
    assert len(board.latencies["price_to_visible"]) == 1


def test_the_board_is_bounded(redis_client: redis.Redis) -> None:
    board = Board(redis_client, max_probes=1)
    assert board.put(Priced("a", TS))
    assert not board.put(Priced("b", TS))
