"""The harness alone: independent clients find each other through our tracker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies.tracker.http import run_tracker
from chilly_movies.tracker.swarms import SwarmTable
from tests.peers.aria2 import Aria2Peer
from tests.peers.available import require
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import PeerError
from tests.peers.torrents import Torrent, Version, make_film, make_films, make_torrent, sha256_of
from tests.peers.transmission import TransmissionPeer
from tests.peers.webtorrent import WebTorrentPeer

pytestmark = pytest.mark.anyio

BLOCK = 16 * 1024
SIZE = 4 << 20


@pytest.fixture
async def tracker() -> AsyncIterator[str]:
    async with run_tracker(interval=2) as url:
        yield url


@pytest.fixture
def film(tmp_path: Path, tracker: str) -> Torrent:
    content = tmp_path / "seeded" / "film.mkv"
    make_film(content, SIZE, seed=7)
    return make_torrent(content, tmp_path / "film.torrent", trackers=[tracker])


def assert_same(film: Torrent, folder: Path) -> None:
    assert (folder / film.name).stat().st_size == film.size
    assert sha256_of(folder / film.name) == sha256_of(film.content)


async def test_transmission_both_ways(film: Torrent, tmp_path: Path, tracker: str) -> None:
    """One Transmission seeds and another leeches; a client that dials is the other end.

    Two Transmissions never meet on loopback, see `transmission`.
    """
    require("transmission")
    make_film(tmp_path / "seeded" / "other.mkv", SIZE, seed=8)
    other = make_torrent(
        tmp_path / "seeded" / "other.mkv", tmp_path / "other.torrent", trackers=[tracker]
    )
    got = tmp_path / "got"
    async with TransmissionPeer() as seeder, TransmissionPeer() as leecher, LibtorrentPeer() as end:
        await seeder.seed(film.path, film.folder)
        await leecher.leech(other.path, got)
        await leecher.wait_announced()
        await end.seed(other.path, other.folder)
        await end.leech(film.path, got)
        await asyncio.gather(end.wait_done(), leecher.wait_done())
        assert (await seeder.stats()).uploaded >= SIZE
        assert (await leecher.stats()).downloaded >= SIZE
    assert_same(film, got)
    assert_same(other, got)


async def test_webtorrent_feeds_webtorrent_over_tcp(film: Torrent, tmp_path: Path) -> None:
    """Two WebTorrent clients on Node meet through the HTTP tracker."""
    require("webtorrent")
    async with WebTorrentPeer() as seeder, WebTorrentPeer() as leecher:
        await seeder.seed(film.path, film.folder)
        await leecher.leech(film.path, tmp_path / "got")
        await leecher.wait_done()
        assert (await seeder.stats()).uploaded >= SIZE
    assert_same(film, tmp_path / "got")


@pytest.mark.parametrize("by", ["file", "magnet"])
async def test_libtorrent_feeds_aria2(by: str, film: Torrent, tmp_path: Path) -> None:
    """aria2c ends by itself when it has everything."""
    require("aria2")
    async with LibtorrentPeer() as seeder, Aria2Peer() as leecher:
        await seeder.seed(film.path, film.folder)
        await leecher.leech(film.path if by == "file" else film.magnet, tmp_path / "got")
        await leecher.wait_done()
        # it hangs up as soon as it has the last block, which the seeder then may not count
        assert (await seeder.stats()).uploaded >= SIZE - BLOCK
    assert_same(film, tmp_path / "got")


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_libtorrent_feeds_libtorrent_a_folder_from_a_magnet(
    version: Version, tracker: str, tmp_path: Path
) -> None:
    """A magnet link of each torrent version brings every file of a folder."""
    sizes = {"film/film.mkv": SIZE, "film/subtitles/en.srt": 1234}
    sums = make_films(tmp_path / "seeded", sizes)
    torrent = make_torrent(
        tmp_path / "seeded" / "film", tmp_path / "t", trackers=[tracker], version=version
    )
    async with LibtorrentPeer() as seeder, LibtorrentPeer() as leecher:
        await seeder.seed(torrent.path, torrent.folder)
        await leecher.leech(torrent.magnet, tmp_path / "got")
        await leecher.wait_done()
        assert (await leecher.stats()).downloaded >= SIZE
    assert {name: sha256_of(tmp_path / "got" / name) for name in sizes} == sums


async def test_upload_limit_holds_on_loopback(film: Torrent, tmp_path: Path) -> None:
    """A 4 MiB film at 1 MB/s takes more than a second; lifting the limit ends the wait."""
    async with LibtorrentPeer() as seeder, LibtorrentPeer() as leecher:
        await seeder.seed(film.path, film.folder, upload_limit=1_000_000)
        began = time.monotonic()
        await leecher.leech(film.path, tmp_path / "got")
        await leecher.connect(seeder.port)
        await asyncio.sleep(1.0)
        assert (await leecher.stats()).progress < 0.9
        await seeder.set_upload_limit(0)
        await leecher.wait_done()
        assert time.monotonic() - began < 10
    assert_same(film, tmp_path / "got")


async def test_a_seeder_without_its_content_says_so(film: Torrent, tmp_path: Path) -> None:
    """It fails at once and never fetches what it should have offered."""
    async with LibtorrentPeer() as seeder:
        with pytest.raises(PeerError, match="does not hold the content"):
            await seeder.seed(film.path, tmp_path / "nothing")


async def test_quitting_tells_the_tracker_and_a_crash_does_not(tmp_path: Path) -> None:
    """Tests can have a peer leave either way."""
    make_film(tmp_path / "film.mkv", SIZE)
    swarms = SwarmTable()
    async with (
        run_tracker(swarms=swarms) as url,
        LibtorrentPeer() as polite,
        LibtorrentPeer() as crashing,
    ):
        film = make_torrent(tmp_path / "film.mkv", tmp_path / "film.torrent", trackers=[url])
        for peer in (polite, crashing):
            await peer.seed(film.path, film.folder)
        assert swarms.counts(bytes.fromhex(film.v1)).complete == 2
        await crashing.kill()
        assert swarms.counts(bytes.fromhex(film.v1)).complete == 2
        await polite.quit()
        assert swarms.counts(bytes.fromhex(film.v1)).complete == 1
        with pytest.raises(PeerError, match="not running"):
            await crashing.stats()


async def test_leaving_the_context_kills_the_process(tmp_path: Path) -> None:
    """Neither the program nor what started it is left."""
    async with LibtorrentPeer() as peer:
        pid = peer.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    assert not peer.scratch.exists()
