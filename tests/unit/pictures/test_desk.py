"""Items wait for their pictures in nobody's way, within a bound, and none is lost."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamrec.clock import ManualClock
from streamrec.errors import StoreUnavailable
from streamrec.events import CatalogItem
from streamrec.observe import Memory
from streamrec.pictures.album import Album
from streamrec.pictures.decoding import digest_of
from streamrec.pictures.desk import Desk, Want
from streamrec.pictures.fetching import Fetcher
from streamrec.pictures.settings import PictureSettings
from tests.picture_server import PictureServer, jpeg
from tests.unit.pictures.eyes import ColourEye

TS = 1_767_225_600_000
PLACE = ("items.catalog", 0)
PATIENCE_S = 20.0


class Room:
    """A desk, its server, and what is counted."""

    def __init__(self, folder: Path, server: PictureServer, **settings: Any) -> None:
        own: dict[str, Any] = {"allow_private": ("127.0.0.1/32",), "ports": (server.port,), "backoff_s": 0.001}
        self.settings = PictureSettings(**own | settings)
        self.server = server
        self.album = Album(folder, eye=ColourEye.digest)
        self.eye = ColourEye()
        self.clock = ManualClock(TS)
        self.observer = Memory()
        self.desk = Desk(
            self.album,
            self.eye,
            self.settings,
            clock=self.clock,
            fetcher=lambda: Fetcher(self.settings),
            observer=self.observer,
            room_s=0.05,
        )
        self._offset = 0

    def want(self, path: str = "", *, ts: int = TS, image: str = "", place: tuple[str, int] = PLACE) -> Want:
        self._offset += 1
        item = CatalogItem(title="Shoes", ts=ts, image_url=self.server.url(path) if path else "", image=image)
        return Want(f"sku-{self._offset}", item, place, self._offset)

    def arrive(self, n: int) -> list[Want]:
        """Wait until ``n`` items were taken."""
        taken: list[Want] = []
        gone_by = threading.Event()
        for _ in range(int(PATIENCE_S / 0.005)):
            taken += self.desk.take(n - len(taken))
            if len(taken) == n:
                return taken
            gone_by.wait(0.005)
        raise AssertionError(f"{len(taken)} of {n} arrived")

    def look(self, path: str = "", **fields: Any) -> str:
        """Put one item and return what came of it."""
        before = self.observer.counts.copy()
        self.desk.put([self.want(path, **fields)])
        self.desk.settle(self.arrive(1))
        [(_, outcome)] = [key for key in (self.observer.counts - before) if key[0] == "pictures"]
        return outcome


@pytest.fixture(scope="module")
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


@pytest.fixture
def open_room(tmp_path: Path, server: PictureServer) -> Iterator[Callable[..., Room]]:
    rooms: list[Room] = []

    def make(**settings: Any) -> Room:
        room = Room(tmp_path, settings.pop("server", server), **settings)
        room.desk.start()
        rooms.append(room)
        return room

    yield make
    for room in rooms:
        room.desk.stop()


OpenRoom = Callable[..., Room]


def test_a_picture_is_fetched_seen_and_kept_once(open_room: OpenRoom, server: PictureServer) -> None:
    room, before = open_room(), server.asked["/good.jpg"]
    assert room.look("/good.jpg") == "seen"
    assert room.look("/good.jpg") == "known"
    assert server.asked["/good.jpg"] == before + 1
    assert room.eye.looked == 1
    assert room.album.features(digest_of(jpeg())) is not None


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/gone.jpg", "missing"),
        ("/page.html", "type"),
        ("/lying.png", "lying_type"),
        ("/huge.jpg", "too_large"),
        ("/bomb.png", "too_many_pixels"),
        ("/short.jpg", "broken"),
        ("/cut.jpg", "unreachable"),
        ("/to?to=http://10.0.0.1/", "port"),
        ("/a", "redirects"),
    ],
)
def test_a_picture_that_is_not_seen_is_counted_by_its_reason_and_its_item_goes_on(
    open_room: OpenRoom, path: str, outcome: str
) -> None:
    room = open_room(attempts=1)
    assert room.look(path) == outcome
    assert len(room.album) == 0


def test_a_refusal_is_remembered_for_its_time(open_room: OpenRoom, server: PictureServer) -> None:
    room, before = open_room(refused_for_s=60), server.asked["/gone.jpg"]
    assert [room.look("/gone.jpg") for _ in range(3)] == ["missing"] * 3
    assert server.asked["/gone.jpg"] == before + 1
    room.clock.advance(60_000)
    assert room.look("/gone.jpg") == "missing"
    assert server.asked["/gone.jpg"] == before + 2


def test_a_newer_message_has_its_picture_asked_for_again(open_room: OpenRoom, server: PictureServer) -> None:
    """Also where the URL is the same: the shop may have changed the picture behind it, or mended it."""
    room, before = open_room(), server.asked["/etag.jpg"]
    assert room.look("/etag.jpg") == "seen"
    assert room.look("/etag.jpg", ts=TS + 1) == "unchanged"
    assert server.asked["/etag.jpg"] == before + 2
    server.pages["/new.jpg"] = lambda exchange: exchange.answer(404)
    assert room.look("/new.jpg") == "missing"
    server.pages["/new.jpg"] = lambda exchange: exchange.answer(200, jpeg((1, 2, 3)))
    assert room.look("/new.jpg") == "missing"
    assert room.look("/new.jpg", ts=TS + 1) == "seen"
    server.pages["/new.jpg"] = lambda exchange: exchange.answer(200, jpeg((3, 2, 1)))
    assert room.look("/new.jpg", ts=TS + 2) == "seen"
    seen = room.album.seen(server.url("/new.jpg"))
    assert seen is not None
    assert seen.digest == digest_of(jpeg((3, 2, 1)))


def test_a_server_that_stumbles_is_asked_again(open_room: OpenRoom) -> None:
    with PictureServer() as server:
        room = open_room(server=server, attempts=3)
        assert room.look("/flaky.jpg") == "seen"
        assert server.asked["/flaky.jpg"] == 3
        assert room.observer.counts["picture_tries", "server"] == 2


def test_tries_end_and_a_picture_that_was_seen_stays_while_its_server_is_away(open_room: OpenRoom, server: PictureServer) -> None:
    room = open_room(attempts=2)
    server.pages["/later.jpg"] = lambda exchange: exchange.answer(200, jpeg())
    assert room.look("/later.jpg") == "seen"
    server.pages["/later.jpg"] = lambda exchange: exchange.answer(503)
    assert room.look("/later.jpg", ts=TS + 1) == "server"
    assert server.asked["/later.jpg"] == 3
    seen = room.album.seen(server.url("/later.jpg"))
    assert seen is not None
    assert (seen.digest, seen.reason) == (digest_of(jpeg()), "server")
    server.pages["/later.jpg"] = lambda exchange: exchange.answer(410)
    assert room.look("/later.jpg", ts=TS + 2) == "missing"
    seen = room.album.seen(server.url("/later.jpg"))
    assert seen is not None
    assert seen.digest == ""


def test_an_inline_picture_needs_no_server(open_room: OpenRoom) -> None:
    room = open_room()
    assert room.look(image=base64.b64encode(jpeg((9, 9, 9))).decode()) == "seen"
    assert room.look(image=base64.b64encode(jpeg((9, 9, 9))).decode()) == "known"
    assert room.look(image="no base64!") == "base64"
    assert room.look(image=base64.b64encode(b"<html>").decode()) == "broken"


def test_many_items_with_one_picture_fetch_it_once(open_room: OpenRoom) -> None:
    with PictureServer() as server:
        room = open_room(server=server)
        room.desk.put([room.want("/held.jpg") for _ in range(20)])
        server.release.set()
        room.desk.settle(room.arrive(20))
        assert server.asked["/held.jpg"] == 1
        assert room.observer.counts["pictures", "known"] == 19


def test_a_slow_picture_holds_up_no_other_and_its_offset_stays_uncommitted(open_room: OpenRoom) -> None:
    with PictureServer() as server:
        room = open_room(server=server)
        slow, quick, elsewhere = room.want("/held.jpg"), room.want("/good.jpg"), room.want("/good.jpg", place=("items.catalog", 1))
        room.desk.put([slow, quick, elsewhere])
        room.desk.settle(room.arrive(2))
        assert room.desk.floor(PLACE) == slow.offset
        assert room.desk.floor(("items.catalog", 1)) is None
        server.release.set()
        assert room.arrive(1) == [slow]
        assert room.desk.floor(PLACE) == slow.offset, "taken is not settled"
        room.desk.settle([slow])
        assert room.desk.floor(PLACE) is None
        assert room.desk.waiting == 0


def test_the_desk_is_bounded_and_what_found_no_room_is_put_again(open_room: OpenRoom) -> None:
    with PictureServer() as server:
        room = open_room(server=server, max_waiting=2)
        wants = [room.want("/held.jpg") for _ in range(3)]
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="2 items wait"):
                room.desk.put(wants)
            assert room.desk.waiting == 2
        server.release.set()
        room.desk.settle(room.arrive(2))
        room.desk.put(wants[2:])
        assert room.arrive(1) == wants[2:]


def test_what_could_not_be_sent_is_taken_again_in_its_order(open_room: OpenRoom) -> None:
    room = open_room()
    wants = [room.want(image="no base64!") for _ in range(3)]
    room.desk.put(wants)
    taken = room.arrive(3)
    room.desk.put_back(taken)
    assert room.desk.take(2) == taken[:2]
    assert room.desk.take(2) == taken[2:]


def test_a_partition_that_is_gone_is_forgotten_and_read_anew_when_it_comes_back(open_room: OpenRoom) -> None:
    with PictureServer() as server:
        room = open_room(server=server)
        want = room.want("/held.jpg")
        room.desk.put([want])
        room.desk.drop([PLACE])
        assert (room.desk.floor(PLACE), room.desk.waiting) == (None, 0)
        again = Want(want.item_id, want.item, want.place, want.offset)
        room.desk.put([again])
        server.release.set()
        assert room.arrive(1) == [again]
        assert room.desk.take(1) == []


def test_an_encoder_that_fails_is_an_outcome_and_the_next_picture_is_seen(open_room: OpenRoom) -> None:
    room = open_room()
    room.eye.fail = True
    assert room.look("/good.jpg") == "failed"
    room.eye.fail = False
    assert room.look("/good.jpg") == "seen"


def test_a_desk_that_stops_leaves_what_lies_on_it_uncommitted(tmp_path: Path, server: PictureServer) -> None:
    with PictureServer() as slow:
        room = Room(tmp_path, slow)
        room.desk.start()
        want = room.want("/held.jpg")
        room.desk.put([want])
        room.desk.stop()
        assert room.desk.floor(PLACE) == want.offset
        with pytest.raises(StoreUnavailable, match="stopping"):
            room.desk.put([room.want("/good.jpg")])
    # After a restart the message is read again, and its picture is fetched.
    again = Room(tmp_path, server)
    again.desk.start()
    try:
        again.desk.put(
            [Want(want.item_id, CatalogItem(title="Shoes", ts=TS, image_url=server.url("/good.jpg")), PLACE, want.offset)]
        )
        assert [one.offset for one in again.arrive(1)] == [want.offset]
    finally:
        again.desk.stop()
