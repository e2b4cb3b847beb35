"""A server for trackers' and web seeds' answers of any kind, and a UDP tracker that refuses."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request.

    Attributes:
        path: without its query.
        peer: the address it came from.
        range: first and last byte that were asked for, None if none were.
        times: how often this path was asked for, this one included.
        head: the request line and all headers, as they came.
    """

    path: str
    peer: str
    range: tuple[int, int] | None
    times: int
    head: str = ""


Answer = Callable[[Asked], bytes]


@dataclass
class WebAnswers:
    """What was asked, and where."""

    port: int
    asked: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until_asked(self, path: str, times: int) -> None:
        while self.asked.count(path) < times:
            self.news.clear()
            await self.news.wait()


def http(status: str, body: bytes = b"", **headers: str) -> bytes:
    """An answer."""
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{named}Connection: close\r\n\r\n"
    return head.encode() + body


def part(content: bytes, asked: Asked) -> bytes:
    """The bytes that were asked for (206)."""
    assert asked.range is not None
    first, last = asked.range
    span = f"bytes {first}-{last}/{len(content)}"
    return http("206 Partial Content", content[first : last + 1], Content_Range=span)


@asynccontextmanager
async def web_answers(answer: Answer) -> AsyncIterator[WebAnswers]:
    """Serves on loopback, until the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        path = head.split(" ", 2)[1].partition("?")[0]
        web.asked.append(path)
        wanted = re.search(r"(?im)^range: bytes=(\d+)-(\d+)", head)
        span = (int(wanted[1]), int(wanted[2])) if wanted else None
        peer = writer.get_extra_info("peername")[0]
        writer.write(answer(Asked(path, peer, span, web.asked.count(path), head)))
        web.news.set()
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    web = WebAnswers(server.sockets[0].getsockname()[1])
    async with server:
        yield web


class _Refusing(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        action, transaction = struct.unpack(">II", data[8:16])
        refusal = struct.pack(">II", 3, transaction) + b"Torrent not registered"
        connected = struct.pack(">II", 0, transaction) + b"12345678"
        self._transport.sendto(refusal if action else connected, address)


@asynccontextmanager
async def refusing_udp_tracker() -> AsyncIterator[str]:
    """A UDP tracker (BEP 15) that answers each announce with an error."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Refusing, ("127.0.0.1", 0))
    try:
        yield f"udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}/announce"
    finally:
        transport.close()
