"""A tracker of thirty lines that names one peer, and can be killed and started again."""

from __future__ import annotations

import asyncio
import socket

_INTERVAL = 5


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

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"d8:intervali%de5:peers6:%be" % (_INTERVAL, self._peer)
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()
