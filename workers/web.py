"""A worker's pages: /livez, /readyz, /metrics; where a recommender runs /why/{user}/{item}, /search and /similar/{item} too."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streamrec.errors import InvalidRequest, StreamrecError
from streamrec.lists.keys import HOME
from streamrec.recommender.questions import read_question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from faust.types.web import Request, Response, View

    from streamrec.recommender import Question
    from workers.app import App
    from workers.health import Health
    from workers.parts import Role


_NOT_HERE: Final = "this worker has no recommender; ask one of --roles recommender"


def add_pages(app: App, roles: Sequence[Role], health: Health, exposition: Callable[[], bytes]) -> None:
    """Register the pages; an event loop that is stuck answers none of them, which is an answer too."""

    @app.page("/livez")
    async def livez(self: View, _request: Request) -> Response:
        problems = [asdict(one) for one in health.live()]
        return self.json({"live": not problems, "problems": problems}, status=503 if problems else 200)

    @app.page("/readyz")
    async def readyz(self: View, _request: Request) -> Response:
        problems = [asdict(one) for one in health.ready()]
        answer = {"ready": not problems, "problems": problems}
        if degraded := [asdict(one) for one in health.degraded()]:
            answer["degraded"] = degraded
        return self.json(answer, status=503 if problems else 200)

    @app.page("/metrics")
    async def metrics(self: View, _request: Request) -> Response:
        return self.bytes(await asyncio.to_thread(exposition), content_type="text/plain; version=0.0.4")

    # ?placement=… asks about another list than home.
    @app.page("/why/{user_id}/{item_id}")
    async def why(self: View, request: Request, user_id: str, item_id: str) -> Response:
        explain: Callable[[str, str, str], Any] | None = next((role.explain for role in roles if role.explain), None)
        if explain is None:
            return self.json({"error": _NOT_HERE}, status=404)
        placement = next((value for name, value in request.query.items() if name == "placement"), "")
        answer = await asyncio.wrap_future(explain(user_id, item_id, placement or HOME))
        return self.bytes(msgspec.json.encode(answer), content_type="application/json")

    @app.page("/search")
    async def search(self: View, request: Request) -> Response:
        return await _found(self, request, next((role.search for role in roles if role.search), None))

    @app.page("/similar/{item_id}")
    async def similar(self: View, request: Request, item_id: str) -> Response:
        ask = next((role.similar for role in roles if role.similar), None)
        return await _found(self, request, ask and partial(ask, item_id))


async def _found(view: View, request: Request, ask: Callable[[Question], Future[bytes]] | None) -> Response:
    """Answer a question with a list; what is wrong with it, or why there is no answer now, is told with what to do next."""
    if ask is None:
        return view.json({"error": _NOT_HERE}, status=404)
    try:
        answer = await asyncio.wrap_future(ask(read_question(request.query.items())))
    except InvalidRequest as error:
        return view.json({"error": str(error)}, status=400)
    except StreamrecError as error:
        return view.json({"error": str(error)}, status=503)
    return view.bytes(answer, content_type="application/json")
