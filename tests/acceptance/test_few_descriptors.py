"""When no file descriptor is left: jobs say so, wait, and go on by themselves. None fails."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend
from tests.integration.engine import magnet_to
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
LIMIT, LISTENERS = 64, 100
SENTENCE = (
    "The server has no file descriptors left; raise the limit (ulimit -n) or close listeners, "
    "and it goes on."
)


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 4 * MIB)
    return make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", piece_size=64 * 1024
    )


@asynccontextmanager
async def crowd(server: Backend) -> AsyncIterator[None]:
    """So many listeners that nothing is left of the hard limit."""
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    port = int(server.url.rpartition(":")[2])
    listeners = []
    try:
        for _ in range(LISTENERS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            listeners.append(writer)
        taken = Path(f"/proc/{server.pid}/fd")
        while len(list(taken.iterdir())) < LIMIT - 2:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.02)
        yield
    finally:
        for writer in listeners:
            writer.close()


@asynccontextmanager
async def nothing_left(server: Backend) -> AsyncIterator[None]:
    """The same at once: what is open stays open, and nothing can be opened."""
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)


async def first(events: AsyncIterator[dict[str, Any]], wanted: Any) -> dict[str, Any]:
    """The first event that is as wanted; the job must not fail before."""
    async for event in events:
        assert event["status"] != "failed", event
        if wanted(event):
            return event
    raise AssertionError("the event stream ended")


def is_short(event: dict[str, Any]) -> bool:
    """Whether the job waits for descriptors and says so.

    The first to find none may be the look at the interface: then everything stops, and says so.
    """
    assert event.get("error") is None or event["error"]["code"] == "out_of_descriptors", event
    reason = event.get("reason") or ""
    return bool(reason == SENTENCE or "no file descriptor is left" in reason)


def is_done(event: dict[str, Any]) -> bool:
    return bool(event["status"] == "completed")


async def test_a_job_started_while_listeners_hold_all_descriptors_waits_and_goes_on(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with (
        Backend(tmp_path / "server", warm=True) as server,
        server.listen("/events") as events,
    ):
        await server.http.get("/health")  # a connection that is kept
        async with crowd(server):
            await server.start(magnet_to(film, seeder.port), id="a")
            short = await first(events, is_short)
            assert short["error"]["message"] == SENTENCE
        await first(events, is_done)
    assert sha256_of(tmp_path / "server" / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_film_that_arrives_waits_for_descriptors_and_goes_on(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=MIB // 2)
    async with (
        Backend(tmp_path / "server", warm=True) as server,
        server.listen("/events") as events,
    ):
        await server.start(magnet_to(film, seeder.port), id="a")
        await first(events, lambda event: event["progress"]["bytesDownloaded"] > MIB // 4)
        async with nothing_left(server):
            await seeder.set_upload_limit(0, key)
            await first(events, is_short)
        await first(events, is_done)
    assert sha256_of(tmp_path / "server" / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_film_that_is_moved_waits_for_descriptors_and_is_moved_then(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with (
        Backend(tmp_path / "server", warm=True) as server,
        server.listen("/events") as events,
    ):
        await server.start(magnet_to(film, seeder.port), id="a")
        await first(events, is_done)
        await server.http.get("/health")
        async with nothing_left(server):
            answer = await server.http.post("/downloads/a/move", json={"folder": "later"})
            assert answer.status_code in (200, 202), answer.text
            await first(events, is_short)
        moved = tmp_path / "server" / "media" / "later" / "film.mkv"
        async with asyncio.timeout(60):
            while (await server.job("a"))["path"] != "later/film.mkv":
                await anext(events)
    assert sha256_of(moved) == sha256_of(film.content)
