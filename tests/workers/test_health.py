"""Liveness and readiness: what turns red, what it says, and that it is green again when all is well again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamrec.config import WebSettings
from streamrec.errors import StoreUnavailable
from streamrec.troubles import enter
from tests.workers.roles import FakePipeline, FakeReader, FakeRunner, behind, role
from workers.health import STALLED_S, Health
from workers.sweeper import Sweeper
from workers.watch import Dependency

WEB = WebSettings(max_lag_s=30.0, max_silence_s=5.0)
LONG_AGO_S = 2 * STALLED_S


def _ready(pipeline: FakePipeline) -> FakePipeline:
    pipeline.reader.ready.set()
    return pipeline


def _answering(name: str = "kafka") -> Dependency:
    one = Dependency(name, lambda: None)
    one.look()
    return one


def test_a_worker_lives_while_its_readers_poll_its_handlers_finish_and_its_agents_work() -> None:
    assert Health([role("a", FakePipeline())], [], WEB).live() == []


@pytest.mark.parametrize(
    ("pipeline", "says"),
    # Made when the test runs: a time taken at collection is minutes old by then.
    [
        (lambda: FakePipeline(FakeReader(alive=False)), "reader-x does not poll"),
        (lambda: FakePipeline(FakeReader(polled_at=time.monotonic() - LONG_AGO_S)), "reader-x does not poll"),
        (lambda: FakePipeline(runner=FakeRunner(busy_since=time.monotonic() - LONG_AGO_S)), "x has worked on one batch for"),
        (lambda: FakePipeline(agent_ended=True), "x: its agent has ended"),
    ],
    ids=["ended", "hangs", "busy", "agent"],
)
def test_what_stands_still_is_named_so_that_the_worker_is_restarted(pipeline: Callable[[], FakePipeline], says: str) -> None:
    health = Health([role("a", FakePipeline()), role("b", pipeline())], [], WEB)
    [problem] = health.live()
    assert problem.what.startswith(says)
    assert problem.do.startswith("restart")
    assert problem in health.ready()


def test_a_reader_that_was_not_started_yet_does_not_stand_still() -> None:
    assert Health([role("a", FakePipeline(FakeReader(alive=False, ident=None)))], [], WEB).live() == []


def test_a_sweep_that_hangs_stands_still() -> None:
    with ThreadPoolExecutor(1) as core:
        sweeper = Sweeper(core, lambda: None, 1.0, [threading.Event()])
    one = role("a", FakePipeline())
    one.others.append(sweeper)
    assert Health([one], [], WEB).live() == []
    sweeper.busy_since = time.monotonic() - LONG_AGO_S
    [problem] = Health([one], [], WEB).live()
    assert "sweep" in problem.what


def test_a_worker_is_ready_when_all_readers_are_and_all_that_it_needs_answers() -> None:
    first, second = FakePipeline(), FakePipeline(runner=FakeRunner("embedder"))
    health = Health([role("a", first), role("b", second)], [_answering()], WEB)
    assert len(health.ready()) == 2
    first.reader.ready.set()
    [problem] = health.ready()
    assert problem.what.startswith("b: embedder has not joined")
    second.reader.ready.set()
    assert health.ready() == []


def test_what_does_not_answer_is_no_reason_to_restart_but_the_worker_is_not_ready() -> None:
    away = False

    def ask() -> None:
        if away:
            raise StoreUnavailable("Redis is away; start it")

    redis = Dependency("redis", ask)
    health = Health([role("a", _ready(FakePipeline()))], [redis], WEB)
    assert [problem.what for problem in health.ready()] == ["redis has not answered yet"]
    redis.look()
    assert health.ready() == []
    away = True
    redis.look()
    assert health.ready() == []  # once is no outage
    assert redis.answered_at is not None
    redis.answered_at -= WEB.max_silence_s
    [problem] = health.ready()
    assert problem.what.startswith("redis has not answered for 5 s")
    assert problem.do == "Redis is away; start it"
    assert health.live() == []
    away = False
    redis.look()
    assert health.ready() == []


def test_a_record_that_waits_beyond_the_objective_turns_readiness_red_until_it_is_handled() -> None:
    place = ("items.stock", 3)
    reader = FakeReader(backlog=behind({place: 5, ("items.stock", 4): 1}, time.monotonic() - WEB.max_lag_s - 10))
    reader.backlog.done({("items.stock", 4): 11})
    pipeline = _ready(FakePipeline(reader, FakeRunner("availability")))
    health = Health([role("a", pipeline)], [], WEB)
    [problem] = health.ready()
    assert problem.what.startswith("availability is behind: a record of items.stock[3] has waited for 40 s, 30 are allowed")
    assert health.live() == []
    pipeline.runner.waits_for = "Redis is away"
    assert health.ready()[0].do == "Redis is away"
    reader.backlog.done({place: 15})
    assert health.ready() == []


def test_a_worker_that_stops_is_not_ready_and_says_that_nothing_need_be_done() -> None:
    [problem] = Health([role("a", _ready(FakePipeline()))], [], WEB, stopping=lambda: True).ready()
    assert "stopping" in problem.what


def test_what_works_in_a_worse_way_is_degraded_and_no_reason_not_to_be_ready() -> None:
    class Encoder:
        trouble = ""

    health, encoder = Health([role("a", _ready(FakePipeline()))], [_answering()], WEB), Encoder()
    enter(encoder)
    assert health.degraded() == []
    encoder.trouble = "the GPU failed, and the encoder runs on the CPU: CUDNN failure 4"
    [problem] = health.degraded()
    assert problem.what == f"degraded: {encoder.trouble}"
    assert problem.do
    assert health.ready() == []
    del encoder
    assert health.degraded() == []
