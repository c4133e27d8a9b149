"""A worker's pages, asked over HTTP's words without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest

from streamrec.config import WebSettings
from streamrec.ranking import Explanation
from streamrec.ranking.explain import explain_unknown
from tests.workers.roles import FakePipeline, FakeReader, FakeRunner, behind, role
from workers.app import App
from workers.gauges import WorkerGauges
from workers.health import Health
from workers.parts import Role
from workers.watch import Dependency
from workers.web import add_pages


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
    add_pages(cast("App", pages), roles, Health(roles, [], WebSettings()), exposition)
    return pages


async def test_pages_say_what_is_wrong_and_what_to_do() -> None:
    pipeline = FakePipeline(runner=FakeRunner("embedder"))
    pages = _pages(role("a", pipeline))
    assert await pages.ask("/livez") == Answer(200, {"live": True, "problems": []})
    answer = await pages.ask("/readyz")
    assert (answer.status, answer.body["ready"]) == (503, False)
    [problem] = answer.body["problems"]
    assert problem["what"].startswith("a: embedder has not joined")
    assert "streamrec doctor" in problem["do"]
    pipeline.reader.ready.set()
    assert await pages.ask("/readyz") == Answer(200, {"ready": True, "problems": []})
    pipeline.reader.alive = False
    for path, green in (("/livez", "live"), ("/readyz", "ready")):
        answer = await pages.ask(path)
        assert (answer.status, answer.body[green], len(answer.body["problems"])) == (503, False, 1)


async def test_metrics_tell_how_far_each_reader_is_behind_and_what_a_worker_is_like() -> None:
    registry = CollectorRegistry()
    lag = behind({("items.stock", 3): 7}, time.monotonic() - 100)
    roles = [role("a", FakePipeline(FakeReader(backlog=lag, in_flight=2), FakeRunner("availability")), items=12)]
    answering = Dependency("kafka", lambda: None)
    answering.look()
    registry.register(WorkerGauges(roles, [answering], Health(roles, [answering], WebSettings())))
    answer = await _pages(*roles, exposition=lambda: generate_latest(registry)).ask("/metrics")
    assert answer.content_type.startswith("text/plain")
    said = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if not line.startswith("#"))
    place = 'partition="3",reader="availability",topic="items.stock"'
    assert said[f"streamrec_lag_records{{{place}}}"] == "7.0"
    assert 100 <= float(said[f"streamrec_lag_seconds{{{place}}}"]) < 200
    assert said['streamrec_in_flight_batches{reader="availability"}'] == "2.0"
    assert said['streamrec_state{name="items",role="a"}'] == "12.0"
    assert (said["streamrec_live"], said["streamrec_ready"]) == ("1.0", "0.0")


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
