"""A player as the benchmarks need it: asks for a range, and notes when each byte came."""

from __future__ import annotations

import asyncio
import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

MIB = 1 << 20
_BLOCK = 256 * 1024


class Film:
    """The film on the disk of whoever seeds it: what comes is compared with it."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def compare(self, offset: int, data: bytes) -> None:
        """Raise if these are not its bytes."""
        if self._bytes[offset : offset + len(data)] != data:
            raise AssertionError(f"wrong bytes between {offset} and {offset + len(data)}")


@dataclass(slots=True)
class Watched:
    """When the bytes of one request came.

    Attributes:
        asked: when it was sent.
        arrivals: time, and how many bytes were there by then.
    """

    asked: float
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def after(self, count: int) -> float:
        """When so many bytes were there."""
        return next(at for at, total in self.arrivals if total >= count)

    @property
    def count(self) -> int:
        """Bytes that came."""
        return self.arrivals[-1][1] if self.arrivals else 0

    def stalled(self, bitrate: float, start: int) -> float:
        """Seconds a player stands still that begins with `start` bytes and then plays on."""
        began = self.after(start)
        return max(0.0, *(at - began - total / bitrate for at, total in self._gaps(start)))

    def _gaps(self, start: int) -> list[tuple[float, int]]:
        """What was there when each block came, without that block."""
        pairs = zip(self.arrivals, self.arrivals[1:], strict=False)
        return [(at, before) for (_, before), (at, _) in pairs if before >= start] or [(0.0, 0)]


class Player:
    """One connection of a player.

    Args:
        url: the film's address.
        film: what it must be.
        start: the first byte it wants.
        end: the last one, None = to the end.
    """

    def __init__(self, url: str, film: Film, start: int = 0, end: int | None = None) -> None:
        self._url = urlsplit(url)
        self._film = film
        self._range = (start, film.size - 1 if end is None else end)
        self._task: asyncio.Task[None]
        self.watched = Watched(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch(), name="player")
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, count: int) -> float:
        """Wait until so many bytes came; the seconds since they were asked for."""
        while self.watched.count < count:
            if self._task.done():
                self._task.result()
                raise AssertionError(f"only {self.watched.count} of {count} bytes came")
            await asyncio.sleep(0.005)
        return self.watched.after(count) - self.watched.asked

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        first, last = self._range
        host, port, path = self._url.hostname, self._url.port, self._url.path
        reader, writer = await asyncio.open_connection(host, port, limit=_BLOCK)
        try:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n"
                f"Range: bytes={first}-{last}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 206 " not in head.partition(b"\r\n")[0]:
                raise AssertionError(head.decode("latin-1"))
            at = first
            while at <= last and (data := await reader.read(_BLOCK)):
                now = loop.time()
                self._film.compare(at, data)
                at += len(data)
                self.watched.arrivals.append((now, at - first))
            if at <= last:
                raise AssertionError(f"the answer ended {last + 1 - at} bytes too early")
        finally:
            writer.transport.abort()
