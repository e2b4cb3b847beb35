"""Speed limits that are set while the real engine runs, and the clock that switches them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chilly_movies.drivers.torrent.driver import TorrentDriver
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Phase
from chilly_movies.net.limits import SpeedLimits
from tests.doubles import Clock
from tests.doubles import until as holds
from tests.integration.engine import magnet_to, running, until
from tests.integration.test_torrent_driver import port_of
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.process import Peer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
SMALL = 200 * 1024
WINDOW = 1.5
LITTLE = 2 * MIB
"""More than a small limit lets by in a window of seconds: the engine gives what it did not in the
seconds before, too. Without a limit all of the film would pass."""
BUFFERS = 2 * MIB


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "film" / "film.mkv", 24 * MIB)
    return make_torrent(tmp_path / "film" / "film.mkv", tmp_path / "film.torrent")


async def amount(peer: Peer, key: str, counter: str) -> int:
    """Bytes that a peer sends or receives within a window, once buffers are empty."""
    await asyncio.sleep(WINDOW / 2)
    first: int = getattr(await peer.stats(key), counter)
    await asyncio.sleep(WINDOW)
    last: int = getattr(await peer.stats(key), counter)
    return last - first


async def test_a_download_limit_that_is_set_while_a_film_arrives_is_seen_by_its_seeder(
    tmp_path: Path, film: Torrent
) -> None:
    async with LibtorrentPeer() as seeder, running(tmp_path, download_limit=SMALL) as downloader:
        key = await seeder.seed(film.path, film.folder)
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        assert await amount(seeder, key, "uploaded") < LITTLE
        await downloader.limits.change({"download_limit": 4 * MIB})
        began = asyncio.get_running_loop().time()
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 8 * MIB)
        assert 1 < asyncio.get_running_loop().time() - began < 20  # 2 s; before, 40 s
        await downloader.limits.change({"download_limit": SMALL})
        assert await amount(seeder, key, "uploaded") < LITTLE + BUFFERS
        await downloader.limits.change({"download_limit": 0})
        await asyncio.wait_for(downloader.wait("a"), 30)


async def test_an_upload_limit_that_is_set_while_a_film_is_seeded_is_seen_by_a_peer(
    tmp_path: Path, film: Torrent
) -> None:
    async with (
        LibtorrentPeer() as seeder,
        LibtorrentPeer() as leecher,
        running(tmp_path, seed_ratio=100.0) as downloader,
    ):
        await seeder.seed(film.path, film.folder)
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        await seeder.kill()
        await downloader.limits.change({"upload_limit": SMALL})
        key = await leecher.leech(magnet_to(film, await port_of(downloader)), tmp_path / "leech")
        await until(downloader, "a", lambda job: job.progress.ratio > 0)
        assert await amount(leecher, key, "downloaded") < LITTLE
        assert (await leecher.stats(key)).downloaded < film.size / 2  # it did not all come at once
        await downloader.limits.change({"upload_limit": 0})
        await leecher.wait_done(key, within=30)


async def test_the_engine_has_the_alternative_limits_within_their_hours_and_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()  # Wednesday at noon
    quick = {"clock": clock, "interval": 0.01}
    monkeypatch.setattr(SpeedLimits.__init__, "__kwdefaults__", quick)
    slow = {"download_limit": 70_000, "upload_limit": 8_000, "time_zone": "UTC",
            "hours": [{"days": ["wed"], "start": "22:00", "end": "06:00"}]}  # fmt: skip

    def limits(downloader: Downloader) -> tuple[int, int]:
        """Those of the session that runs."""
        driver = next(iter(downloader._drivers.values()))
        assert isinstance(driver, TorrentDriver)
        engine = driver._session._ses.get_settings()
        return engine["download_rate_limit"], engine["upload_rate_limit"]

    async with running(tmp_path, download_limit=500_000) as downloader:
        await port_of(downloader)  # opens the engine
        assert limits(downloader) == (500_000, 0)
        await downloader.limits.change({"alternative": slow})
        assert limits(downloader) == (500_000, 0)
        clock.now = datetime(2030, 1, 3, 5, 59, tzinfo=UTC)
        await holds(lambda: limits(downloader) == (70_000, 8_000))
    async with running(tmp_path, download_limit=500_000) as downloader:
        await port_of(downloader)
        assert limits(downloader) == (70_000, 8_000)
        clock.now = datetime(2030, 1, 3, 6, 0, tzinfo=UTC)
        await holds(lambda: limits(downloader) == (500_000, 0))
