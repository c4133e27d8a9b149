"""Actions, probes, truth and storefront together, on a shop without Kafka: an honest shop is acquitted, a broken one convicted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import redis

from streamrec.client import Storefront
from streamrec.clock import SystemClock
from streamrec.config import RedisSettings
from streamrec.demo.actions import Actions, Rates
from streamrec.demo.data import CompleteJourney, Record
from streamrec.demo.driver import Driver
from streamrec.demo.ledger import Ledger
from streamrec.demo.merchant import Scene
from streamrec.demo.outbox import Outbox
from streamrec.demo.pacing import Pacer
from streamrec.demo.probes import Board
from streamrec.demo.replayer import Replayer
from streamrec.demo.shelf import Shelf
from streamrec.demo.storefront import Reader
from streamrec.demo.truth import Bought, Note, TruthLog
from streamrec.demo.visitors import Visitors
from streamrec.events import CatalogItem, Click, Order, OrderLine, Price, Stock, encode
from streamrec.events.topics import CATALOG, CLICKS, ORDERS, PRICE, STOCK
from streamrec.local import LocalRedis
from tests.unit.demo.tiny_shop import Fault, TinyShop

ITEMS = [f"item-{n}" for n in range(120)]
FAST = Rates(soldout=40.0, price=40.0, campaign=4.0, new_item=4.0)


def timeline(visitors: int, length: int, *, orders: bool = True) -> Iterator[Record]:
    """Clicks of a few visitors, and now and then an order of what was clicked."""
    for n in range(length):
        user, item = f"u{n % visitors}", ITEMS[(n * 7) % 120]
        yield Record(n, CLICKS, user, Click(item_id=item, ts=10**12 + n, event_id=f"c{n}"))
        if orders and n % 29 == 0:
            order = Order(lines=(OrderLine(item_id=item),), ts=10**12 + n, event_id=f"o{n}")
            yield Record(n, ORDERS, user, order)


@dataclass
class Outcome:
    board: Board
    actions: Actions
    found: dict[str, int]
    reads: int
    judged: int


def play(client: redis.Redis, server: LocalRedis, *, fault: Fault = "", enough: int = 12, orders: bool = True) -> Outcome:
    """Run everything but Kafka until every kind of effect was seen some times, then drain."""
    shop = TinyShop(client, list(ITEMS), fault)
    reader = Reader(RedisSettings(url=server.url), rate=400.0, seed=3)
    driver = replayer = None
    try:
        scene = Scene(
            client=client,
            shop=Storefront(client),
            outbox=Outbox(shop),
            board=Board(client, patience_s=2.0),
            truth=TruthLog(reader.send),
            ledger=Ledger(client),
            visitors=Visitors(),
        )
        for record in timeline(8, 8):
            shop.send(record.topic, record.key, None if record.value is None else _json(record))
            scene.visitors.saw(record.key, 1)
        pacer = Pacer(150.0, time.monotonic, time.sleep)
        replayer = Replayer(scene, timeline(8, 100_000, orders=orders), pacer, SystemClock())
        driver = Driver(scene, pacer)
        new_items = [(f"new-{n}", CatalogItem(title=f"New {n}", ts=10**12)) for n in range(50)]
        actions = Actions(scene, clock=SystemClock(), rng=Random(5), rates=FAST, new_items=new_items)
        scene.board.record(on=True)
        driver.actions = actions
        driver.start()
        replayer.start()
        reader.begin()
        # A broken shop is watched until it is caught.
        _await(lambda: bool(actions.violations or reader.refresh().found) or (not fault and _enough(scene.board, enough)), 25.0)
        scene.board.record(on=False)
        replayer.stop()
        actions.stop()
        _await(lambda: bool(driver and driver.idle), 10.0)
        driver.stop()
        assert driver.error is None
        assert replayer.error is None
        findings = reader.finish(scene.truth.watermark)
        wrong = actions.violations + scene.ledger.audit(settled=False)
        found = dict(findings.found) | ({"wrong_order": len(wrong)} if wrong else {})
        return Outcome(scene.board, actions, found, findings.reads, findings.judged)
    finally:
        for thread in (driver, replayer):
            if thread is not None:
                thread.stop()
        reader.close()


def _json(record: Record) -> bytes:
    assert record.value is not None
    return encode(record.value, record.topic)


def _enough(board: Board, enough: int) -> bool:
    few = {"campaign_to_lists": 3, "exclude_to_gone": 1, "new_item_to_list": 1}
    kinds = ("click_to_list", "soldout_to_guarded", "soldout_to_evicted", "restock_to_back", "price_to_visible", *few)
    return all(len(board.latencies[kind]) >= few.get(kind, enough) for kind in kinds)


def _await(condition: object, timeout_s: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_an_honest_shop_is_acquitted_and_every_effect_is_seen(redis_client: redis.Redis, redis_server: LocalRedis) -> None:
    outcome = play(redis_client, redis_server)
    assert outcome.found == {}
    assert _enough(outcome.board, 12), dict(outcome.board.latencies)
    assert not outcome.board.unresolved
    assert outcome.judged == outcome.reads > 0
    assert outcome.actions.stale_facts > 0


@pytest.mark.parametrize(("fault", "kind"), [("order", "wrong_order"), ("bought", "bought_shown")])
def test_a_broken_shop_is_convicted(redis_client: redis.Redis, redis_server: LocalRedis, fault: Fault, kind: str) -> None:
    outcome = play(redis_client, redis_server, fault=fault, enough=6)
    assert kind in outcome.found


def test_a_shop_that_takes_its_marks_back_is_convicted(redis_client: redis.Redis, redis_server: LocalRedis) -> None:
    """The reader is given the truth of a sold-out item whose mark is then lost: every later read of it counts."""
    shop = TinyShop(redis_client, list(ITEMS), "guard")
    shop.send(CLICKS, "u0", b'{"item_id": "item-3", "ts": 1767225600000}')
    [shown] = Storefront(redis_client).top("u0", 1).ids()
    reader = Reader(RedisSettings(url=redis_server.url), rate=400.0, seed=3)
    try:
        truth = TruthLog(reader.send)
        truth.hint(("u0",), (shown,))
        truth.gone(shown)
        reader.begin()
        _await(lambda: reader.refresh().reads >= 50, 20.0)
        findings = reader.finish(truth.watermark)
    finally:
        reader.close()
    assert findings.found["soldout_shown"] > 0
    assert findings.judged == findings.reads
    assert not reader.alive


def test_the_storefront_process_ends_when_its_driver_is_gone(redis_server: LocalRedis) -> None:
    reader = Reader(RedisSettings(url=redis_server.url), rate=50.0, seed=3)
    reader.begin()
    _await(lambda: reader.refresh().reads > 0, 20.0)
    reader._pipe.close()
    reader._process.join(10.0)
    assert not reader.alive


def test_facts_of_the_data_set_free_an_item_before_they_are_sent(redis_client: redis.Redis) -> None:
    notes: list[Note] = []
    order: list[str] = []

    class Sender:
        def send(self, topic: str, key: str, value: bytes | None) -> None:
            order.append(f"sent {topic}")

    def note(note: Note) -> None:
        notes.append(note)
        order.append(type(note).__name__)

    ledger = Ledger(redis_client)
    scene = Scene(redis_client, Storefront(redis_client), Outbox(Sender()), Board(redis_client), TruthLog(note), ledger, Visitors())
    replayer = Replayer(scene, [], Pacer(1e9, time.monotonic, time.sleep), SystemClock())
    replayer.publish(Record(1, STOCK, "a", Stock(quantity=3, ts=10**12)))
    replayer.publish(Record(1, CATALOG, "b", None))
    replayer.publish(Record(1, PRICE, "c", Price(price=1.0, ts=10**12)))
    assert order == ["MayReturn", "sent items.stock", "MayReturn", "sent items.catalog", "sent items.price"]
    assert ledger.struck("stock", "a")
    assert ledger.struck("price", "c")
    assert not ledger.struck("stock", "c")


def test_the_shelf_marks_what_came_and_what_went(redis_client: redis.Redis) -> None:
    visitors = Visitors()
    visitors.saw("u0", 1)
    shop = TinyShop(redis_client, list(ITEMS))
    shop.send(CLICKS, "u0", b'{"item_id": "item-3", "ts": 1767225600000}')
    item_id = Storefront(redis_client).top("u0", 2).ids()[1]
    shelf = Shelf(redis_client, visitors, {item_id: "Green mug"})
    assert {mark for _, _, mark in shelf.look()} == {"new"}
    assert ("Green mug", "trending", "") in shelf.look()
    shop.send("items.stock", item_id, b'{"quantity": 0, "ts": 1767225600000}')
    rows = shelf.look()
    assert rows[-1] == ("Green mug", "", "gone")
    assert [mark for _, _, mark in rows].count("new") == 1


def test_a_real_timeline_passes_through_the_replayer(grocer: Path, redis_client: redis.Redis) -> None:
    shop = TinyShop(redis_client, ["1", "2", "3", "4"])
    notes: list[Note] = []
    scene = Scene(
        redis_client,
        Storefront(redis_client),
        Outbox(shop),
        Board(redis_client),
        TruthLog(notes.append),
        Ledger(redis_client),
        Visitors(),
    )
    replayer = Replayer(scene, CompleteJourney(grocer).timeline(), Pacer(1e6, time.monotonic, time.sleep), SystemClock())
    replayer.start()
    _await(lambda: replayer.exhausted or replayer.error is not None, 10.0)
    assert replayer.error is None
    assert scene.outbox.snapshot() == {"clicks": 4, "carts": 4, "orders": 3, "price": 3, "campaigns": 2}
    scene.board.poll()
    assert scene.board.waiting() == 0
    assert {note.user_id for note in notes if isinstance(note, Bought)} == {"household-7", "household-8"}
