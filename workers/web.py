"""A worker's pages: /livez, /readyz, /metrics, and /why/{user}/{item} where a recommender runs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faust.types.web import Request, Response, View

    from workers.app import App
    from workers.health import Health
    from workers.parts import Role


def add_pages(app: App, roles: Sequence[Role], health: Health, exposition: Callable[[], bytes]) -> None:
    """Register the pages; an event loop that is stuck answers none of them, which is an answer too."""

    @app.page("/livez")
    async def livez(self: View, _request: Request) -> Response:
        problems = [asdict(one) for one in health.live()]
        return self.json({"live": not problems, "problems": problems}, status=503 if problems else 200)

    @app.page("/readyz")
    async def readyz(self: View, _request: Request) -> Response:
        problems = [asdict(one) for one in health.ready()]
        return self.json({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    @app.page("/metrics")
    async def metrics(self: View, _request: Request) -> Response:
        return self.bytes(await asyncio.to_thread(exposition), content_type="text/plain; version=0.0.4")

    @app.page("/why/{user_id}/{item_id}")
    async def why(self: View, _request: Request, user_id: str, item_id: str) -> Response:
        explain: Callable[[str, str], Any] | None = next((role.explain for role in roles if role.explain), None)
        if explain is None:
            return self.json({"error": "this worker has no recommender; ask one of --roles recommender"}, status=404)
        answer = await asyncio.wrap_future(explain(user_id, item_id))
        return self.bytes(msgspec.json.encode(answer), content_type="application/json")
