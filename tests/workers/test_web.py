"""A worker's pages, asked over HTTP's words without a server."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest

from streamrec.catalogue import Filter
from streamrec.config import WebSettings
from streamrec.errors import InvalidRequest, ModelError
from streamrec.ranking import Explanation
from streamrec.ranking.explain import explain_unknown
from streamrec.recommender import Question
from streamrec.troubles import enter
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


class Parameters:
    """A request's parameters as aiohttp gives them."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.pairs = pairs

    def items(self) -> tuple[tuple[str, str], ...]:
        return self.pairs


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

    async def find(self, path: str, *parameters: tuple[str, str], **more: str) -> Answer:
        """Ask with parameters, of which there may be several of one name."""
        return await self.handlers[path](View(), SimpleNamespace(query=Parameters(parameters)), **more)


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


async def test_a_worker_whose_gpu_failed_is_ready_and_says_that_it_is_degraded() -> None:
    class Encoder:
        trouble = "the GPU failed, and the encoder runs on the CPU: no device"

    encoder, pipeline = Encoder(), FakePipeline()
    enter(encoder)
    pipeline.reader.ready.set()
    roles, registry = [role("a", pipeline)], CollectorRegistry()
    registry.register(WorkerGauges(roles, [], Health(roles, [], WebSettings())))
    pages = _pages(*roles, exposition=lambda: generate_latest(registry))
    answer = await pages.ask("/readyz")
    assert (answer.status, answer.body["ready"]) == (200, True)
    assert encoder.trouble in answer.body["degraded"][0]["what"]
    assert "streamrec_degraded 1.0" in (await pages.ask("/metrics")).body.decode()
    del encoder
    assert await pages.ask("/readyz") == Answer(200, {"ready": True, "problems": []})
    assert "streamrec_degraded 0.0" in (await pages.ask("/metrics")).body.decode()


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

    def explain(user_id: str, item_id: str, placement: str) -> Future[Explanation]:
        asked.append((user_id, item_id, placement))
        future: Future[Explanation] = Future()
        future.set_result(explain_unknown(item_id))
        return future

    pages = _pages(role("a"), role("recommender", explain=explain))
    answer = await pages.find("/why/{user_id}/{item_id}", user_id="u", item_id="i")
    await pages.find("/why/{user_id}/{item_id}", ("placement", "cart"), user_id="u", item_id="i")
    assert asked == [("u", "i", "home"), ("u", "i", "cart")]
    assert answer.content_type == "application/json"
    assert json.loads(answer.body)["shown"] is False


async def test_why_names_whom_to_ask_where_no_recommender_runs() -> None:
    answer = await _pages(role("a")).find("/why/{user_id}/{item_id}", user_id="u", item_id="i")
    assert answer.status == 404
    assert "recommender" in answer.body["error"]


def _finder(asked: list[Any], error: Exception | None = None) -> Role:
    """Return a role that answers each search, or fails."""

    def find(*question: Any) -> Future[bytes]:
        asked.append(question)
        future: Future[bytes] = Future()
        future.set_exception(error) if error else future.set_result(b"{}")
        return future

    found = role("recommender")
    found.search = found.similar = find
    return found


async def test_a_search_and_its_rules_reach_the_recommender() -> None:
    asked: list[Any] = []
    pages = _pages(role("a"), _finder(asked))
    answer = await pages.find("/search", ("q", "red shoe"), ("brand", "A"), ("brand", "B"), ("price_max", "9.5"), ("n", "3"))
    assert (answer.status, answer.body, answer.content_type) == (200, b"{}", "application/json")
    wanted = Filter(brands=frozenset({"A", "B"}), price_max=9.5)
    await pages.find("/similar/{item_id}", ("quantity_min", "2"), item_id="i")
    assert asked == [(Question("red shoe", wanted, 3),), ("i", Question("", Filter(quantity_min=2), 10))]


async def test_a_wrong_question_is_told_so_and_asked_of_nobody() -> None:
    asked: list[Any] = []
    for path, more in (("/search", {}), ("/similar/{item_id}", {"item_id": "i"})):
        answer = await _pages(_finder(asked)).find(path, ("q", "x"), ("barnd", "A"), **more)
        assert answer.status == 400
        assert "use q, n, category" in answer.body["error"]
    assert asked == []


async def test_what_the_recommender_refuses_is_the_askers_and_what_it_cannot_do_now_is_not() -> None:
    for error, status in ((InvalidRequest("give a query"), 400), (ModelError("wait"), 503)):
        answer = await _pages(_finder([], error)).find("/search", ("q", "x"))
        assert (answer.status, answer.body) == (status, {"error": str(error)})
    answer = await _pages(role("a")).find("/search", ("q", "x"))
    assert answer.status == 404
