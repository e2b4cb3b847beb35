"""A server of files on loopback, which does exactly what a test wants of it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 32 * 1024


@dataclass
class Served:
    """A file as it is served; tests change it while it is.

    Attributes:
        body: its bytes.
        etag: its entity tag, None = it is sent without.
        modified: its Last-Modified, None = it is sent without.
        ranges: whether parts are sent.
        rate: bytes per second of each connection, 0 = as fast as it goes.
        cut_after: bytes of a body after which the connection breaks, None = never.
        chunked: its length is not said.
        headers: further fields.
        raw: the whole answer instead.
        gate: bodies are sent from their second chunk on only once this is set.
    """

    body: bytes = b""
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    rate: int = 0
    cut_after: int | None = None
    chunked: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    gate: asyncio.Event | None = None


@dataclass
class Asked:
    """One request: its path, the first byte asked for, the one behind the last, and its head."""

    path: str
    begin: int
    end: int | None
    head: str


@dataclass
class FileOrigin:
    """What is served, and what was asked and sent.

    Attributes:
        hold_after: once so many bytes of bodies were sent nothing more is, None = all is.
    """

    port: int = 0
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    sent: int = 0
    hold_after: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def link(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def serve(self, path: str, body: bytes, **more: object) -> str:
        """Serves a file, and returns its link."""
        self.files[path] = Served(body, **more)  # type: ignore[arg-type]
        return self.link(path)

    def found(self, path: str) -> Served | None:
        """What is served at a path."""
        return self.files.get(path)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            found = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", head)
            begin = int(found[1]) if found else 0
            end = int(found[2]) + 1 if found and found[2] else None
            self.asked.append(Asked(path, begin, end, head))
            served = self.found(path) or Served(raw=ERROR % b"404 Not Found")
            if served.raw is not None:
                writer.write(served.raw)
                await writer.drain()
            else:
                await self._send(writer, served, self.asked[-1], ranged=found is not None)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _send(
        self, writer: asyncio.StreamWriter, served: Served, asked: Asked, *, ranged: bool
    ) -> None:
        body, size = served.body, len(served.body)
        condition = re.search(r"(?im)^if-range: (.*?)\r$", asked.head)
        is_same = condition is None or condition[1] in (served.etag, served.modified)
        begin, end, status, more = 0, size, "200 OK", dict(served.headers)
        if ranged and served.ranges and is_same:
            begin, end = asked.begin, min(size, asked.end or size)
            status = "206 Partial Content"
            more["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
            if begin >= size:
                status, end = "416 Range Not Satisfiable", begin
                more["Content-Range"] = f"bytes */{size}"
        more |= {"ETag": served.etag} if served.etag else {}
        more |= {"Last-Modified": served.modified} if served.modified else {}
        length = {"Transfer-Encoding": "chunked"} if served.chunked else {}
        more |= length or {"Content-Length": str(end - begin)}
        fields = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        writer.write(f"HTTP/1.1 {status}\r\n{fields}Connection: close\r\n\r\n".encode("latin-1"))
        await writer.drain()
        await self._send_body(writer, served, memoryview(body)[begin:end])

    async def _send_body(
        self, writer: asyncio.StreamWriter, served: Served, body: memoryview
    ) -> None:
        for at in range(0, len(body), _CHUNK):
            if served.gate is not None and at:
                await served.gate.wait()
            if self.hold_after is not None and self.sent >= self.hold_after:
                await self.over.wait()
                return
            chunk = bytes(body[at : at + _CHUNK])
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if served.chunked else chunk)
            await writer.drain()
            self.sent += len(chunk)
            if served.cut_after is not None and at + len(chunk) >= served.cut_after:
                writer.transport.abort()
                return
            if served.rate:
                await asyncio.sleep(len(chunk) / served.rate)
        if served.chunked:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


ERROR = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def redirect(target: str) -> Served:
    """An answer that leads elsewhere."""
    line = f"302 Found\r\nLocation: {target}"
    return Served(raw=ERROR % line.encode())


@asynccontextmanager
async def file_origin(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[FileOrigin]:
    """Serves on loopback, until the end."""
    origin = FileOrigin()
    async with serving(origin, host, tls):
        yield origin


@asynccontextmanager
async def serving(
    origin: FileOrigin, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Lets an origin answer on loopback, until the end."""
    server = await asyncio.start_server(origin.answer, host, 0, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    async with server:
        yield
        origin.over.set()
