"""A web server of films, slow on purpose, that knows which bytes it sent to whom in which life."""

from __future__ import annotations

import asyncio
import mmap
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_BLOCK = 32 * 1024
_BUFFER = 64 * 1024

Range = tuple[int, int]
"""The first byte and the one behind the last."""


def united(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes in ranges that do not touch, in order."""
    found: list[Range] = []
    for begin, end in sorted(ranges):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif begin < end:
            found.append((begin, end))
    return found


def count(ranges: Iterable[Range]) -> int:
    """How many bytes they are."""
    return sum(end - begin for begin, end in ranges)


def twice(before: Iterable[Range], now: Iterable[Range]) -> int:
    """How many of the bytes that are sent now were sent before, or are sent twice now."""
    before, now = united(before), list(now)
    return count(before) + count(now) - count(united([*before, *now]))


class HttpOrigin:
    """Serves files by name on loopback, with ranges and strong ETags.

    Args:
        films: where they lie.
        rate: bytes a second of each connection.

    Attributes:
        rate: the same; it may be changed.
        sent: what was sent of each since `forget`, in the order of the requests.
        away: nobody is answered.
    """

    def __init__(self, films: Mapping[str, Path], rate: int) -> None:
        self._films = dict(films)
        self.rate = rate
        self.sent: dict[str, list[Range]] = {name: [] for name in films}
        self.away = False
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its root."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._server = await asyncio.start_server(self._answer, sock=listener)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for call in tuple(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def forget(self) -> dict[str, list[Range]]:
        """Begin to note anew; what was noted so far."""
        sent, self.sent = self.sent, {name: [] for name in self._films}
        return sent

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        writer.transport.set_write_buffer_limits(_BLOCK)
        try:
            while not self.away:
                await self._one(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other end was killed
        finally:
            self._calls.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        name = head.split(" ", 2)[1].rpartition("/")[2]
        path = self._films[name]
        size = path.stat().st_size
        found = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", head)
        begin = int(found[1]) if found else 0
        end = min(size, int(found[2]) + 1) if found and found[2] else size
        status = "206 Partial Content" if found else "200 OK"
        writer.write(
            f'HTTP/1.1 {status}\r\nETag: "{name}-{size}"\r\nAccept-Ranges: bytes\r\n'
            f"Content-Length: {end - begin}\r\nContent-Type: video/x-matroska\r\n"
            f"Content-Range: bytes {begin}-{end - 1}/{size}\r\n\r\n".encode()
        )
        await self._send(name, path, begin, end, writer)

    async def _send(
        self, name: str, path: Path, begin: int, end: int, writer: asyncio.StreamWriter
    ) -> None:
        noted, number = self.sent[name], len(self.sent[name])
        noted.append((begin, begin))
        clock = asyncio.get_running_loop().time
        free = clock()
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as film:
            for at in range(begin, end, _BLOCK):
                if self.away:
                    raise ConnectionAbortedError
                block = film[at : min(end, at + _BLOCK)]
                writer.write(block)
                await writer.drain()
                noted[number] = (begin, at + len(block))
                free = max(free, clock() - 0.1) + len(block) / self.rate
                await asyncio.sleep(max(0.0, free - clock()))
