"""Whether a new item is found by search, asked of the recommender's page by a thread of its own."""

from __future__ import annotations

import http.client
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Event as Flag
from threading import Lock, Thread
from typing import Final
from urllib.parse import quote, urlsplit

_EVERY_S: Final = 0.05
_TIMEOUT_S: Final = 5.0
#: Items that are looked for at once; the oldest is given up.
_MAX_WANTED: Final = 64


class Finder:
    """Asks ``GET <url>/search?q=<title>&n=10`` for each wanted item until it is among the answers; ``works``: the page exists."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._wanted: OrderedDict[str, str] = OrderedDict()
        self._found: set[str] = set()
        self._lock = Lock()
        self._stop = Flag()
        self.works = self._get("/search?q=shoe&n=1") is not None
        self._thread = Thread(target=self._run, name="finder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        if self.works:
            self._thread.start()

    def stop(self) -> None:
        """End after the question at hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2 * _TIMEOUT_S)

    def ask(self, item_id: str, title: str) -> Callable[[], bool]:
        """Look for an item from now on; the answer tells whether it was found yet."""
        with self._lock:
            self._wanted[item_id] = title
            if len(self._wanted) > _MAX_WANTED:
                self._wanted.popitem(last=False)
        return lambda: item_id in self._found

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            with self._lock:
                wanted = list(self._wanted.items())
            for item_id, title in wanted:
                answer = self._get(f"/search?q={quote(title)}&n=10")
                if answer is not None and f'"{item_id}"'.encode() in answer:
                    with self._lock:
                        self._wanted.pop(item_id, None)
                        self._found.add(item_id)

    def _get(self, path: str) -> bytes | None:
        """Return the page, None where there is none."""
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=_TIMEOUT_S)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return body if answer.status == http.HTTPStatus.OK else None
        return None
