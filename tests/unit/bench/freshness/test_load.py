"""The load on a shop without Kafka: bursts in full, flash sales that end, no fact before the last one was seen, early campaigns."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
import redis

from streamrec.bench.catalogue import Title, bench_catalogue
from streamrec.bench.freshness.audience import Audience
from streamrec.bench.freshness.goods import Goods
from streamrec.bench.freshness.load import Load
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.search import Finder
from streamrec.bench.freshness.shop import Shop
from streamrec.bench.freshness.visitors import user_id
from streamrec.client import Storefront
from streamrec.clock import SystemClock
from streamrec.config import ModelSettings
from streamrec.demo.ledger import Ledger
from streamrec.demo.merchant import Scene
from streamrec.demo.outbox import Outbox
from streamrec.demo.probes import Board
from streamrec.demo.truth import Note, TruthLog
from streamrec.demo.visitors import Visitors
from streamrec.events import CatalogItem, Click, Stock, decode, encode
from streamrec.events.topics import CLICKS, STOCK
from streamrec.lists import keys
from streamrec.lists.packing import unpack
from streamrec.local import LocalRedis
from tests.unit.demo.tiny_shop import NOW, TinyShop

USERS, ITEMS = 16, 240


@dataclass
class Watched:
    """A shop whose stock facts are written down as they come."""

    shop: TinyShop
    stock: list[tuple[str, Stock]] = field(default_factory=list)

    def send(self, topic: str, key: str, value: bytes | None) -> None:
        """Write down, and hand on."""
        payload = decode(topic, key.encode(), value, NOW).value
        if topic == STOCK and isinstance(payload, Stock):
            self.stock.append((key, payload))
        self.shop.send(topic, key, value)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """An empty Redis of its own."""
    with LocalRedis() as server, redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
def goods(tmp_path: Any) -> Goods:
    """Items by the hashing encoder."""
    titles = [Title(f"mug of kind {n}", category=f"c{n % 5}", brand=f"b{n % 90}") for n in range(ITEMS)]
    model = ModelSettings(name="hashing", cache_dir=tmp_path)
    return Goods(bench_catalogue(ITEMS, settings=model, titles=titles), NOW - 10**11, 1)


@dataclass
class World:
    """A load and what it acts upon."""

    load: Load
    board: Board
    sent: Watched
    notes: list[Note]

    def play(self, seconds: float, bursts: int = 0) -> None:
        """Let time pass, and as much more as ``bursts`` take on a busy machine."""
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s or self.load.bursts < bursts:
            self.board.poll()
            self.load.tick()
            time.sleep(0.002)


def world(client: redis.Redis, goods: Goods, **rates: float) -> World:
    """Return a load with nothing but ``rates`` on a shop where every visitor has a list."""
    ids = [goods.item_id(i) for i in range(len(goods))]
    sent = Watched(TinyShop(client, list(ids)))
    for number in range(USERS):
        sent.send(CLICKS, user_id(number), encode(Click(item_id=ids[number], ts=10**12, event_id=f"c{number}"), CLICKS))
    lists = [unpack(client.get(keys.rec(user_id(number)))).ids() for number in range(USERS)]  # type: ignore[arg-type]
    members = np.array([[ids.index(item_id) for item_id in one] for one in lists], np.int32)
    off = dict.fromkeys(("clicks", "stock_rate", "flash_sales", "prices", "changes", "new_items", "campaigns"), 0.0) | {
        "burst_s": 1.0
    }
    options = FreshnessOptions(items=ITEMS, users=100, **(off | rates))  # type: ignore[arg-type]
    notes: list[Note] = []
    board = Board(client, patience_s=5.0)
    board.record(on=True)
    shop = Storefront(client)
    scene = Scene(client, shop, Outbox(sent), board, TruthLog(notes.append), Ledger(client), Visitors())
    audience = Audience(members, ITEMS, USERS, goods.item_id)
    bench = Shop(goods, audience, members[:, :5], Finder("http://127.0.0.1:9"), ranks_prices=False)
    return World(Load(scene, bench, options, clock=SystemClock(), rng=Random(5)), board, sent, notes)


def test_a_burst_has_all_its_facts_at_once_and_each_sold_out_one_is_a_sample(client: redis.Redis, goods: Goods) -> None:
    played = world(client, goods, stock_rate=60.0, flash_sales=2.0)
    played.play(2.6, bursts=2)
    while played.board.waiting("soldout_to_guarded"):
        played.board.poll()
    fresh = [(item_id, fact) for item_id, fact in played.sent.stock if fact.quantity != 77]
    assert len(fresh) >= 60 * played.load.bursts - 4
    gone = Counter(item_id for item_id, fact in fresh if fact.quantity == 0)
    assert len(played.board.latencies["soldout_to_guarded"]) >= len(gone) - 1
    assert played.load.violations == []


def test_hot_items_are_sold_out_leave_the_lists_and_come_back_some_seconds_later(client: redis.Redis, goods: Goods) -> None:
    played = world(client, goods, stock_rate=2.0, flash_sales=2.0)
    played.play(1.5)
    played.load.stop()
    played.play(6.0)
    hot = set(played.load.hot)
    states: dict[str, list[int]] = defaultdict(list)
    for item_id, fact in sorted(played.sent.stock, key=lambda entry: entry[1].ts):
        if item_id in hot and fact.quantity != 77:
            states[item_id].append(fact.quantity)
    assert states
    assert all(quantities[0] == 0 and quantities[-1] > 0 for quantities in states.values())
    assert played.board.latencies["soldout_to_evicted"]
    assert played.board.latencies["restock_to_back"]
    assert played.board.unresolved == Counter()
    assert played.load.pending == 0


def test_no_item_gets_a_fact_before_the_one_before_it_was_seen(client: redis.Redis, goods: Goods) -> None:
    played = world(client, goods, stock_rate=100.0, flash_sales=0.0)
    # Nobody looks: nothing is seen, so whatever was sold out stays alone.
    for _ in range(4):
        played.load._burst()
    fresh = Counter(item_id for item_id, fact in played.sent.stock)
    assert max(fresh.values()) == 1


def test_a_campaign_that_shows_before_its_start_is_told(client: redis.Redis, goods: Goods) -> None:
    """The tiny shop pins at once, whatever the campaign's start."""
    played = world(client, goods, campaigns=5.0)
    played.play(1.6)
    assert {one.kind for one in played.load.promotions.early} == {"campaign_early"}


def test_an_edition_is_the_same_item_under_another_title_without_price_and_stock(goods: Goods) -> None:
    item = goods.edition(3, "mug of another kind", NOW)
    assert (item.title, item.ts, item.price, item.quantity) == ("mug of another kind", NOW, None, None)
    assert isinstance(item, CatalogItem)
    assert (item.category, item.brand) == (goods.message(3).category, goods.message(3).brand)


def test_a_vector_message_is_the_one_that_the_embedder_would_send(goods: Goods) -> None:
    from streamrec.embedding import Embedder, HashingEncoder  # noqa: PLC0415

    encoder = HashingEncoder(goods.vectors.shape[1])
    item = goods.message(3)
    [(_, sent)] = Embedder(encoder).update([(goods.item_id(3), item)])
    assert sent is not None
    ours = goods.vector(3, item)
    assert (ours.content_digest, ours.model_digest, ours.dim, ours.ts) == (
        sent.content_digest,
        sent.model_digest,
        sent.dim,
        sent.ts,
    )
    assert np.allclose(np.frombuffer(ours.vector, "<f2"), np.frombuffer(sent.vector, "<f2"), atol=1e-3)
