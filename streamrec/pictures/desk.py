"""Where items wait for their pictures: bounded, beside the stream of texts, and in nobody's way.

A thread of its own runs an event loop that fetches; another one looks. Whoever reads the catalogue puts items down and is held back
while the desk is full; whoever embeds takes up those whose pictures are there, or will not come. What lies on the desk is not
committed: ``floor`` tells from which offset on a partition must be read again after a crash.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.clock import Clock
from streamrec.errors import StoreUnavailable
from streamrec.events import CatalogItem
from streamrec.observe import Observer, Silence
from streamrec.pictures.album import Album, Seen
from streamrec.pictures.decoding import digest_of, from_base64
from streamrec.pictures.encoder import Eye
from streamrec.pictures.refusals import Refused
from streamrec.pictures.settings import PictureSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streamrec.pictures.fetching import Fetcher

_log: Final = logging.getLogger(__name__)

Place = tuple[str, int]
#: How long ``put`` waits for room before it asks to be called again: a handler that works for a minute counts as hanging.
ROOM_S: Final = 20.0
#: Pictures that are looked at together.
_TOGETHER: Final = 16
_BACKOFF_GROWS: Final = 4.0
#: A tenth of the room for items, at the schema's limit.
_MAX_INLINE_CHARS: Final = 100 * 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """An item that has a picture, and where its catalogue message stands."""

    item_id: str
    item: CatalogItem
    place: Place
    offset: int


class Desk:
    """Holds at most ``max_waiting`` items; ``start`` it before use and ``stop`` it after. Any thread may call any method."""

    def __init__(
        self,
        album: Album,
        eye: Eye,
        settings: PictureSettings,
        *,
        clock: Clock,
        fetcher: Callable[[], Fetcher],
        observer: Observer | None = None,
        room_s: float = ROOM_S,
    ) -> None:
        self._album = album
        self._eye = eye
        self._settings = settings
        self._clock = clock
        self._make_fetcher = fetcher
        self._observer = observer or Silence()
        self._room_s = room_s
        self._changed = threading.Condition()
        self._open: dict[Place, dict[int, Want]] = {}
        self._held = self._inline = 0
        self._arrived: deque[Want] = deque()
        self._stopping = False
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="pictures-look")
        self._thread = threading.Thread(target=self._run, name="pictures-fetch", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        # Touched by the loop's thread alone.
        self._fetcher: Fetcher
        self._tasks: set[asyncio.Task[None]] = set()
        self._unseen: deque[tuple[bytes, asyncio.Future[NDArray[np.float32]]]] = deque()
        self._seeing = False
        self._urls: dict[str, tuple[asyncio.Lock, list[None]]] = {}

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fetch."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Fetch no more; what is on the desk stays uncommitted."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # it ended in between
                self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(self._settings.total_timeout_s)
        self._looking.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> int:
        """How many items lie on the desk."""
        return self._held

    # -- for whoever reads the catalogue ---------------------------------------------------------------------------------

    def put(self, wants: Iterable[Want]) -> None:
        """Lay items down, waiting for room; one that lies there already is the same.

        Raises StoreUnavailable when there is no room for long: what was not laid down is to be put again.
        """
        for want in wants:
            with self._changed:
                if want.offset in self._open.get(want.place, ()):
                    continue
                if not self._changed.wait_for(lambda w=want: self._stopping or self._has_room(w), self._room_s):  # type: ignore[misc]
                    msg = f"{self._held} items wait for their pictures already; slow picture servers hold them up"
                    raise StoreUnavailable(msg)
                if self._stopping:
                    raise StoreUnavailable("the worker is stopping; items are put again at its next start")
                self._open.setdefault(want.place, {})[want.offset] = want
                self._held += 1
                self._inline += len(want.item.image)
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(self._begin, want)
            except RuntimeError as error:  # the loop has ended in between
                self.settle([want])
                raise StoreUnavailable("the worker is stopping; items are put again at its next start") from error

    def floor(self, place: Place) -> int | None:
        """Return the lowest offset of a partition that is not settled; None where all is."""
        with self._changed:
            return min(self._open.get(place, ()), default=None)

    def drop(self, places: Collection[Place]) -> None:
        """Forget partitions that are no longer ours."""
        with self._changed:
            for place in places:
                for want in self._open.pop(place, {}).values():
                    self._count_out(want)
            self._changed.notify_all()

    # -- for whoever embeds ----------------------------------------------------------------------------------------------

    def take(self, n: int) -> list[Want]:
        """Return up to ``n`` items whose pictures are in the album or will not come, in the order in which that became known."""
        taken: list[Want] = []
        with self._changed:
            while self._arrived and len(taken) < n:
                want = self._arrived.popleft()
                if self._is_open(want):
                    taken.append(want)
        return taken

    def put_back(self, wants: Sequence[Want]) -> None:
        """Have items taken again whose vectors could not be sent."""
        with self._changed:
            self._arrived.extendleft(reversed(wants))

    def settle(self, wants: Iterable[Want]) -> None:
        """Hear that nothing of these is left to do."""
        with self._changed:
            for want in wants:
                if self._is_open(want):
                    del self._open[want.place][want.offset]
                    self._count_out(want)
            self._changed.notify_all()

    def _is_open(self, want: Want) -> bool:
        return self._open.get(want.place, {}).get(want.offset) is want

    def _has_room(self, want: Want) -> bool:
        return self._held < self._settings.max_waiting and (
            not self._held or self._inline + len(want.item.image) <= _MAX_INLINE_CHARS
        )

    def _count_out(self, want: Want) -> None:
        self._held -= 1
        self._inline -= len(want.item.image)

    # -- the thread that fetches -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        try:
            self._fetcher = self._make_fetcher()
        finally:
            self._ready.set()
        try:
            await self._end.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._fetcher.close()

    def _cancel(self) -> None:
        self._end.set()

    def _begin(self, want: Want) -> None:
        if self._end.is_set():
            return
        task = asyncio.get_running_loop().create_task(self._look_for(want))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_for(self, want: Want) -> None:
        try:
            outcome = await self.look_for(want.item)
        except Refused as refused:
            outcome = refused.reason
            _log.info("no picture of %s: %s", want.item_id, refused)
        except Exception:  # noqa: BLE001 - logged and counted
            # Whatever it is, a want that never arrives would hold its partition's offset for ever.
            outcome = "failed"
            _log.exception("no picture of %s", want.item_id)
        self._observer.count("pictures", outcome)
        with self._changed:
            if self._is_open(want):
                self._arrived.append(want)

    async def look_for(self, item: CatalogItem) -> str:
        """Bring an item's picture into the album; return seen, known or unchanged. Raises Refused."""
        if item.image:
            content = from_base64(item.image)
            return "seen" if await self._see(content, digest_of(content)) else "known"
        async with self._alone(item.image_url):
            return await self._look_at(item.image_url, item.ts)

    async def _look_at(self, url: str, ts: int) -> str:
        seen = self._album.seen(url)
        held = bool(seen and seen.digest) and seen is not None and self._album.features(seen.digest) is not None
        if seen is not None and seen.at_ms >= ts:
            if held and not seen.reason:
                return "known"
            if seen.reason and self._clock.now_ms() - seen.at_ms < 1000 * self._settings.refused_for_s:
                raise Refused(seen.reason, "as before")
        now_ms = self._clock.now_ms()  # before it is asked: a message that comes meanwhile is newer than the answer
        try:
            return await self._ask(url, seen if held else None, now_ms)
        except Refused as refused:
            before = seen if seen is not None and refused.passing else Seen(0)
            self._album.note(url, Seen(now_ms, before.digest, refused.reason, before.etag, before.modified))
            raise

    async def _ask(self, url: str, known: Seen | None, now_ms: int) -> str:
        pause_s = self._settings.backoff_s
        for attempt in range(1, self._settings.attempts + 1):
            try:
                async with self._fetcher.place(url):
                    fetched = await self._fetcher.fetch(url, known)
                    digest = known.digest if fetched.content is None and known is not None else digest_of(fetched.content or b"")
                    new = fetched.content is not None and await self._see(fetched.content, digest)
            except Refused as refused:
                if not refused.passing or attempt == self._settings.attempts:
                    raise
                self._observer.count("picture_tries", refused.reason)
            else:
                self._album.note(url, Seen(now_ms, digest, "", fetched.etag, fetched.modified))
                return "seen" if new else "unchanged"
            await asyncio.sleep(pause_s)
            pause_s *= _BACKOFF_GROWS
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _alone(self, url: str) -> AsyncIterator[None]:
        """Ask for a URL once at a time: of many items with one picture the first fetches it, the others find it in the album."""
        lock, users = self._urls.setdefault(url, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._urls[url]

    # -- looking ---------------------------------------------------------------------------------------------------------

    async def _see(self, content: bytes, digest: str) -> bool:
        """Bring a picture's features into the album; False where they are there already. Raises Refused."""
        if self._album.features(digest) is not None:
            return False
        loop = asyncio.get_running_loop()
        future: asyncio.Future[NDArray[np.float32]] = loop.create_future()
        self._unseen.append((content, future))
        if not self._seeing:
            self._seeing = True
            task = loop.create_task(self._see_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._album.keep(digest, await future)
        return True

    async def _see_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._unseen:
                batch = [self._unseen.popleft() for _ in range(min(len(self._unseen), _TOGETHER))]
                results = await loop.run_in_executor(self._looking, self._look, [content for content, _ in batch])
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._seeing = False

    def _look(self, contents: Sequence[bytes]) -> list[Any]:
        """Return features, or the exception, of each picture."""
        found: list[Any] = []
        for content in contents:
            try:
                found.append(self._eye.look(content))
            except Exception as error:  # noqa: BLE001 - it belongs to this picture alone
                found.append(error)
        good = [place for place, one in enumerate(found) if not isinstance(one, Exception)]
        try:
            rows: Iterable[Any] = self._eye.see([found[place] for place in good]) if good else ()
        except Exception as error:  # noqa: BLE001 - of the encoder: told for each
            rows = [error] * len(good)
        for place, row in zip(good, rows, strict=True):
            found[place] = row
        return found
