"""A worker as its operator sees it: pages, metrics, log lines, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from streamrec.events.topics import STOCK
from streamrec.local import LocalKafka, WorkerProcess
from tests.integration.pages import Pages
from tests.integration.shop import Shop, await_until, now_ms
from workers.shutdown import CUT_OFF
from workers.transport.admin import end_offsets, lag

pytestmark = pytest.mark.integration

#: Objectives that a test can wait for.
STRICT = {"STREAMREC_WEB__MAX_SILENCE_S": "2", "STREAMREC_WEB__MAX_LAG_S": "2", "STREAMREC_LOG_LEVEL": "INFO"}


def _stock(n: int, first: int = 0) -> list[tuple[str, str, dict[str, Any] | bytes | None]]:
    return [(STOCK, f"i{number}", {"quantity": 0, "ts": now_ms()}) for number in range(first, first + n)]


def _lines(worker: WorkerProcess) -> list[dict[str, Any]]:
    """Return the worker's log; every line must be JSON."""
    return [json.loads(line) for line in worker.log_path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.kafka
def test_readiness_turns_red_while_the_broker_is_frozen_or_dead_and_green_after_and_the_log_stays_json(tmp_path: Path) -> None:
    seldom = {"STREAMREC_KAFKA__COMMIT_INTERVAL_MS": "600000", "STREAMREC_KAFKA__DRAIN_TIMEOUT_S": "1"}
    with Shop(tmp_path, STRICT | seldom, kind="apache") as shop:
        worker = shop.worker("availability")
        pages, broker = Pages(shop, "availability"), shop.stack.broker
        assert isinstance(broker, LocalKafka)
        assert pages.red() == pages.red("/livez") == []
        broker.hang()
        [problem] = await_until(pages.red, "red while frozen")
        assert problem["what"].startswith("kafka has not answered for")
        assert pages.red("/livez") == []  # a restart would not help
        broker.wake()
        await_until(lambda: not pages.red(), "green when it answers again")
        broker.kill()
        await_until(pages.red, "red while dead")
        broker.start()
        await_until(lambda: not pages.red(), "green when it is back")
        shop.publish(_stock(3))
        await_until(lambda: shop.redis.scard("soldout") == 3, "what came after")
        broker.hang()
        assert worker.stop(60) == 0  # its last commit is not answered: within the bound all the same
        broker.wake()
        lines = _lines(worker)
        ours = {line["worker"] for line in lines}
        assert len(ours) == 1
        assert all(line["roles"] == ["availability"] for line in lines)
        assert {"does not answer", "answers again"} <= {line["message"] for line in lines}
        assert any(line["message"].startswith("did not leave in time") for line in lines)


@pytest.mark.embedded_only
def test_a_lag_beyond_the_objective_turns_readiness_red_until_the_worker_has_caught_up(tmp_path: Path) -> None:
    """Redis refuses writes: the handler waits and tries again, and the records wait."""
    with Shop(tmp_path, STRICT, kind="embedded") as shop:
        worker = shop.worker("availability")
        pages = Pages(shop, "availability")
        shop.redis.config_set("min-replicas-to-write", 1)
        shop.publish(_stock(20))
        [problem] = await_until(pages.red, "red while records wait")
        assert "availability is behind: a record of items.stock" in problem["what"]
        assert "NOREPLICAS" in problem["do"]
        assert pages.red("/livez") == []

        def behind() -> dict[str, float]:
            return {name: value for name, value in pages.metrics().items() if name.startswith("streamrec_lag_") and value}

        def records() -> float:
            return sum(value for name, value in behind().items() if name.startswith("streamrec_lag_records"))

        # Not 20 at once: asked for a partition's end, the embedded broker names the start of its last batch.
        await_until(lambda: 0 < records() <= 20, "records are known to wait")
        assert max(value for name, value in behind().items() if name.startswith("streamrec_lag_seconds")) > 2
        assert pages.metrics()['streamrec_waiting{reader="availability"}'] == 1
        shop.redis.config_set("min-replicas-to-write", 0)
        await_until(lambda: shop.redis.scard("soldout") == 20, "all is handled")
        await_until(lambda: not pages.red(), "green again")
        waited = [line for line in _lines(worker) if line["message"] == "unavailable"]
        assert waited
        assert all(line["topic"] == STOCK and {"partition", "offset", "records", "worker"} <= line.keys() for line in waited)


def test_metrics_count_what_happened(tmp_path: Path) -> None:
    with Shop(tmp_path, STRICT) as shop:
        worker = shop.worker("availability")
        pages = Pages(shop, "availability")
        secret_key = "visitor-who-must-not-be-logged"
        shop.publish([*_stock(7), (STOCK, secret_key, b"{")])

        def told() -> dict[str, float] | None:
            """Return the metrics once all eight records are in them, and a commit."""
            metrics = pages.metrics()
            handled = metrics.get('streamrec_batch_records_sum{name="availability"}') == 8
            timed = metrics.get(f'streamrec_freshness_seconds_count{{kind="{STOCK}"}}') == 7
            committed = metrics.get('streamrec_commits_total{kind="ok"}')
            return metrics if handled and timed and committed and not pages.red() else None

        metrics = await_until(told, "metrics")
        assert metrics[f'streamrec_records_total{{kind="{STOCK}"}}'] == 7
        assert metrics[f'streamrec_rejected_total{{kind="{STOCK}"}}'] == 1
        assert metrics['streamrec_dead_letters_total{kind="invalid"}'] == 1
        assert metrics['streamrec_work_seconds_count{name="availability"}'] >= 1
        assert metrics['streamrec_rebalances_total{kind="assigned"}'] >= 2
        assert (metrics["streamrec_live"], metrics["streamrec_ready"]) == (1, 1)
        assert metrics["process_resident_memory_bytes"] > 0
        [rejected] = [line for line in _lines(worker) if line["message"] == "rejected"]
        assert rejected.items() >= {"topic": STOCK, "handler": "availability", "cause": "invalid", "level": "warning"}.items()
        assert {"partition", "offset", "reason", "worker", "roles"} <= rejected.keys()
        assert secret_key not in worker.log_path.read_text(encoding="utf-8")


def test_a_worker_that_is_asked_to_end_in_mid_stream_commits_exactly_what_it_did(tmp_path: Path) -> None:
    """Nothing that it did is done again by the next worker, and nothing that it committed is missing."""
    with Shop(tmp_path, {"STREAMREC_KAFKA__MAX_BATCH": "10"}) as shop:
        worker = shop.worker("availability")
        total = 0
        for _ in range(5):
            shop.publish(_stock(200, total))
            total += 200
        await_until(lambda: shop.redis.scard("soldout"), "the first effects")
        began = time.monotonic()
        assert worker.stop(60) == 0
        assert time.monotonic() - began < 30
        ends = sum(end_offsets(shop.kafka, [STOCK]).values())
        committed = ends - sum(lag(shop.kafka, "streamrec.availability", [STOCK]).values())
        assert committed == shop.redis.scard("soldout")
        shop.worker("availability")
        await_until(lambda: shop.redis.scard("soldout") == total, "the rest")


@pytest.mark.embedded_only
def test_a_worker_ends_within_the_bound_while_redis_is_away_and_says_what_it_left(tmp_path: Path) -> None:
    with Shop(tmp_path, {"STREAMREC_KAFKA__DRAIN_TIMEOUT_S": "1"}, kind="embedded") as shop:
        worker = shop.worker("availability", "recommender")
        shop.stack.redis.kill()
        shop.publish(_stock(5))
        await_until(lambda: any(line["message"] == "unavailable" for line in _lines(worker)), "a handler that waits for Redis")
        assert worker.stop(30) in {0, CUT_OFF}
        left = [line for line in _lines(worker) if line["message"].startswith("left unfinished")]
        assert any(line["reader"] == "reader-availability" and line["batches"] for line in left)
        assert sum(lag(shop.kafka, "streamrec.availability", [STOCK]).values()) == 5


@pytest.mark.embedded_only
def test_a_worker_whose_handler_hangs_is_cut_off_and_what_it_held_is_read_again(tmp_path: Path) -> None:
    """A Redis that is frozen and a client that waits for it longer than the bound."""
    patient = {"STREAMREC_KAFKA__DRAIN_TIMEOUT_S": "1", "STREAMREC_REDIS__TIMEOUT_S": "600"}
    with Shop(tmp_path, patient, kind="embedded") as shop:
        worker = shop.worker("availability")
        pages = Pages(shop, "availability")
        _freeze(shop, signal.SIGSTOP)
        try:
            shop.publish(_stock(5))
            await_until(lambda: pages.metrics()['streamrec_in_flight_batches{reader="availability"}'], "a handler that hangs")
            assert worker.stop(60) == CUT_OFF
        finally:
            _freeze(shop, signal.SIGCONT)
        shop.worker("availability")
        await_until(lambda: shop.redis.scard("soldout") == 5, "what was held")


def _freeze(shop: Shop, how: signal.Signals) -> None:
    assert shop.stack.redis.pid is not None
    os.kill(shop.stack.redis.pid, how)
