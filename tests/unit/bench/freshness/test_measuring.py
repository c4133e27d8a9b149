"""What is measured with: probes of many things at once, moments to come, the histogram, the scan, memory, options."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
import redis

from streamrec.bench.freshness.memory import memory_mb, used_bytes
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.probes import AllSoldOut, Mentions, OutOfAll, Rescored, Shown, Stamped, Told, entry
from streamrec.bench.freshness.scan import scan_lists
from streamrec.demo.agenda import Agenda
from streamrec.demo.histogram import Histogram
from streamrec.demo.probes import Board
from streamrec.errors import ConfigError
from streamrec.lists import keys
from streamrec.lists.packing import ListItem, RankedList, pack
from streamrec.local import LocalRedis


@pytest.fixture(scope="module")
def server() -> Iterator[LocalRedis]:
    """One Redis for all."""
    with LocalRedis() as server:
        yield server


@pytest.fixture
def client(server: LocalRedis) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


def put(client: redis.Redis, key: str, *item_ids: str, score: float = 0.5, why: str = "new") -> None:
    """Write a list."""
    client.set(key, pack(RankedList(1, tuple(ListItem(item_id, score, why) for item_id in item_ids))))


def sell_out(client: redis.Redis, item_id: str, ts: int) -> None:
    """Write the fact and the guard."""
    client.hset(keys.item(item_id), "stock_ts", ts)
    client.sadd(keys.SOLDOUT, item_id)


def burst(size: int, on_guarded: Callable[[Sequence[str]], object] = len) -> AllSoldOut:
    """Items i0, i1, … whose facts of time 7 were just sent."""
    probe = AllSoldOut(on_guarded)
    for n in range(size):
        probe.sending(f"i{n}", 7)
    return probe


def board(client: redis.Redis, patience_s: float = 15.0) -> Board:
    """A board that counts."""
    made = Board(client, patience_s=patience_s)
    made.record(on=True)
    return made


def test_of_a_burst_each_item_is_a_sample_at_the_moment_it_is_guarded(client: redis.Redis) -> None:
    guarded: list[str] = []
    looks = board(client)
    looks.put(burst(300, guarded.extend))
    for n in range(299):
        sell_out(client, f"i{n}", 7)
    sell_out(client, "i299", 6)  # an older fact
    looks.poll()
    assert len(looks.latencies["soldout_to_guarded"]) == len(guarded) == 299
    assert looks.waiting() == 1
    sell_out(client, "i299", 8)
    assert looks.poll() == 1
    assert len(looks.latencies["soldout_to_guarded"]) == 300
    assert guarded[-1] == "i299"


def test_an_item_whose_fact_is_applied_but_that_is_not_guarded_is_not_seen(client: redis.Redis) -> None:
    looks = board(client)
    looks.put(burst(1))
    client.hset(keys.item("i0"), "stock_ts", 7)
    assert looks.poll() == 0


def test_what_was_not_seen_of_a_burst_is_counted_item_by_item(client: redis.Redis) -> None:
    looks = board(client, patience_s=0.01)
    looks.put(burst(5))
    sell_out(client, "i0", 7)
    time.sleep(0.02)
    looks.poll()
    assert looks.unresolved["soldout_to_guarded"] == 4
    assert len(looks.latencies["soldout_to_guarded"]) == 5


def test_an_item_is_out_of_all_lists_only_when_the_last_one_is_rid_of_it(client: redis.Redis) -> None:
    names = [f"l{n}" for n in range(100)]
    for name in names:
        put(client, name, "a", "hot", "b")
    looks = board(client)
    looks.put(OutOfAll("soldout_to_evicted", "hot", names))
    for name in names[:-1]:
        put(client, name, "a", "b")
    seen = [looks.poll() for _ in range(10)]
    assert sum(seen) == 0
    client.delete(names[-1])  # a list that expired holds nothing
    assert sum(looks.poll() for _ in range(10)) == 1


def test_a_moment_to_come_is_waited_for_and_counted_from(client: redis.Redis) -> None:
    looks, shown = board(client), ["pinned"]
    reads: list[str] = []

    def read(user_id: str) -> list[str]:
        reads.append(user_id)
        return shown

    moment = time.monotonic_ns() + 50_000_000
    looks.put(Shown("campaign_start_to_lists", "pinned", "ann", read, wanted=True, from_ns=moment))
    assert (looks.poll(), reads) == (0, [])
    time.sleep(0.06)
    assert looks.poll() == 1
    assert looks.latencies["campaign_start_to_lists"][0] < 1000


def test_what_reads_show_no_more_is_seen_as_gone(client: redis.Redis) -> None:
    looks, shown = board(client), ["pinned"]
    looks.put(Shown("campaign_end_to_gone", "pinned", "ann", lambda _: shown, wanted=False, from_ns=time.monotonic_ns()))
    assert looks.poll() == 0
    shown.clear()
    assert looks.poll() == 1


def test_another_score_or_reason_of_an_item_is_told_from_the_same_one(client: redis.Redis) -> None:
    put(client, "l", "a", "b", score=0.5)
    before: Any = client.execute_command(*entry("b", "l"))  # type: ignore[no-untyped-call]
    assert b"0.5" in before
    looks = board(client)
    looks.put(Rescored("price_to_ranked", "b", "l", before))
    put(client, "l", "b", "a", score=0.5)
    assert looks.poll() == 0, "another place alone says nothing of the price"
    put(client, "l", "a", "b", score=0.6)
    assert looks.poll() == 1


def test_a_reason_a_stamp_and_a_word_of_somebody_else_are_seen(client: redis.Redis) -> None:
    told: list[bool] = []
    looks = board(client)
    looks.put(Mentions("boost_to_lists", b'"campaign:spring"', "l"))
    looks.put(Stamped("change_to_visible", "i", "catalog_ts", 5))
    looks.put(Told("new_item_to_search", lambda: bool(told)))
    assert looks.poll() == 0
    put(client, "l", "a", why="campaign:spring")
    client.hset(keys.item("i"), "catalog_ts", 5)
    told.append(True)
    assert looks.poll() == 3


def test_a_percentile_is_known_to_two_per_cent_and_never_too_good() -> None:
    rng, found = Random(1), Histogram()
    samples = sorted(rng.lognormvariate(0.0, 2.0) for _ in range(5000))
    for ms in samples:
        found.add(ms)
    for share in (0.5, 0.95, 0.99):
        exact, told = samples[int(share * 5000) - 1], found.percentile(share)
        assert told is not None
        assert exact <= told <= max(exact * 1.0201, 0.0011)
    assert found.percentile(1.0) == found.max_ms == samples[-1]


def test_histograms_of_two_readers_are_one_of_both() -> None:
    rng, both = Random(2), Histogram()
    parts = [Histogram(), Histogram()]
    for n in range(100):
        ms = rng.random()
        both.add(ms)
        parts[n % 2].add(ms)
    parts[0].merge(parts[1])
    assert [parts[0].percentile(share) for share in (0.1, 0.5, 0.99)] == [both.percentile(share) for share in (0.1, 0.5, 0.99)]
    assert parts[0].n == 100
    assert Histogram().percentile(0.5) is None


def test_the_scan_finds_every_list_that_holds_what_is_sold_out(client: redis.Redis) -> None:
    for n in range(1200):
        put(client, keys.rec(f"u{n}"), "a", 'quo"te' if n == 700 else "b", "hot" if n == 11 else "c")
    put(client, keys.trending(), "hot")  # no visitor's list
    lists, bad, examples = scan_lists(client, {"hot", 'quo"te', "ho"})
    assert (lists, bad) == (1200, 2)
    assert {(one.kind, one.item_id, one.where) for one in examples} == {
        ("soldout_in_list", "hot", keys.rec("u11")),
        ("soldout_in_list", 'quo"te', keys.rec("u700")),
    }
    assert scan_lists(client, set()) == (1200, 0, [])


def test_memory_is_told_of_living_processes_alone(client: redis.Redis) -> None:
    found = memory_mb({"us": os.getpid(), "nobody": 2**22 + 1})
    assert set(found) == {"us"}
    assert 1 < found["us"]["rss"] <= found["us"]["peak"]
    before = used_bytes(client)
    client.set("x", b"0" * 1_000_000)
    assert used_bytes(client) - before > 900_000


def test_steps_are_done_in_order_of_their_time_and_what_repeats_ends() -> None:
    done: list[str] = []
    agenda = Agenda(Random(1))
    agenda.at(0.02, lambda: done.append("later"))
    agenda.at(0.0, lambda: done.append("now"))
    agenda.every(100.0, lambda: done.append("again"))
    agenda.every(0.0, lambda: done.append("never"))
    time.sleep(0.05)
    agenda.tick()
    agenda.stop()
    agenda.tick()
    assert [step for step in done if step != "again"] == ["now", "later"]
    assert "again" in done
    time.sleep(0.02)
    before = done.count("again")
    agenda.tick()
    assert (done.count("again"), agenda.pending) == (before, 0)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"items": 20}, "items is 20; give at least 100"),
        ({"users": 1}, "users is 1"),
        ({"seconds": 0.0}, "seconds is 0"),
        ({"clicks": -1.0}, "clicks is -1"),
        ({"users": 500, "histories": 501}, "give 1 to 500"),
        ({"items": 400, "stock_rate": 2000.0}, "give a stock rate below 1,600"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_give(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        FreshnessOptions(**wrong)
