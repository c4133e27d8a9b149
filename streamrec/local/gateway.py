"""Lets Kafka clients of before 2023 talk to the embedded broker.

librdkafka up to 2.0 (the one that Debian 12's kcat is linked with) misreads the tagged fields at the end of an ApiVersions answer
and gives up the connection. The gateway stands before the broker, leaves those optional fields out, and relays all else as it is.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Final, Self

from streamrec.errors import LocalStackError
from streamrec.local.ports import HOST

_API_VERSIONS: Final = (18).to_bytes(2, "big")
#: From this version on the answer ends with tagged fields.
_FIRST_TAGGED: Final = 3
#: A request's or an answer's length, then the request's key and version.
_LENGTH, _HEAD = 4, 8
_BLOCK: Final = 1 << 16


def without_tags(answer: bytes) -> bytes:
    """Return an ApiVersions answer (version 3 or 4, without its length) with an empty list of tagged fields at its end.

    Its layout: correlation id (4), error code (2), a varint of the number of keys plus one, 7 bytes per key, throttle time (4),
    tags.

    >>> without_tags(bytes.fromhex("00000001 0000 02 00030000000c00 00000000 01 00 01 01")).hex()
    '0000000100000200030000000c000000000000'
    """
    at, shift, keys = 6, 0, 0
    while True:
        keys |= (answer[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not answer[at - 1] & 0x80:
            break
    return answer[: at + 7 * (keys - 1) + 4] + b"\0"


class Gateway:
    """Listens on ``port`` and relays to ``broker_port``, both on loopback, in a thread of its own."""

    def __init__(self, port: int, broker_port: int) -> None:
        self._port = port
        self._broker_port = broker_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._listening = threading.Event()
        self._stop = asyncio.Event()
        self._error: OSError | None = None

    def start(self) -> Self:
        """Start to listen. Raises LocalStackError when the port cannot be had."""
        self._thread.start()
        self._listening.wait()
        if self._error is not None:
            msg = f"port {self._port} cannot be listened on ({self._error}); choose another"
            raise LocalStackError(msg)
        return self

    def stop(self) -> None:
        """Close all connections; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        try:
            server = await asyncio.start_server(self._relay, HOST, self._port)
        except OSError as error:
            self._error = error
            return
        finally:
            self._listening.set()
        async with server:
            await self._stop.wait()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away in the middle is no news, and neither is the end of the gateway.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            from_broker, to_broker = await asyncio.open_connection(HOST, self._broker_port)
            head = await reader.readexactly(_HEAD)
            to_broker.write(head)
            requests = asyncio.create_task(_copy(reader, to_broker))
            try:
                if head[_LENGTH : _LENGTH + 2] == _API_VERSIONS and head[_HEAD - 1] >= _FIRST_TAGGED:
                    length = int.from_bytes(await from_broker.readexactly(_LENGTH), "big")
                    answer = without_tags(await from_broker.readexactly(length))
                    writer.write(len(answer).to_bytes(_LENGTH, "big") + answer)
                await _copy(from_broker, writer)
            finally:
                requests.cancel()
                to_broker.close()
                writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.close()
