"""A web site of pages with films, as yt-dlp's generic extractor reads them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 16 * 1024
_RANGE = re.compile(r"^range: bytes=(\d+)-", re.IGNORECASE | re.MULTILINE)
_IF_RANGE = re.compile(r"^if-range: (\S+)", re.IGNORECASE | re.MULTILINE)
_TYPES = {
    "html": "text/html", "mp4": "video/mp4", "m4s": "video/mp4", "m3u8": "application/x-mpegurl",
    "ts": "video/mp2t", "vtt": "text/vtt", "bin": "application/octet-stream",
}  # fmt: skip


@dataclass
class Asked:
    """One request.

    Attributes:
        path: what for.
        head: request line and headers, as they came.
        begin: the first byte that was asked for.
        sent: bytes of the body that were written.
    """

    path: str
    head: str
    begin: int = 0
    sent: int = 0


@dataclass
class PageSet:
    """The site.

    Attributes:
        holds: by path, what is there; text that begins with `http` is where it redirects to, a
            number a status without a body.
        stops: by path, how many bytes of it are sent until `go` is set.
        rate: bytes per second of each answer, 0 = as fast as can be.
        tags: by path, its ETag; others have one that is made of their size.
        asked: every request.
    """

    holds: dict[str, bytes | str | int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    rate: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    url: str = ""

    def add_film(self, name: str, film: bytes, title: str | None = None) -> str:
        """A page with a film; gives the link to the page."""
        shown = title or name
        self.holds[f"/{name}.mp4"] = film
        self.holds[f"/{name}.html"] = (
            f"<html><head><title>{shown}</title></head><body>"
            f'<video src="/{name}.mp4"></video></body></html>'
        ).encode()
        return f"{self.url}/{name}.html"

    def add_folder(self, folder: Path) -> None:
        """All files of a folder."""
        self.holds |= {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}

    def of(self, path: str) -> list[Asked]:
        """The requests for a path."""
        return [asked for asked in self.asked if asked.path == path]

    def sent(self, path: str) -> int:
        """Bytes of a path that were sent in all."""
        return sum(asked.sent for asked in self.of(path))

    async def until_sent(self, path: str, count: int) -> None:
        """Wait until so many bytes of a path were sent."""
        async with self.news:
            await self.news.wait_for(lambda: self.sent(path) >= count)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request, and hang up."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            asked = Asked(head.split(" ")[1], head)
            self.asked.append(asked)
            await self._send(asked, writer)
            writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError):
            pass  # whoever asked is gone
        finally:
            writer.transport.abort()

    async def _send(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        body = self.holds.get(asked.path.partition("?")[0], 404)
        if isinstance(body, str):
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {body}\r\n{_END}".encode())
            return
        if isinstance(body, int):
            writer.write(f"HTTP/1.1 {body} No\r\n{_END}".encode())
            return
        tag = self.tags.get(asked.path, f'"{len(body)}"')
        wanted, condition = _RANGE.search(asked.head), _IF_RANGE.search(asked.head)
        part = wanted and (condition is None or condition[1] == tag)
        asked.begin = int(wanted[1]) if wanted and part else 0
        if asked.begin >= len(body) and part:
            writer.write(
                f"HTTP/1.1 416 No\r\nContent-Range: bytes */{len(body)}\r\n{_END}".encode()
            )
            return
        status = "206 Partial Content" if part else "200 OK"
        where = (
            f"Content-Range: bytes {asked.begin}-{len(body) - 1}/{len(body)}\r\n" if part else ""
        )
        kind = _TYPES.get(asked.path.rpartition(".")[2], "application/octet-stream")
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nETag: {tag}\r\n{where}"
            f"Content-Length: {len(body) - asked.begin}\r\nConnection: close\r\n\r\n".encode()
        )
        await self._body(asked, body, writer)

    async def _body(self, asked: Asked, body: bytes, writer: asyncio.StreamWriter) -> None:
        stop = self.stops.get(asked.path, len(body))
        for at in range(asked.begin, len(body), _CHUNK):
            if at >= stop:
                await self.go.wait()
            chunk = body[at : at + _CHUNK]
            writer.write(chunk)
            await writer.drain()
            asked.sent += len(chunk)
            async with self.news:
                self.news.notify_all()
            if self.rate:
                await asyncio.sleep(len(chunk) / self.rate)


_END = "Content-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def page_set(
    holds: Mapping[str, bytes | str | int] | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[PageSet]:
    """A site, on loopback unless another address of this machine is given."""
    pages = PageSet(dict(holds or {}))
    calls: set[asyncio.Task[None]] = set()

    def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(pages.answer(reader, writer))
        calls.add(task)
        task.add_done_callback(calls.discard)

    server = await asyncio.start_server(called, host, 0)
    pages.url = f"http://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield pages
    finally:
        server.close()
        for call in calls:
            call.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*calls, return_exceptions=True)
