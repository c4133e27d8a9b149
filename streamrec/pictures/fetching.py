"""Fetches pictures from addresses that others wrote down: few schemes, no private address, and a bound on everything.

Which address is connected to is decided once: the name is resolved here, each address is checked, the connection is made to these
addresses alone, and each is checked once more as its socket is made. Host header, SNI and certificate stay those of the name. So a
name that leads elsewhere a moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from streamrec.pictures.addresses import Guard
from streamrec.pictures.album import Seen
from streamrec.pictures.decoding import TYPES, UNTYPED, format_of
from streamrec.pictures.refusals import Refused
from streamrec.pictures.settings import PictureSettings

#: Returns (family, address) pairs of a host's name; raises OSError where there are none.
Lookup = Callable[[str, int], Awaitable[list[tuple[socket.AddressFamily, str]]]]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 65_536
#: Cannot be a validator that we send back: it would end our header.
_MAX_VALIDATOR: Final = 256


@dataclass(frozen=True, slots=True)
class Fetched:
    """A picture's bytes and the server's validators; ``content`` None: unchanged since they were given."""

    content: bytes | None
    etag: str
    modified: str


class Fetcher:
    """Asks for pictures, at most ``concurrency`` at once and ``per_host`` of one host. Use it inside one event loop, and close it.

    Waiting for a place counts for no time limit. No proxy, no cookies, no credentials, no compressed answers.
    """

    def __init__(self, settings: PictureSettings, *, lookup: Lookup | None = None, trust: ssl.SSLContext | bool = True) -> None:
        self._settings = settings
        self._guard = Guard(ports=settings.ports, allow_private=settings.allow_private)
        self._places = asyncio.Semaphore(settings.concurrency)
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._asking: Counter[str] = Counter()
        # Retries are ours; a connection is used once, so that no address outlives its check.
        # Of their own: a name service that hangs must not take the threads that others need.
        self._names = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="pictures-names")
        connector = aiohttp.TCPConnector(
            resolver=_Checked(self._guard, lookup or partial(_system_lookup, self._names)),
            use_dns_cache=False,
            force_close=True,
            limit=0,
            ssl=trust,
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            requote_redirect_url=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
            headers={
                "User-Agent": settings.user_agent,
                "Accept": "image/jpeg,image/png,image/webp,image/gif",
                "Accept-Encoding": "identity",
            },
        )

    async def fetch(self, url: str, known: Seen | None = None) -> Fetched:
        """Return what is at ``url``, with ``known`` only if it changed; hold the URL's ``place`` meanwhile. Raises Refused."""
        url = self._guard.check_url(url)
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                return await self._follow(url, known)
        except TimeoutError:
            raise Refused("timeout", f"{self._settings.total_timeout_s:g} s") from None

    @asynccontextmanager
    async def place(self, url: str) -> AsyncIterator[None]:
        """Hold a place of the URL's host and then one of all: who waits for a slow host takes no place from the others.

        Hold it until the bytes are done with: the places bound the memory, too. Raises Refused for a URL that may not be asked.
        """
        host = urlsplit(self._guard.check_url(url)).netloc.lower()
        self._asking[host] += 1
        slots = self._hosts.setdefault(host, asyncio.Semaphore(self._settings.per_host))
        try:
            async with slots, self._places:
                yield
        finally:
            self._asking[host] -= 1
            if not self._asking[host]:
                del self._asking[host], self._hosts[host]

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()
        self._names.shutdown(wait=False, cancel_futures=True)

    async def _follow(self, url: str, known: Seen | None) -> Fetched:
        met = {url}
        for _ in range(self._settings.max_redirects + 1):
            answer = await self._ask(url, known)
            if isinstance(answer, Fetched):
                return answer
            url = self._guard.check_redirect(url, answer)
            if url in met:
                raise Refused("redirects", "in a circle")
            met.add(url)
        raise Refused("redirects", f"more than {self._settings.max_redirects}")

    async def _ask(self, url: str, known: Seen | None) -> Fetched | str:
        """Return the picture, or where it is said to be."""
        headers = {}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.modified:
            headers["If-Modified-Since"] = known.modified
        try:
            target = URL(url, encoded=url.isascii())  # quoted again, a signed address would be another
            self._guard.check_url(str(target))  # two parsers may differ on what a URL says: both must have it be harmless
            async with self._session.get(target, headers=headers, allow_redirects=False) as answer:
                if answer.status in _REDIRECTS:
                    location = answer.headers.get("Location", "")
                    if not location:
                        raise Refused("redirects", "without a target")
                    return location
                return await self._read(answer, known if headers else None)
        except aiohttp.ClientConnectorCertificateError as error:
            raise Refused("answer", f"certificate: {error.certificate_error}"[:200]) from None
        except aiohttp.ClientConnectorError as error:
            raise _connecting(error) from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise Refused("unreachable", f"{type(error).__name__}: {error}"[:200]) from None
        except aiohttp.ServerTimeoutError:
            raise Refused("timeout", "connecting") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise Refused("answer", f"{type(error).__name__}: {error}"[:200]) from None

    async def _read(self, answer: aiohttp.ClientResponse, known: Seen | None) -> Fetched:
        if answer.status == 304 and known is not None:
            return Fetched(None, known.etag, known.modified)
        if answer.status == 429 or answer.status >= 500:
            raise Refused("server", str(answer.status))
        if 400 <= answer.status < 500:
            raise Refused("missing", str(answer.status))
        if answer.status != 200:
            raise Refused("answer", f"status {answer.status}")
        if answer.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
            raise Refused("answer", "compressed, though we asked for plain bytes")
        told = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if told not in TYPES and told not in UNTYPED:
            raise Refused("type", told[:64])
        content = await self._bytes(answer)
        found = format_of(content)
        if not found or (told in TYPES and TYPES[told] != found):
            raise Refused("lying_type" if told in TYPES else "type", f"says {told or 'nothing'}, is {found or 'no picture'}")
        return Fetched(content, _validator(answer.headers.get("ETag", "")), _validator(answer.headers.get("Last-Modified", "")))

    async def _bytes(self, answer: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.max_bytes
        if (answer.content_length or 0) > limit:
            raise Refused("too_large", f"says {answer.content_length} bytes")
        content = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            content += chunk
            if len(content) > limit:
                raise Refused("too_large", f"more than {limit} bytes")
        return bytes(content)

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make a socket for an address that is checked once more, whatever way it came."""
        family, kind, protocol, _, place = address
        if self._guard.forbids(place[0]):
            raise _PrivateAddressError(f"{place[0]} is not public")
        return socket.socket(family=family, type=kind, proto=protocol)


class _PrivateAddressError(OSError):
    """A socket was to be made for an address that must not be asked."""


class _Checked(AbstractResolver):
    """Resolves names, and refuses one of whose addresses any must not be asked."""

    def __init__(self, guard: Guard, lookup: Lookup) -> None:
        self._guard = guard
        self._lookup = lookup

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await self._lookup(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        for _, address in found:
            if self._guard.forbids(address):
                raise _PrivateAddressError(f"{host} has the address {address}")
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=kind, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
            )
            for kind, address in found
            if family in {socket.AF_UNSPEC, kind}
        ]

    async def close(self) -> None:
        """Hold nothing."""


async def _system_lookup(threads: ThreadPoolExecutor, host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(threads, ask)
    return list(dict.fromkeys((socket.AddressFamily(family), str(place[0])) for family, _, _, _, place in found))


def _connecting(error: aiohttp.ClientConnectorError) -> Refused:
    if isinstance(error.os_error, _PrivateAddressError):
        return Refused("private_address", str(error.os_error))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Refused("unresolved", str(error.os_error)[:200])
    return Refused("unreachable", str(error.os_error)[:200])


def _validator(value: str) -> str:
    return value if len(value) <= _MAX_VALIDATOR and value.isprintable() else ""
