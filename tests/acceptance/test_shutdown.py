"""How the installed program ends: in order, soon, with everything saved, or at once if asked to."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
PROMISED = 10.0
LOADED = 2.0 if "CI" not in os.environ else 3.0  # a busy machine starts and ends slowly


@pytest.fixture
async def hung_tracker() -> AsyncIterator[str]:
    """Takes connections and never says a word."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1000):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/announce"
    finally:
        server.close()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[tuple[Torrent, str]]:
    """A film that takes long to arrive, and its magnet."""
    make_film(tmp_path / "source" / "film.mkv", 24 * MIB)
    film = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "f.torrent", piece_size=65536)
    async with LibtorrentPeer() as seeder:
        await seeder.seed(film.path, film.folder, upload_limit=2 * MIB)
        yield film, f"{film.magnet}&x.pe=127.0.0.1:{seeder.port}"


async def busy(server: Backend, magnet: str) -> None:
    """Let it download until something is there."""
    await server.start(magnet, id="film")
    await server.until("film", lambda event: event["progress"]["bytesDownloaded"] > 4 * MIB)


async def until_refused(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        writer.close()
        await asyncio.sleep(0.01)


async def everything(events: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event async for event in events]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_soon_and_saves_all_though_streams_are_open_and_a_tracker_hangs(
    tmp_path: Path, source: tuple[Torrent, str], hung_tracker: str, number: signal.Signals
) -> None:
    film, magnet = source
    async with Backend(tmp_path / "ours") as ours:
        await busy(ours, f"{magnet}&tr={quote(hung_tracker)}")
        async with ours.listen("/events") as events, ours.listen("/events/film") as one:
            await anext(events)
            rest = asyncio.ensure_future(everything(one))
            began = time.monotonic()
            os.kill(ours.pid, number)
            before = (await rest)[-1]["progress"]["bytesDownloaded"]
        code = await ours.end()
        assert code == 0, ours.log()
        assert time.monotonic() - began < PROMISED * LOADED
        assert "did not stop in time" not in ours.log()
    async with Backend(tmp_path / "ours", warm=True) as again:
        job = await again.job("film")
        assert job["status"] == "active"
        assert job["progress"]["bytesDownloaded"] >= before
        done = await again.wait("film")
        assert done["status"] == "completed"
        assert sha256_of(again.media / done["path"]) == sha256_of(film.content)


async def test_a_second_interrupt_ends_it_at_once_and_nothing_that_was_told_is_lost(
    tmp_path: Path, source: tuple[Torrent, str]
) -> None:
    _, magnet = source
    async with Backend(tmp_path / "ours") as ours:
        await busy(ours, magnet)
        port = int(ours.url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /download/pause HTTP/1.1\r\nHost: localhost\r\n")
        writer.write(b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        await writer.drain()
        assert (await ours.http.get("/health")).status_code == 200
        os.kill(ours.pid, signal.SIGINT)
        await until_refused(port)  # it heard that one, and waits for the half request now
        assert await ours.end(signal.SIGINT) == 130
        writer.close()
    async with Backend(tmp_path / "ours", warm=True) as again:
        assert (await again.job("film"))["status"] == "active"


async def test_asking_again_to_terminate_does_not_hurry_it(
    tmp_path: Path, source: tuple[Torrent, str]
) -> None:
    _, magnet = source
    async with Backend(tmp_path / "ours") as ours:
        await busy(ours, magnet)
        os.kill(ours.pid, signal.SIGTERM)
        os.kill(ours.pid, signal.SIGTERM)
        assert await ours.end(signal.SIGTERM) == 0


async def test_one_state_folder_has_one_instance_and_a_killed_one_leaves_no_lock(
    tmp_path: Path,
) -> None:
    async with Backend(tmp_path / "ours", warm=True) as first:
        second = Backend(tmp_path / "ours", warm=True)
        with pytest.raises(AssertionError, match="Another instance uses this state folder"):
            await second.__aenter__()
        assert (await first.http.get("/health")).status_code == 200
        await first.kill()
    async with Backend(tmp_path / "ours", warm=True) as third:
        assert (await third.http.get("/health")).status_code == 200
