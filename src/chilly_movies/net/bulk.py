"""Connections for large bodies, whose bytes go round the HTTP library.

httpcore sends the request and reads the head of the answer. A body of known length is then taken
from the connection itself: the system writes it into a buffer, which is handed on as it is. Through
httpcore each byte would be copied four times more.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from contextlib import suppress
from typing import Any

import httpcore2

from chilly_movies.net.outbound import Backend, Judge, Outbound, mapped

ROOM = 512 * 1024
"""Bytes that wait in a connection at most; while so many do, the other end has to wait, too."""
_FIRST_ROOM = 64 * 1024
"""The same until somebody says how many they may be: a limit may allow no more."""
_END_OF_HEAD = re.compile(rb"\n\r?\n")


def bulk_pool(
    outbound: Outbound, judge: Judge | None, tls: ssl.SSLContext | None
) -> httpcore2.AsyncConnectionPool:
    """Reaches servers over `BulkStream` connections, each of which carries one body.

    Args:
        outbound: the way out: straight, over one interface, or through a proxy.
        judge: why an address may not be connected to; a proxy resolves names itself.
        tls: whom TLS believes; None = nobody is reached over it.
    """
    proxy = outbound.proxy
    backend = Backend(outbound.interface, None if proxy else judge, _opened)
    auth = (proxy.user.encode(), proxy.password.encode()) if proxy and proxy.user else None
    return httpcore2.AsyncConnectionPool(
        ssl_context=tls,
        proxy=httpcore2.Proxy(f"{proxy.scheme}://{proxy.place}", auth=auth) if proxy else None,
        max_connections=None,
        keepalive_expiry=5.0,
        network_backend=backend,
    )


class _Inbox(asyncio.BufferedProtocol):
    """Takes what arrives into one of two buffers; while it is full nothing more is read."""

    def __init__(self) -> None:
        self._filling, self._other = bytearray(ROOM), bytearray(ROOM)
        self._begin = self._end = 0
        self._room = _FIRST_ROOM
        self._over = self._is_paused = False
        self._error: Exception | None = None
        self._wanted = 1
        self._waiter: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None

    @property
    def count(self) -> int:
        """Bytes that are there."""
        return self._end - self._begin

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        return self._over

    # --- what the transport calls -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        self.transport = transport  # type: ignore[assignment]

    def get_buffer(self, _sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        return memoryview(self._filling)[self._end : self._room]

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._end += nbytes
        self._pause_if_full()
        self._tell()

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._over = True
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._over, self._error = True, exc
        self._tell()

    def _pause_if_full(self) -> None:
        if self._end >= self._room and self.transport is not None and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _tell(self) -> None:
        is_due = self._over or self.count >= self._wanted or self._end >= self._room
        if is_due and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- what the reader calls --------------------------------------------------------------

    async def wait(self, wanted: int) -> None:
        """Waits until so many bytes are there, or no more can come.

        Raises:
            OSError: the connection broke, and nothing is left of what came before.
        """
        while self.count < wanted and not self._over and self._end < self._room:
            self._wanted = wanted
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._error is not None and not self.count:
            raise self._error

    def hold(self, room: int) -> None:
        """No more than so many bytes wait from now on."""
        self._room = min(ROOM, room)
        self._pause_if_full()

    def peek(self, most: int) -> bytes:
        """At most so many of the bytes that are there; they stay."""
        return bytes(memoryview(self._filling)[self._begin : min(self._end, self._begin + most)])

    def drop(self, count: int) -> None:
        """So many bytes are done with."""
        self._begin += count
        if self._begin == self._end:
            self._begin = self._end = 0
            self._go_on()

    def swap(self) -> memoryview:
        """All that is there, as it lies; it holds until the next swap."""
        found = memoryview(self._filling)[self._begin : self._end]
        self._filling, self._other = self._other, self._filling
        self._begin = self._end = 0
        self._go_on()
        return found

    def _go_on(self) -> None:
        if self._is_paused and self.transport is not None and not self._over:
            self.transport.resume_reading()
        self._is_paused = False


class BulkStream(httpcore2.AsyncNetworkStream):
    """A connection, with TLS or without.

    What httpcore reads of it ends with the head of an answer, so that `take` gives the body from
    its first byte.
    """

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox
        self._tail = b""

    @property
    def _transport(self) -> asyncio.Transport:
        transport = self._inbox.transport
        assert transport is not None  # noqa: S101 (for the type checker: it is connected)
        return transport

    async def take(
        self,
        at_least: int,
        within: float,
        timeout: float | None,  # noqa: ASYNC109 (as in httpcore)
        room: int = ROOM,
    ) -> memoryview:
        """What came, as it lies in the buffer; it holds until the next call. Empty = it is over.

        Args:
            at_least: so many bytes are waited for, so that there is more to do at once.
            within: seconds they are waited for after the first one.
            timeout: seconds the first byte is waited for, None = without end.
            room: so many bytes wait in the connection at most, until the next call and during it.

        Raises:
            httpcore2.ReadTimeout: no byte came in time.
            httpcore2.ReadError: the connection broke.
        """
        self._inbox.hold(room)
        if not self._inbox.count:
            async with mapped(httpcore2.ReadTimeout, httpcore2.ReadError, timeout):
                await self._inbox.wait(1)
        if within > 0 and self._inbox.count < at_least and not self._inbox.is_over:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._inbox.wait(at_least)
        return self._inbox.swap()

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> bytes:
        """See `httpcore2.AsyncNetworkStream`: no byte behind an empty line is in what is given."""
        async with mapped(httpcore2.ReadTimeout, httpcore2.ReadError, timeout):
            await self._inbox.wait(1)
        data = self._inbox.peek(max_bytes)
        end = _END_OF_HEAD.search(self._tail + data)
        if end is not None:
            data = data[: end.end() - len(self._tail)]
        self._tail = b"" if end is not None else (self._tail + data)[-2:]
        self._inbox.drop(len(data))
        return data

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """See `httpcore2.AsyncNetworkStream`. A request is small, so nothing is waited for."""
        del timeout
        self._transport.write(buffer)

    async def aclose(self) -> None:
        """See `httpcore2.AsyncNetworkStream`."""
        self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """See `httpcore2.AsyncNetworkStream`."""
        plain = self._transport
        try:
            async with mapped(httpcore2.ConnectTimeout, httpcore2.ConnectError, timeout):
                self._inbox.transport = await asyncio.get_running_loop().start_tls(
                    plain, self._inbox, ssl_context, server_hostname=server_hostname
                )
        except BaseException:
            plain.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """See `httpcore2.AsyncNetworkStream`."""
        names = {"server_addr": "peername", "client_addr": "sockname"}
        if info == "is_readable":
            return self._inbox.is_over or self._inbox.count > 0
        return self._transport.get_extra_info(names.get(info, info))


async def _opened(sock: socket.socket) -> BulkStream:
    inbox = _Inbox()
    await asyncio.get_running_loop().create_connection(lambda: inbox, sock=sock)
    return BulkStream(inbox)
