"""The torrent driver keeps the promises of every driver: the suite runs on the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.drivers.torrent.driver import TorrentDriver
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.ports import Driver
from chilly_movies.storage.memory import MemoryResumeStore
from tests.contract.driver_suite import Bench, DriverSuite
from tests.integration.engine import QUIET, magnet_to
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

# one process for all: they share the seeder
pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("torrent-driver-suite")]
SIZE = 1_500_000
SPEED = 2_000_000


@pytest.fixture(scope="module")
async def swarm(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Sequence[Torrent], LibtorrentPeer]]:
    """Two films and who seeds them."""
    folder, found = tmp_path_factory.mktemp("films"), []
    async with LibtorrentPeer() as seeder:
        for number, name in enumerate(("one.mkv", "two.mkv")):
            make_film(folder / name, SIZE, seed=number)
            torrent = make_torrent(folder / name, folder / f"{name}.torrent", piece_size=64 * 1024)
            await seeder.seed(torrent.path, torrent.folder, upload_limit=SPEED)
            found.append(torrent)
        yield found, seeder


class TorrentBench:
    """A torrent driver on loopback; disk and resume data survive it."""

    seeds = True
    hostile: tuple[Source, ...] = ()  # tests/security has them

    def __init__(self, folder: Path, torrents: Sequence[Torrent], port: int) -> None:
        one, two = (Source(SourceType.TORRENT, magnet_to(t, port)) for t in torrents)
        self.sources: tuple[Source, Source] = (one, two)
        self.broken: tuple[Source, ...] = (
            Source(SourceType.TORRENT, "nonsense"),
            Source(SourceType.TORRENT, "magnet:?dn=nothing"),
            Source(SourceType.TORRENT, "magnet:?xt=urn:btih:123"),
            Source(SourceType.TORRENT, "", b"d4:infode"),
        )
        self._resume = MemoryResumeStore()
        first, second = ((t.folder / t.name).read_bytes() for t in torrents)
        self.films: tuple[bytes, bytes] = (first, second)
        self._media = folder / "media"
        self._media.mkdir()
        self.media_root: Path | None = self._media
        self.driver: Driver = self._make()

    def _make(self) -> TorrentDriver:
        engine: dict[str, Any] = {**QUIET, "seed_ratio": 9.0}
        return TorrentDriver(EngineConfig(self._media, **engine), self._resume)

    async def restart(self) -> None:
        """See `Bench`."""
        await self.driver.aclose()
        self.driver = self._make()


@pytest.fixture
async def bench(
    anyio_backend: str, tmp_path: Path, swarm: tuple[Sequence[Torrent], LibtorrentPeer]
) -> AsyncIterator[Bench]:
    torrents, seeder = swarm
    made = TorrentBench(tmp_path, torrents, seeder.port)
    yield made
    await made.driver.aclose()


class TestTorrentDriver(DriverSuite):
    """The suite of all drivers."""
