"""Pictures through a running embedder: texts go first, pictures follow, and a killed worker fetches what it had not."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer

from streamrec.embedding import Embedder, HashingEncoder, unpack_vectors
from streamrec.events import CatalogItem, ItemVector, decode
from streamrec.events.topics import CATALOG, VECTORS
from streamrec.pictures.encoder import load_eye
from streamrec.pictures.projection import Projection
from streamrec.pictures.settings import PictureSettings
from tests.integration.shop import Shop, await_until, now_ms
from tests.picture_server import PictureServer, jpeg
from tests.unit.pictures.graphs import mean_colour
from workers.transport.client import reader

pytestmark = pytest.mark.integration

DIM = 64


def switched_on(folder: Path, server: PictureServer) -> dict[str, str]:
    """Return the environment of a worker that sees colours."""
    graph = mean_colour(folder / "eye.onnx")
    eye = load_eye(PictureSettings(model="onnx", onnx_path=graph, projections=(folder / "p.npz",)), folder)
    matrix = np.random.default_rng(1).normal(size=(3, DIM)).astype(np.float32)
    space = HashingEncoder().digest
    Projection(np.zeros(3, np.float32), matrix, np.zeros(DIM, np.float32), eye.digest, space).save(folder / "p.npz")
    named: dict[str, Any] = {
        "MODEL": "onnx",
        "ONNX_PATH": graph,
        "PROJECTIONS": f'["{folder / "p.npz"}"]',
        "CACHE_DIR": folder / "album",
        "ALLOW_PRIVATE": '["127.0.0.1/32"]',
        "PORTS": f"[{server.port}]",
        "BACKOFF_S": 0.01,
    }
    return {f"STREAMREC_PICTURES__{name}": str(value) for name, value in named.items()}


class Vectors:
    """Everything that was ever sent to item-vectors."""

    def __init__(self, shop: Shop) -> None:
        self.messages: dict[str, list[ItemVector | None]] = {}
        self._consumer = Consumer(reader(shop.kafka, "test.pictures") | {"auto.offset.reset": "earliest"})
        self._consumer.subscribe([VECTORS])

    def __enter__(self) -> Vectors:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def of(self, item_id: str) -> list[ItemVector]:
        """Return an item's messages, oldest first, removals left out."""
        for message in self._consumer.consume(1000, timeout=0.05):
            if message.error() is None:
                record = decode(VECTORS, message.key(), message.value(), now_ms())
                assert record.value is None or isinstance(record.value, ItemVector)
                self.messages.setdefault(record.key, []).append(record.value)
        return [one for one in self.messages.get(item_id, []) if one is not None]


def plain(title: str) -> bytes:
    [(_, message)] = Embedder(HashingEncoder()).update([("x", CatalogItem(title=title, ts=946_684_800_000))])
    assert message is not None
    return message.vector


def test_texts_go_first_pictures_follow_and_a_killed_worker_fetches_what_it_had_not(tmp_path: Path) -> None:
    with PictureServer() as server, Shop(tmp_path, switched_on(tmp_path, server)) as shop:
        worker = shop.worker("embedder")
        blue = jpeg((0, 0, 255))
        shop.publish(
            [
                (CATALOG, "held", {"title": "held", "ts": now_ms(), "image_url": server.url("/held.jpg")}),
                (CATALOG, "good", {"title": "good", "ts": now_ms(), "image_url": server.url("/good.jpg")}),
                (CATALOG, "none", {"title": "none", "ts": now_ms()}),
                (CATALOG, "bad", {"title": "bad", "ts": now_ms(), "image_url": server.url("/bomb.png")}),
                (CATALOG, "private", {"title": "private", "ts": now_ms(), "image_url": f"http://127.0.0.2:{server.port}/"}),
                (CATALOG, "inline", {"title": "inline", "ts": now_ms(), "image": base64.b64encode(blue).decode()}),
            ]
        )
        with Vectors(shop) as vectors:
            # The picture of one is held back for as long as we like: its text does not wait, nor do the pictures of others.
            for item_id in ("held", "good", "inline", "none", "bad", "private"):
                await_until(lambda one=item_id: vectors.of(one), f"the vector of {item_id}", 30)  # type: ignore[misc]
                assert vectors.of(item_id)[0].vector == plain(item_id)
            for item_id in ("good", "inline"):
                await_until(lambda one=item_id: len(vectors.of(one)) == 2, f"the picture of {item_id}", 30)  # type: ignore[misc]
            assert {len(vectors.of(item_id)) for item_id in ("held", "none", "bad", "private")} == {1}
            assert server.asked["/held.jpg"] == 1
            moved = unpack_vectors([vectors.of("good")[1]])[0]
            assert 0.3 < moved @ unpack_vectors([vectors.of("good")[0]])[0] < 0.999

            worker.kill()
            seen = server.asked["/good.jpg"]
            server.release.set()
            shop.worker("embedder")
            await_until(lambda: len(vectors.of("held")) == 2, "the picture that was being fetched", 30)
            assert server.asked["/good.jpg"] == seen, "what the album holds is not fetched again"
            assert len(vectors.of("good")) == 2, "an unchanged picture is not embedded twice"

            # A newer message: the picture behind the same address is looked at again, and has changed.
            server.pages["/good.jpg"] = lambda exchange: exchange.answer(200, blue)
            shop.publish([(CATALOG, "good", {"title": "good", "ts": now_ms(), "image_url": server.url("/good.jpg")})])
            await_until(lambda: len(vectors.of("good")) == 3, "the changed picture", 30)
            shop.publish([(CATALOG, "good", {"title": "good", "ts": now_ms()})])
            await_until(lambda: len(vectors.of("good")) == 4, "the text alone", 30)
            assert vectors.of("good")[3].vector == plain("good")


def test_pictures_that_are_off_cost_nothing_and_change_no_message(tmp_path: Path) -> None:
    with PictureServer() as server, Shop(tmp_path) as shop:
        shop.worker("embedder")
        shop.publish([(CATALOG, "good", {"title": "good", "ts": now_ms(), "image_url": server.url("/good.jpg"), "image": "?"})])
        with Vectors(shop) as vectors:
            await_until(lambda: vectors.of("good"), "the vector", 30)
            [message] = vectors.of("good")
            [(_, alone)] = Embedder(HashingEncoder()).update([("good", CatalogItem(title="good", ts=message.ts))])
            assert message == alone
        assert server.asked.total() == 0
        assert all("pictures_waiting" not in beat for beat in shop.heartbeats())
