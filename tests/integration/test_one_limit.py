"""One download limit over a torrent of a real swarm and over drivers that move bytes in Python."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chilly_movies.net.limiter import SpeedLimiter
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
LIMIT = 2_000_000
MIB = 1 << 20


class Fetch:
    """A run that reads from a socket what its share of the limit lets it have."""

    def __init__(self, limiter: SpeedLimiter, port: int) -> None:
        self._limiter, self._port = limiter, port
        self.got = 0

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=64 * 1024)
        try:
            with self._limiter.share() as share:
                while chunk := await reader.read(64 * 1024):
                    self.got += len(chunk)
                    await share.take(len(chunk))
        finally:
            writer.close()


@asynccontextmanager
async def endless() -> AsyncIterator[int]:
    """A server that sends zeros as fast as they are taken; its port."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(bytes(64 * 1024))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_torrent_and_two_runs_in_python_keep_to_one_limit_together_and_each_has_a_part(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 24 * MIB)
    film = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")
    await seeder.seed(film.path, film.folder)
    async with endless() as port, running(tmp_path, download_limit=LIMIT) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > MIB)
        runs = [Fetch(downloader.limits.limiter, port) for _ in range(2)]
        tasks = [asyncio.create_task(run.run()) for run in runs]

        async def counted() -> tuple[float, ...]:
            """The time, and the bytes of each."""
            figures = (await downloader.status("a")).figures
            loop = asyncio.get_running_loop()
            return (loop.time(), figures.downloaded, *(run.got for run in runs))

        await asyncio.sleep(4)  # the engine first uses up what it was let have before
        begun = await counted()
        for last in (False, False, False, True):  # the engine lets bytes by in portions of 2 s
            await asyncio.sleep(4)
            seconds, *grown = map(operator.sub, await counted(), begun)
            rates = [bytes_ / seconds for bytes_ in grown]
            fits = sum(rates) == pytest.approx(LIMIT, rel=0.1) and min(rates) > 0.2 * LIMIT
            assert fits or not last, rates
            if fits:
                break
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
