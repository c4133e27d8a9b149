"""A picture server on loopback that answers well, slowly, hugely, wrongly and with malice."""

from __future__ import annotations

import asyncio
import io
import ssl
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

from PIL import Image

HOST = "127.0.0.1"


def jpeg(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (40, 60)) -> bytes:
    """Return a small JPEG of one colour."""
    return encoded("JPEG", colour, size)


def encoded(kind: str, colour: tuple[int, ...] = (200, 30, 30), size: tuple[int, int] = (40, 60), mode: str = "RGB") -> bytes:
    """Return a picture in a format that Pillow writes."""
    content = io.BytesIO()
    Image.new(mode, size, colour).save(content, kind)
    return content.getvalue()


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """Return a PNG of a few hundred bytes that says to have billions of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


class Exchange:
    """One request, and the way to answer it with any bytes."""

    def __init__(self, path: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        self.path = path
        self.headers = headers
        self._writer = writer

    async def raw(self, content: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(content)
        await self._writer.drain()

    async def answer(self, status: int, content: bytes = b"", kind: str = "image/jpeg", **headers: str | None) -> None:
        """Send a whole answer; a header of value None is left out."""
        told = {"Content-Type": kind or None, "Content-Length": str(len(content))} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in told.items() if value is not None)]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


Page = Callable[[Exchange], Awaitable[None]]


class PictureServer:
    """Serves in a thread of its own; ``pages`` may be added to before a request comes."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.heard: list[dict[str, str]] = []
        #: /held.jpg answers once it is set.
        self.release = threading.Event()
        #: How many requests are being answered, and how many were at most.
        self.now = self.most = 0
        self.pages: dict[str, Page] = dict(_PAGES)
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def url(self, path: str, host: str = HOST) -> str:
        """Return the address of a page."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, HOST, 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._end.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._talk(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            path = lines[0].split(" ")[1]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:]) if name}
            self.asked[path] += 1
            self.heard.append(headers)
            if path == "/held.jpg":
                await asyncio.to_thread(self.release.wait)
                await Exchange(path, headers, writer).answer(200, jpeg())
            elif path == "/flaky.jpg":
                await Exchange(path, headers, writer).answer(500 if self.asked[path] < 3 else 200, jpeg())
            else:
                await self.pages[path.partition("?")[0]](Exchange(path, headers, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has had enough, which is what some pages are for
        finally:
            self.now -= 1
            writer.close()
            with suppress(Exception):
                await asyncio.wait_for(writer.wait_closed(), 1.0)


async def _good(exchange: Exchange) -> None:
    await exchange.answer(200, jpeg())


async def _etag(exchange: Exchange) -> None:
    if exchange.headers.get("if-none-match") == '"one"':
        await exchange.raw(b'HTTP/1.1 304 Not Modified\r\nETag: "one"\r\n\r\n')
    else:
        await exchange.answer(200, jpeg(), ETag='"one"')


async def _drip(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n")
    for byte in jpeg():
        await exchange.raw(bytes([byte]))
        await asyncio.sleep(0.01)


async def _drip_headers(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\n")
    for number in range(1000):
        await exchange.raw(f"X-{number}: y\r\n".encode())
        await asyncio.sleep(0.01)


async def _endless(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await exchange.raw(b"4000\r\n" + b"\xff\xd8\xff" + bytes(0x4000 - 3) + b"\r\n")


async def _headers(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.raw(b"".join(f"X-{number}: {'y' * 100}\r\n".encode() for number in range(1000)))


async def _cut(exchange: Exchange) -> None:
    await exchange.answer(200, jpeg()[:400], Content_Length="100000")


async def _reset(exchange: Exchange) -> None:
    exchange._writer.transport.abort()


async def _redirect(exchange: Exchange) -> None:
    await exchange.answer(302, Location=exchange.path.partition("?to=")[2])


def _says(status: int, content: bytes = b"", kind: str = "image/jpeg", **headers: str | None) -> Page:
    async def page(exchange: Exchange) -> None:
        await exchange.answer(status, content, kind, **headers)

    return page


_PAGES: dict[str, Page] = {
    "/good.jpg": _good,
    "/etag.jpg": _etag,
    "/drip.jpg": _drip,
    "/drip-headers.jpg": _drip_headers,
    "/headers.jpg": _headers,
    "/huge.jpg": _says(200, b"\xff\xd8\xff", Content_Length=str(10**12)),
    "/endless.jpg": _endless,
    "/page.html": _says(200, b"<html>", "text/html; charset=utf-8"),
    "/vector.svg": _says(200, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "/lying.png": _says(200, jpeg(), "image/png"),
    "/page.jpg": _says(200, b"<html>no picture</html>"),
    "/untyped": _says(200, jpeg(), ""),
    "/octets": _says(200, jpeg(), "application/octet-stream"),
    "/octets.html": _says(200, b"<html>", "application/octet-stream"),
    "/cut.jpg": _cut,
    "/short.jpg": _says(200, jpeg(size=(400, 400))[:500]),
    "/bomb.png": _says(200, bomb(), "image/png"),
    "/packed.jpg": _says(200, zlib.compress(bytes(10**6)), Content_Encoding="deflate"),
    "/reset.jpg": _reset,
    "/to": _redirect,
    "/nowhere": _says(302),
    "/a": _says(302, Location="/b"),
    "/b": _says(302, Location="/a"),
    "/gone.jpg": _says(404, b"", "text/html"),
    "/busy.jpg": _says(429),
    "/broken.jpg": _says(503),
    "/partial.jpg": _says(206, jpeg()),
    "/babble.jpg": _says(200, jpeg(), Bad_Header="x" * 20_000),
}
