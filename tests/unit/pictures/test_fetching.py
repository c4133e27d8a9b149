"""Fetching from a server that means no good: every answer ends in a picture or in a refusal with its reason."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from streamrec.pictures.album import Seen
from streamrec.pictures.fetching import Fetcher, Lookup
from streamrec.pictures.refusals import Refused
from streamrec.pictures.settings import PictureSettings
from tests.picture_server import PictureServer, jpeg


@pytest.fixture(scope="module")
def server() -> Iterator[PictureServer]:
    with PictureServer() as running:
        yield running


def leads_to(*addresses: str) -> Lookup:
    """Return a name service that knows one answer."""

    async def lookup(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in addresses]

    return lookup


@asynccontextmanager
async def fetching(server: PictureServer, lookup: Lookup | None = None, **settings: Any) -> AsyncIterator[Fetcher]:
    own: dict[str, Any] = {"allow_private": ("127.0.0.1/32",), "ports": (server.port,), "total_timeout_s": 10.0}
    trust = settings.pop("trust", True)
    fetcher = Fetcher(PictureSettings(**own | settings), lookup=lookup, trust=trust)
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def reason(server: PictureServer, url: str, lookup: Lookup | None = None, **settings: Any) -> str:
    async with fetching(server, lookup, **settings) as fetcher:
        with pytest.raises(Refused) as refused:
            await fetcher.fetch(url)
        return refused.value.reason


async def test_a_good_picture_is_fetched_with_plain_headers(server: PictureServer) -> None:
    async with fetching(server) as fetcher:
        assert (await fetcher.fetch(server.url("/good.jpg"))).content == jpeg()
    heard = server.heard[-1]
    assert heard["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer"} & set(heard)


@pytest.mark.parametrize("path", ["/untyped", "/octets", "/to?to=/good.jpg", "/to?to=/to?to=/good.jpg"])
async def test_first_bytes_decide_where_the_server_says_nothing_and_redirects_are_followed(
    server: PictureServer, path: str
) -> None:
    async with fetching(server) as fetcher:
        assert (await fetcher.fetch(server.url(path))).content == jpeg()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/page.html", "type"),
        ("/vector.svg", "type"),
        ("/octets.html", "type"),
        ("/lying.png", "lying_type"),
        ("/page.jpg", "lying_type"),
        ("/huge.jpg", "too_large"),
        ("/endless.jpg", "too_large"),
        ("/cut.jpg", "unreachable"),
        ("/reset.jpg", "unreachable"),
        ("/packed.jpg", "answer"),
        ("/partial.jpg", "answer"),
        ("/babble.jpg", "answer"),
        ("/headers.jpg", "answer"),
        ("/gone.jpg", "missing"),
        ("/busy.jpg", "server"),
        ("/broken.jpg", "server"),
        ("/nowhere", "redirects"),
        ("/a", "redirects"),
        ("/to?to=/to?to=/to?to=/to?to=/good.jpg", "redirects"),
        ("/to?to=file:///etc/passwd", "url"),
        ("/to?to=http://u:p@127.0.0.1/", "url"),
        ("/to?to=http://127.0.0.1:1/", "port"),
    ],
)
async def test_every_other_answer_is_refused_for_its_reason(server: PictureServer, path: str, expected: str) -> None:
    assert await reason(server, server.url(path)) == expected


@pytest.mark.parametrize("path", ["/held.jpg", "/drip.jpg", "/drip-headers.jpg"])
async def test_a_server_that_takes_its_time_is_left(server: PictureServer, path: str) -> None:
    assert await reason(server, server.url(path), total_timeout_s=0.2) == "timeout"


async def test_what_nobody_listens_at_is_unreachable(server: PictureServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert await reason(server, f"http://127.0.0.1:{port}/", ports=(port,)) == "unreachable"


async def test_a_size_limit_holds_to_the_byte(server: PictureServer) -> None:
    """The exact size passes; with one byte less the same picture is refused."""
    size = len(jpeg())
    if size < 1024:
        server.pages["/sized.jpg"] = lambda exchange: exchange.answer(200, jpeg() + bytes(2048 - size))
    async with fetching(server, max_bytes=2048) as fetcher:
        assert len((await fetcher.fetch(server.url("/sized.jpg"))).content or b"") == 2048
    assert await reason(server, server.url("/sized.jpg"), max_bytes=2047) == "too_large"


# -- addresses ---------------------------------------------------------------------------------------------------------


async def test_loopback_is_not_asked_unless_it_is_allowed(server: PictureServer) -> None:
    before = server.asked.total()
    assert await reason(server, server.url("/good.jpg"), allow_private=()) == "private_address"
    assert await reason(server, server.url("/good.jpg", "localhost"), allow_private=()) == "private_address"
    assert server.asked.total() == before


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{}/good.jpg", "http://[::1]:{}/", "http://169.254.169.254:{}/", "//10.0.0.1:{}/"]
)
async def test_a_redirect_leads_to_no_private_address(server: PictureServer, target: str) -> None:
    assert await reason(server, server.url(f"/to?to={target.format(server.port)}")) == "private_address"


@pytest.mark.parametrize("addresses", [("10.0.0.1",), ("169.254.169.254",), ("1.1.1.1", "192.168.0.1"), ("127.0.0.1", "::1")])
async def test_a_name_with_any_private_address_is_refused(server: PictureServer, addresses: tuple[str, ...]) -> None:
    assert await reason(server, server.url("/good.jpg", "shop.test"), leads_to(*addresses)) == "private_address"


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "017700000001", "0"])
async def test_an_address_in_a_form_of_its_own_is_none(server: PictureServer, host: str) -> None:
    """Even where its network is allowed: resolvers do not agree on what it means."""
    assert await reason(server, server.url("/good.jpg", host)) == "url"
    assert await reason(server, server.url(f"/to?to=http://{host}:{server.port}/good.jpg")) == "url"


async def test_a_name_that_leads_nowhere_is_unresolved(server: PictureServer) -> None:
    assert await reason(server, server.url("/", "shop.test"), leads_to()) == "unresolved"


async def test_a_name_that_changes_its_mind_is_asked_once_and_its_first_answer_is_connected_to(server: PictureServer) -> None:
    """Rebinding: the second answer would be another address; there is no second question, and the host's name stays."""
    asked: list[str] = []

    async def lookup(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        asked.append(host)
        return [(socket.AF_INET, "127.0.0.1" if len(asked) == 1 else "169.254.169.254")]

    async with fetching(server, lookup) as fetcher:
        assert (await fetcher.fetch(server.url("/good.jpg", "shop.test"))).content == jpeg()
        assert asked == ["shop.test"]
        assert server.heard[-1]["host"] == f"shop.test:{server.port}"
        with pytest.raises(Refused, match="private_address"):
            await fetcher.fetch(server.url("/good.jpg", "shop.test"))


async def test_a_name_of_any_alphabet_is_asked_as_browsers_ask_it(server: PictureServer) -> None:
    server.pages["/%C3%A4%20b.jpg"] = server.pages["/good.jpg"]
    async with fetching(server, leads_to("127.0.0.1")) as fetcher:
        assert (await fetcher.fetch(server.url("/ä%20b.jpg", "bücher.test"))).content == jpeg()
    assert server.heard[-1]["host"] == f"xn--bcher-kva.test:{server.port}"


async def test_no_socket_is_made_for_an_address_that_slipped_through(server: PictureServer) -> None:
    async with fetching(server) as fetcher:
        for place in (("10.0.0.1", 80), ("169.254.169.254", 80)):
            with pytest.raises(OSError, match="not public"):
                fetcher._socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", place))


async def test_a_certificate_is_held_to_the_name_and_not_to_the_address() -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.test").configure_cert(tls)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with PictureServer(tls) as server:
        async with fetching(server, leads_to("127.0.0.1"), trust=trust) as fetcher:
            assert (await fetcher.fetch(server.url("/good.jpg", "shop.test"))).content == jpeg()
        assert await reason(server, server.url("/good.jpg", "other.test"), leads_to("127.0.0.1"), trust=trust) == "answer"
        assert await reason(server, server.url("/good.jpg", "shop.test"), leads_to("127.0.0.1")) == "answer"
        downgrade = server.url("/to?to=http://shop.test/", "shop.test")
        assert await reason(server, downgrade, leads_to("127.0.0.1"), trust=trust) == "redirects"


# -- validators and places ------------------------------------------------------------------------------------------------


async def test_what_did_not_change_is_not_sent_again(server: PictureServer) -> None:
    async with fetching(server) as fetcher:
        first = await fetcher.fetch(server.url("/etag.jpg"))
        assert first.etag == '"one"'
        again = await fetcher.fetch(server.url("/etag.jpg"), Seen(0, "d", etag=first.etag))
        assert (again.content, again.etag) == (None, '"one"')
        other = await fetcher.fetch(server.url("/etag.jpg"), Seen(0, "d", etag='"two"'))
        assert other.content == jpeg()


async def test_places_bound_what_is_asked_at_once_and_a_slow_host_takes_no_place_of_others() -> None:
    with PictureServer() as slow, PictureServer() as quick:
        async with fetching(quick, ports=(slow.port, quick.port), concurrency=3, per_host=2) as fetcher:

            async def get(url: str) -> bytes | None:
                async with fetcher.place(url):
                    return (await fetcher.fetch(url)).content

            held = [asyncio.create_task(get(slow.url("/held.jpg"))) for _ in range(6)]
            assert await get(quick.url("/good.jpg")) == jpeg()
            slow.release.set()
            assert await asyncio.gather(*held) == [jpeg()] * 6
        assert slow.most <= 2


async def test_a_place_is_refused_to_what_may_not_be_asked(server: PictureServer) -> None:
    async with fetching(server) as fetcher:
        with pytest.raises(Refused):
            async with fetcher.place("file:///etc/passwd"):
                pass
        assert fetcher._hosts == {}
