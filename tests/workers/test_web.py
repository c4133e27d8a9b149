"""A worker's pages, asked over HTTP's words without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from streamrec.ranking import Explanation
from streamrec.ranking.explain import explain_unknown
from tests.workers.roles import FakePipeline, FakeReader, FakeRunner, role
from workers.app import App
from workers.lag import LagMetrics
from workers.parts import Role
from workers.web import STALLED_S, add_pages


@dataclass
class Answer:
    """What a page said."""

    status: int
    body: Any
    content_type: str = ""


class View:
    """Builds answers as Faust's view does."""

    def json(self, value: Any, *, status: int = 200) -> Answer:
        return Answer(status, json.loads(json.dumps(value)))

    def bytes(self, value: bytes, *, content_type: str = "") -> Answer:
        return Answer(200, value, content_type)


@dataclass
class Pages:
    """Takes pages as an app does and asks them."""

    handlers: dict[str, Callable[..., Awaitable[Answer]]] = field(default_factory=dict)

    def page(self, path: str) -> Callable[[Any], Any]:
        def register(handler: Any) -> Any:
            self.handlers[path] = handler
            return handler

        return register

    async def ask(self, path: str, **more: str) -> Answer:
        return await self.handlers[path](View(), None, **more)


def _pages(*roles: Role, exposition: Callable[[], bytes] = lambda: b"") -> Pages:
    pages = Pages()
    add_pages(cast("App", pages), roles, exposition)
    return pages


async def test_a_worker_lives_while_its_readers_poll_and_its_handlers_finish() -> None:
    answer = await _pages(role("a", FakePipeline())).ask("/livez")
    assert (answer.status, answer.body) == (200, {"live": True, "stalled": []})


@pytest.mark.parametrize(
    ("pipeline", "says"),
    # Made when the test runs: a time taken at collection is minutes old by then.
    [
        (lambda: FakePipeline(FakeReader(alive=False)), "reader-x does not poll"),
        (lambda: FakePipeline(FakeReader(polled_at=time.monotonic() - 2 * STALLED_S)), "reader-x does not poll"),
        (lambda: FakePipeline(runner=FakeRunner(busy_since=time.monotonic() - 2 * STALLED_S)), "x has worked on one batch for"),
    ],
    ids=["ended", "hangs", "busy"],
)
async def test_what_stands_still_is_named_so_that_the_worker_is_restarted(pipeline: Callable[[], FakePipeline], says: str) -> None:
    answer = await _pages(role("a", FakePipeline()), role("b", pipeline())).ask("/livez")
    assert answer.status == 503
    [stuck] = answer.body["stalled"]
    assert stuck.startswith(says)


async def test_a_worker_is_ready_when_all_readers_of_all_roles_are() -> None:
    first, second, third = FakePipeline(), FakePipeline(), FakePipeline()
    pages = _pages(role("a", first), role("b", second, third))
    first.reader.ready.set()
    second.reader.ready.set()
    answer = await pages.ask("/readyz")
    assert (answer.status, answer.body) == (503, {"ready": False, "waiting_for": ["b"]})
    third.reader.ready.set()
    assert (await pages.ask("/readyz")).status == 200


async def test_metrics_tell_how_far_each_reader_is_behind() -> None:
    registry = CollectorRegistry()
    roles = [role("a", FakePipeline(FakeReader(lag={("items.stock", 3): 7}), FakeRunner("availability")))]
    registry.register(LagMetrics(roles))
    answer = await _pages(*roles, exposition=lambda: generate_latest(registry)).ask("/metrics")
    assert answer.content_type.startswith("text/plain")
    assert b'streamrec_lag_records{partition="3",reader="availability",topic="items.stock"} 7.0' in answer.body


async def test_why_is_answered_by_the_role_that_can() -> None:
    asked = []

    def explain(user_id: str, item_id: str) -> Future[Explanation]:
        asked.append((user_id, item_id))
        future: Future[Explanation] = Future()
        future.set_result(explain_unknown(item_id))
        return future

    pages = _pages(role("a"), role("recommender", explain=explain))
    answer = await pages.ask("/why/{user_id}/{item_id}", user_id="u", item_id="i")
    assert asked == [("u", "i")]
    assert answer.content_type == "application/json"
    assert json.loads(answer.body)["shown"] is False


async def test_why_names_whom_to_ask_where_no_recommender_runs() -> None:
    answer = await _pages(role("a")).ask("/why/{user_id}/{item_id}", user_id="u", item_id="i")
    assert answer.status == 404
    assert "recommender" in answer.body["error"]
