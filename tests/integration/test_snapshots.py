"""A recommender that is killed takes up its snapshot, catches up from its offsets, and knows what a fresh replica knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamrec.config import Settings
from streamrec.embedding.hashing import HashingEncoder
from streamrec.events.topics import CAMPAIGNS, CATALOG, NEIGHBOURS, PRICE, STOCK, VECTORS
from streamrec.local import WorkerProcess
from streamrec.recommender import Knowledge
from streamrec.snapshot import SnapshotFolder
from streamrec.snapshot.files import restore
from streamrec.snapshot.manifest import read_manifest, verify_files
from tests.integration.shop import QUICK, Shop, await_until, now_ms
from workers.transport.admin import end_offsets

pytestmark = pytest.mark.integration

TOPICS = (CATALOG, STOCK, PRICE, VECTORS, NEIGHBOURS)
ITEMS = 120
Message = tuple[str, str, dict[str, Any] | bytes | None]


class Recommenders:
    """Workers of one shop, each with a folder of snapshots of its own."""

    def __init__(self, shop: Shop, root: Path) -> None:
        self._shop, self._root = shop, root

    def folder(self, name: str) -> SnapshotFolder:
        return SnapshotFolder(self._root / name)

    def start(self, name: str) -> WorkerProcess:
        more = {"STREAMREC_SNAPSHOT__DIR": str(self._root / name), "STREAMREC_SNAPSHOT__INTERVAL_S": "0.2"}
        environment = {**QUICK, **more, "STREAMREC_LOG_LEVEL": "INFO", "STREAMREC_INDEX__KIND": "exact"}
        return self._shop.stack.worker(["recommender"], environment).wait_ready(60)

    def knows(self, name: str, ends: Mapping[tuple[str, int], int]) -> dict[str, Any]:
        """Return what the worker knows once its snapshot stands at these ends."""
        folder = self.folder(name)

        def there() -> Path | None:
            newest = folder.all()[:1]
            return newest[0] if newest and read_manifest(newest[0]).next_offsets == ends else None

        return _known(await_until(there, f"a snapshot of {name} at the end of its topics"))


def _known(path: Path) -> dict[str, Any]:
    verify_files(path, read_manifest(path))
    encoder = HashingEncoder()
    state = Knowledge.build(Settings(index={"kind": "exact"}), encoder.dim, encoder.digest)
    restore(state, path)
    items, found = state.items, {}
    for row, item_id in enumerate(items.ids(np.arange(len(items)))):
        shown = bool(items.available[row]), bool(items.listed[row]), int(items.quantity[row]), items.title(row)
        price = float(np.nan_to_num(items.price[row], nan=-1.0))
        found[item_id] = (*shown, price, state.index.vectors([row]).tobytes(), row in state.index)
    return found


def _applied_ends(shop: Shop) -> dict[tuple[str, int], int]:
    return {place: end for place, end in end_offsets(shop.kafka, TOPICS).items() if end}


def _catalogue() -> list[Message]:
    ts = now_ms()
    return [(CATALOG, f"i{n}", {"title": f"thing {n}", "price": 5.0 + n, "quantity": 9, "ts": ts}) for n in range(ITEMS)]


def _meanwhile() -> list[Message]:
    """Sold out, back, removed, new, dearer: what a snapshot of before does not know."""
    ts = now_ms()
    told: list[Message] = [(STOCK, f"i{n}", {"quantity": 0, "ts": ts}) for n in range(30)]
    told += [(STOCK, f"i{n}", {"quantity": 4, "ts": ts + 1}) for n in range(0, 30, 2)]
    told += [(CATALOG, f"i{n}", None) for n in range(30, 40)]
    told += [(CATALOG, f"new{n}", {"title": f"a new thing {n}", "ts": ts}) for n in range(5)]
    return told + [(PRICE, f"i{n}", {"price": 1.0, "ts": ts}) for n in range(40, 50)]


def _leave_alone(_: SnapshotFolder) -> None:
    """Do nothing to the snapshots."""


def _tear(folder: SnapshotFolder) -> None:
    for path in folder.all():
        (path / "items.msgpack").write_bytes((path / "items.msgpack").read_bytes()[:-1])


@pytest.mark.parametrize(("harm", "said"), [(_leave_alone, "snapshot restored"), (_tear, '"kind": "torn"')], ids=["whole", "torn"])
def test_a_killed_recommender_knows_again_what_a_fresh_one_knows(
    tmp_path: Path, harm: Callable[[SnapshotFolder], None], said: str
) -> None:
    with Shop(tmp_path / "logs") as shop:
        shop.worker("embedder")
        recommenders = Recommenders(shop, tmp_path)
        victim = recommenders.start("a")
        shop.publish(_catalogue())
        shop.await_vectors(ITEMS)
        before = recommenders.knows("a", _applied_ends(shop))
        assert len(before) == ITEMS
        victim.kill()
        harm(recommenders.folder("a"))
        shop.publish(_meanwhile())
        again = recommenders.start("a")
        await_until(lambda: any(beat.get("vectors") == ITEMS - 10 + 5 for beat in shop.heartbeats()), "the items of now")
        fresh = recommenders.start("b")
        ends = _applied_ends(shop)
        after = recommenders.knows("a", ends)
        assert after == recommenders.knows("b", ends)
        assert not after["i1"][0]
        assert after["i2"][0]
        assert not after["i30"][1]
        assert said in again.log_path.read_text()
        assert "snapshot restored" not in fresh.log_path.read_text()


def test_a_snapshot_of_topics_that_were_made_anew_is_refused_and_campaigns_are_read_from_their_beginning(tmp_path: Path) -> None:
    """The embedded broker keeps its cluster's id and forgets its topics when it ends: only their ids tell."""
    ts = now_ms()
    with Shop(tmp_path / "first") as shop:
        recommenders = Recommenders(shop, tmp_path)
        worker = recommenders.start("a")
        shop.publish(
            [
                *_catalogue(),
                (
                    CAMPAIGNS,
                    "c",
                    {"action": "bury", "targets": {"items": ["i1"]}, "starts_at": ts, "ends_at": ts + 60_000, "ts": ts},
                ),
            ]
        )
        recommenders.knows("a", _applied_ends(shop))
        worker.kill()
        again = recommenders.start("a")
        assert "snapshot restored" in again.log_path.read_text()
    with Shop(tmp_path / "second") as shop:
        recommenders = Recommenders(shop, tmp_path)
        worker = recommenders.start("a")
        said = worker.log_path.read_text()
        assert '"kind": "topic"' in said or '"kind": "cluster"' in said
        assert shop.heartbeats()[0]["items"] == 0
