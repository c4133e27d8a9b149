"""The model changes in flight: no answer is of two models, whoever is killed meanwhile, and the way back takes no embedding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
import pytest

from streamrec.bench.rollover.live import Live, Page, Tail
from streamrec.bench.rollover.probe import Prober
from streamrec.bench.rollover.texts import BULK, bulk, bulk_title
from streamrec.config import Settings
from streamrec.embedding import Encoder, HashingEncoder, Lineup
from streamrec.events import CatalogItem, encode
from streamrec.events.topics import CATALOG, MODEL_PLAN, VECTORS
from streamrec.local import WorkerProcess
from streamrec.recommender.knowledge import config_digest
from tests.integration.shop import Shop, await_until, now_ms
from workers.transport.plan import read_plan

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

ITEMS = 240
#: A member that was killed is missed soon.
SOON = {"STREAMREC_KAFKA__SESSION_TIMEOUT_MS": "2000"}
OLD, NEW = HashingEncoder(), HashingEncoder(96, seed="another")


def _start(shop: Shop) -> tuple[WorkerProcess, WorkerProcess]:
    """Return an embedder and a recommender that are ready; side by side they take as long as one."""
    embedder, recommender = shop.start("embedder"), shop.start("recommender")
    return embedder.wait_ready(60), recommender.wait_ready(60)


def _load(shop: Shop, ts: int) -> None:
    shop.publish([(CATALOG, key, value) for key, value in bulk(0, ITEMS, ts)])
    shop.await_vectors(ITEMS)


def _beat(shop: Shop, role: str) -> dict[str, Any]:
    """Return what the role's newest worker says; one that was killed is heard of for some seconds more."""
    said = [beat for beat in shop.heartbeats() if role in beat["roles"]]
    return max(said, key=lambda beat: beat["at"], default={})


def _use(shop: Shop, name: str, *options: str) -> dict[str, Any]:
    done = shop.cli("model", "use", name, "--json", *options)
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = orjson.loads(done.stdout)
    return told


def _await_served(shop: Shop, encoder: Encoder, vectors: int = ITEMS) -> dict[str, Any]:
    def served() -> dict[str, Any]:
        beat = _beat(shop, "recommender")
        return beat if beat.get("ready") and (beat["model"], beat["vectors"]) == (encoder.digest, vectors) else {}

    beat: dict[str, Any] = await_until(served, f"{vectors} vectors of {encoder.digest} served")
    return beat


def _embedded(shop: Shop) -> int:
    with urlopen(_beat(shop, "embedder")["url"] + "/metrics") as page:
        found = re.search(r'streamrec_embedded_total\{kind="item-vectors"\} ([0-9.]+)', page.read().decode())
    return int(float(found[1])) if found else 0


@contextmanager
def _load_on(shop: Shop, url: str) -> Iterator[tuple[Live, Prober]]:
    """Change live items and search, and judge every answer, until the end of the block."""
    tail = Tail(shop.kafka)
    tail.start()
    live = Live(shop.producer, tail, url, items=20, rate=10)
    models: dict[str, tuple[str, Encoder]] = {config_digest(Settings(), one.digest): (one.digest, one) for one in (OLD, NEW)}
    prober = Prober(url, models, ITEMS, rate=40)
    try:
        live.start()
        prober.start()
        yield live, prober
        live.pause()
    finally:
        prober.stop()
        live.stop()
        tail.stop()


def test_under_load_every_answer_is_of_one_model_and_every_change_is_found_by_the_old_one_the_new_one_and_on_the_way_back(
    tmp_path: Path,
) -> None:
    with Shop(tmp_path, SOON) as shop:
        victim, _ = _start(shop)
        _load(shop, now_ms())
        with _load_on(shop, _beat(shop, "recommender")["url"]) as (live, prober):
            await_until(lambda: prober.answers[OLD.digest] > 5, "answers of the old model")
            told = _use(shop, "hashing-96")
            assert (told["wanted"]["digest"], told["previous"]["digest"]) == (NEW.digest, OLD.digest)
            # Wherever it was: what it had sent stays, and whoever comes next embeds the rest.
            victim.kill()
            shop.worker("embedder")
            await_until(lambda: prober.answers[NEW.digest] > 5, "answers of the new model")
            changed = len(live.changes)
            await_until(lambda: len(live.changes) > changed + 3, "changes by the new model")
            embedded = _embedded(shop)
            _use(shop, "hashing", "--wait")
            assert _beat(shop, "recommender")["model"] == OLD.digest
            before = prober.answers[OLD.digest]
            await_until(lambda: prober.answers[OLD.digest] > before + 5, "answers of the old model again")
        # Live changes alone were embedded on the way back, by both models, and nothing of the catalogue.
        assert _embedded(shop) - embedded <= 2 * (len(live.changes) - changed + 1)
        assert prober.report() | {"answers": 0, "items_checked": 0} == {
            "answers": 0,
            "items_checked": 0,
            "mixed": 0,
            "of_an_unknown_model": 0,
            "failed": 0,
            "examples": [],
        }
        # Those of the seconds in which the group waited for the dead member may have been superseded by the item's next.
        assert [change for change in live.changes if not (change.found_at or change.superseded)] == []
        status = shop.cli("model", "status", "--json")
        assert status.returncode == 0
        found = orjson.loads(status.stdout)
        assert (found["wanted"]["name"], found["previous"]["name"], found["left"], found["done"]) == (
            "hashing",
            "hashing-96",
            0,
            True,
        )
        assert [one["percent"] for one in found["recommenders"]] == [100]


