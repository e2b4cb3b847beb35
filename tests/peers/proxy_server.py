"""A SOCKS5 and HTTP proxy of our own (RFC 1928, 1929, 9110), which notes what it was asked for."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.peers.ways import until_either_ends

_BLOCK = 64 * 1024


class ProxyServer:
    """Carries TCP; UDP it refuses.

    Args:
        names: what names mean to it; addresses mean themselves.
        user: with `password`, what callers must say; empty = nothing.
        password: see `user`.

    Attributes:
        asked: where callers wanted to go, `host:port`.
        refused: how many said a wrong password or none.
    """

    def __init__(
        self, names: Mapping[str, str] | None = None, user: str = "", password: str = ""
    ) -> None:
        self._names = names or {}
        self._user, self._password = user, password
        self.asked: list[str] = []
        self.refused = 0

    @asynccontextmanager
    async def listening(self, host: str, port: int = 0) -> AsyncIterator[int]:
        """Serve; gives the port."""
        calls: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
            calls[task] = writer
            task.add_done_callback(calls.pop)

        server = await asyncio.start_server(called, host, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            writers = tuple(calls.values())
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            for writer in writers:  # of a call that was canceled before it began
                await _end(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(1)
            if first == b"\x05":
                await self._socks(reader, writer)
            else:
                await self._http(first, reader, writer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # whoever called is gone, or what they wanted is
        finally:
            await _end(writer)

    async def _socks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways = await reader.readexactly((await reader.readexactly(1))[0])
        way = 2 if self._user else 0
        if way not in ways:
            self.refused += 1
            writer.write(b"\x05\xff")
            return
        writer.write(bytes((5, way)))
        if way == 2:
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            right = (user.decode(), password.decode()) == (self._user, self._password)
            writer.write(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                self.refused += 1
                return
        _, command, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        port = struct.unpack(">H", await reader.readexactly(2))[0]
        if command != 1:
            writer.write(b"\x05\x07\x00\x01" + bytes(6))
            return
        await self._carry(host, port, reader, writer, b"\x05\x00\x00\x01" + bytes(6))

    async def _http(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = first + await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, version = line.split(" ")
        said = {k.lower(): v for k, _, v in (field.partition(": ") for field in fields)}
        wanted = base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        if self._user and said.get("proxy-authorization") != f"Basic {wanted}":
            self.refused += 1
            writer.write(b"HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            await self._carry(host, int(port), reader, writer, b"HTTP/1.1 200 yes\r\n\r\n")
            return
        url = urlsplit(target)
        path = target.partition(url.netloc)[2] or "/"
        kept = [f for f in fields if f and not f.lower().startswith(("proxy-", "connection"))]
        rest = "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close", "", ""])
        host = url.hostname or ""
        await self._carry(host, url.port or 80, reader, writer, b"", rest.encode("latin-1"))

    async def _carry(
        self,
        host: str,
        port: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: bytes,
        first: bytes = b"",
    ) -> None:
        self.asked.append(f"{host}:{port}")
        far_reader, far_writer = await asyncio.open_connection(self._names.get(host, host), port)
        try:
            writer.write(answer)
            far_writer.write(first)
            await until_either_ends(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        finally:
            await _end(far_writer)


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_BLOCK):
        writer.write(data)
        await writer.drain()
