"""A tracker of thirty lines that names one peer, and can be killed and started again; bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.peers.process import free_port

_INTERVAL = 5
_Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Tracker:
    """Answers every announce with the same peer.

    Args:
        host: of the peer, and where the tracker listens.
        port: of the peer.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._peer = socket.inet_aton(host) + port.to_bytes(2, "big")
        self._port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where to announce."""
        return f"http://{self._host}:{self._port}/announce"

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._answer, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def peers(self) -> bytes:
        """Whom it names: six bytes each."""
        return self._peer

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        peers = self.peers()
        body = b"d8:intervali%de5:peers%d:%be" % (_INTERVAL, len(peers), peers)
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()


@asynccontextmanager
async def bad_trackers(host: str) -> AsyncIterator[list[str]]:
    """One that is dead, one that names peers who are not there, one silent, one of rubbish."""
    nobody = b"".join(socket.inet_aton(f"127.9.9.{n}") + (9).to_bytes(2, "big") for n in range(40))
    lie = b"d8:intervali1800e5:peers%d:%be" % (len(nobody), nobody)
    bodies = (lie, None, b"<html>the coffee is ready</html>")
    async with contextlib.AsyncExitStack() as stack:
        urls = [f"http://{host}:{free_port()}/announce"]
        for body in bodies:
            server = await asyncio.start_server(_saying(body), host, 0)
            stack.callback(server.close)
            urls.append(f"http://{host}:{server.sockets[0].getsockname()[1]}/announce")
        yield urls


def _saying(body: bytes | None) -> _Answer:
    """Answers everybody the same, or nothing at all until they had enough."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            if body is None:
                await reader.read()
            else:
                size = len(body)
                writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body))
                await writer.drain()
        writer.close()

    return answer