def test_in_the_middle_a_recommender_without_a_snapshot_serves_the_old_model_whole_and_an_embedder_embeds_only_what_is_left(
    tmp_path: Path,
) -> None:
    with Shop(tmp_path, SOON) as shop:
        embedder, recommender = _start(shop)
        ts = now_ms()
        _load(shop, ts)
        # What an embedder leaves that dies after half of the catalogue.
        embedder.kill()
        _use(shop, "hashing-96", "--keep", "0s")
        plan = read_plan(shop.kafka, "test")
        assert plan is not None
        lineup = Lineup(NEW)
        lineup.follow(plan, {OLD.digest: OLD, NEW.digest: NEW})
        half = [(key, CatalogItem(title=bulk_title(n), ts=ts)) for n, (key, _) in enumerate(bulk(0, ITEMS // 2, ts))]
        made = [(VECTORS, key, encode(vector, VECTORS)) for key, vector in lineup.update(half) if vector and "{" in key]
        assert len(made) == ITEMS // 2
        shop.publish(made)
        recommender.kill()
        again = shop.worker("recommender")
        await_until(lambda: _beat(shop, "recommender")["pid"] == again.pid, "the new recommender's word")
        beat = _await_served(shop, OLD)
        assert (beat["next_model"], beat["next_model_percent"]) == (NEW.digest, 50)
        await_until(lambda: _beat(shop, "recommender")["understands_text"], "the old model's encoder is open")
        page = Page(beat["url"])
        for n in (0, ITEMS - 1):  # one that both models have, and one that the old one has alone
            answer = page.search(bulk_title(n), 1)
            assert answer is not None
            assert [item["id"] for item in answer["items"]] == [f"{BULK}{n}"]
            assert answer["digest"] == config_digest(Settings(), OLD.digest)
        page.close()
        next_one = shop.worker("embedder")
        _await_served(shop, NEW)
        await_until(lambda: _beat(shop, "embedder")["pid"] == next_one.pid, "the new embedder's word")
        # The old model's time is over: its vectors are taken back, and nobody keeps a place for them.
        await_until(lambda: _beat(shop, "embedder")["in_play"] == NEW.digest, "the old model is out of play")
        await_until(lambda: _beat(shop, "recommender")["next_model"] == "", "nothing is kept of it")
        await_until(lambda: _beat(shop, "embedder")["to_take_back"] == 0, "all of its vectors are taken back")
        assert _embedded(shop) == ITEMS // 2
        shop.publish([(CATALOG, f"{BULK}0", None)])
        _await_served(shop, NEW, ITEMS - 1)


def test_a_model_that_a_worker_cannot_open_is_told_and_the_old_one_goes_on(tmp_path: Path) -> None:
    with Shop(tmp_path, SOON) as shop:
        embedder, _ = _start(shop)
        _load(shop, now_ms())
        refused = shop.cli("model", "use", "nonsense")
        assert refused.returncode == 2
        assert b"nonsense" in refused.stderr
        assert read_plan(shop.kafka, "test") is None
        # As from a machine that has what the workers have not.
        _use(shop, "hashing-96")
        _await_served(shop, NEW)
        plan = read_plan(shop.kafka, "test")
        assert plan is not None
        missing = {"settings": {"name": "nonsense"}, "digest": "ab12", "dim": 8}
        said = orjson.loads(encode(plan, MODEL_PLAN))
        value = said | {"version": 2, "wanted": missing, "previous": said["wanted"]}
        shop.publish([(MODEL_PLAN, "plan", value)])
        await_until(lambda: "nonsense" in _beat(shop, "embedder").get("model_problem", ""), "the embedder says so")
        await_until(lambda: "nonsense" in _beat(shop, "recommender").get("model_problem", ""), "the recommender says so")
        # And so does one that begins now.
        embedder.kill()
        shop.worker("embedder")
        shop.publish([(CATALOG, "fresh", {"title": "quite another thing", "ts": now_ms()})])
        beat = _await_served(shop, NEW, ITEMS + 1)
        page = Page(beat["url"])
        await_until(lambda: (page.search("quite another thing", 1) or {}).get("items", [{}])[0].get("id") == "fresh", "it is found")
        page.close()
        status = shop.cli("model", "status")
        assert status.returncode == 1
        assert b"nonsense" in status.stdout
