"""What trackers and servers of links are told of us, with anonymous mode and without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.engine import running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@asynccontextmanager
async def listener(heard: asyncio.Queue[str]) -> AsyncIterator[int]:
    """A server that hangs up, and keeps what it was asked."""

    async def called(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait((await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower())
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def told(folder: Path, *, anonymous: bool) -> list[str]:
    """What a tracker and the server of a link hear, in this order."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with (
        listener(heard) as port,
        running(folder, anonymous=anonymous) as downloader,
        asyncio.timeout(20),
    ):
        tracker = f"http://127.0.0.1:{port}/announce"
        urn = f"magnet:?xt=urn:btih:{'a' * 40}&tr={tracker}"
        await downloader.start(id="a", source_urn=urn)
        first = await heard.get()
        await downloader.cancel("a")
        await downloader.start(id="b", source_urn=f"http://127.0.0.1:{port}/film.torrent")
        while "film.torrent" not in (link := await heard.get()):
            pass
    return [first, link]


async def test_in_anonymous_mode_nobody_is_told_which_program_we_are(tmp_path: Path) -> None:
    for text in await told(tmp_path, anonymous=True):
        assert "chilly" not in text
        assert "libtorrent" not in text
        assert "peer_id=-lt" not in text
        assert "python" not in text


async def test_else_both_are_told(tmp_path: Path) -> None:
    assert all(
        "user-agent: chillymovies/" in text for text in await told(tmp_path, anonymous=False)
    )
