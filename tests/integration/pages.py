"""A worker's pages, asked over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.integration.shop import Shop, await_until


class Pages:
    """The pages of the one worker that plays ``role``; it tells its address in its heartbeat."""

    def __init__(self, shop: Shop, role: str) -> None:
        self.url: str = await_until(lambda: self._url(shop, role), f"a heartbeat of {role}")

    @staticmethod
    def _url(shop: Shop, role: str) -> str | None:
        return next((beat["url"] for beat in shop.heartbeats() if role in beat["roles"]), None)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return the status and the body."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def red(self, path: str = "/readyz") -> list[dict[str, Any]]:
        """Return the problems that a page tells; none: it is green."""
        status, body = self.get(path)
        problems: list[dict[str, Any]] = json.loads(body)["problems"]
        assert (status == 200) is (not problems)
        return problems

    def metrics(self) -> dict[str, float]:
        """Return every series with its value."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}
