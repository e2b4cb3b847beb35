"""Trackers that are dead, lie, stay silent or talk rubbish hide none of those behind them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chilly_movies import Status
from lab.crash.tracker import Tracker, bad_trackers
from tests.integration.engine import running
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_the_last_of_five_trackers_is_asked_at_once_whatever_the_first_four_do(
    tmp_path: Path,
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 300_000)
    async with bad_trackers("127.0.0.1") as bad, LibtorrentPeer() as seeder:
        honest = Tracker("127.0.0.1", seeder.port)
        await honest.start()
        film = make_torrent(
            tmp_path / "source" / "film.mkv", tmp_path / "film.torrent",
            trackers=[*bad, honest.url],
        )  # fmt: skip
        await seeder.seed(film.path, film.folder)
        async with running(tmp_path) as downloader:
            await downloader.start(id="a", source_urn=film.magnet)
            async with asyncio.timeout(25):
                job = await downloader.wait("a")
        await honest.stop()
    assert job.status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
