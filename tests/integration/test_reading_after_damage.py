"""Bytes that a check found wrong are never given to a reader again, whenever the check was."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest

from chilly_movies import Job, Phase, Status
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.ports import FileReader
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
SIZE, DAMAGED = 12 * MIB, 6 * MIB
SLOWLY = 3 * MIB


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", SIZE)
    return make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", piece_size=256 * 1024
    )


def spoil(path: Path) -> None:
    """Overwrite the first half of the film."""
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xee" * DAMAGED, 0)


async def reads_are_right(reader: FileReader, film: Torrent) -> None:
    """Read at many places of what was overwritten, as they come."""
    source, dice = film.content.read_bytes(), random.Random(1)
    for _ in range(30):
        at = dice.randrange(DAMAGED - 4096)
        data = await reader.read(at, 4096)
        assert data == source[at : at + len(data)]


async def taken_back(downloader: Downloader) -> None:
    """Wait until a check has found that less is there than was thought."""
    most = 0

    def is_less(job: Job) -> bool:
        nonlocal most
        most = max(most, job.progress.bytes_downloaded)
        return job.progress.phase is Phase.DOWNLOADING and job.progress.bytes_downloaded < most

    await until(downloader, "a", is_less)


async def test_a_reader_gets_no_byte_that_the_final_check_found_wrong(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=4 * SLOWLY)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        async with asyncio.timeout(60), downloader.open_file("a") as reader:
            await reader.read(0, 1)
            await until(
                downloader, "a", lambda job: job.progress.bytes_downloaded > 2 * SIZE // 3
            )  # fmt: skip
            spoil(next((tmp_path / "media" / ".incomplete").glob("*/film.mkv")))
            await seeder.set_upload_limit(SLOWLY, key)
            await taken_back(downloader)
            await reads_are_right(reader, film)
        await seeder.set_upload_limit(0, key)
        assert (await downloader.wait("a")).status is Status.COMPLETED


async def test_a_finished_film_that_is_mended_is_read_as_what_is_right_of_it_arrives(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    """Its files show how far they are, too."""
    key = await seeder.seed(film.path, film.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
        spoil(tmp_path / "media" / "film.mkv")
        await downloader.recheck("a")
        await until(downloader, "a", lambda job: job.status is Status.FAILED)
        [standing] = await downloader.files("a")
        assert standing.done == SIZE - DAMAGED
        await seeder.set_upload_limit(SLOWLY, key)
        await downloader.resume("a")
        async with asyncio.timeout(60), downloader.open_file("a") as reader:
            await reads_are_right(reader, film)
        await seeder.set_upload_limit(0, key)
        assert (await downloader.wait("a")).status is Status.COMPLETED


async def test_a_film_that_is_mended_is_read_right_also_while_an_older_reader_is_open(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    """Like a player that was paused when the film was complete."""
    key = await seeder.seed(film.path, film.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        async with downloader.open_file("a") as paused:
            await paused.read(0, 1)
            await downloader.wait("a")
            spoil(tmp_path / "media" / "film.mkv")
            await downloader.recheck("a")
            await until(downloader, "a", lambda job: job.status is Status.FAILED)
            await seeder.set_upload_limit(SLOWLY, key)
            await downloader.resume("a")
            async with asyncio.timeout(60), downloader.open_file("a") as reader:
                await reads_are_right(reader, film)
            await seeder.set_upload_limit(0, key)
            assert (await downloader.wait("a")).status is Status.COMPLETED


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_reader_of_a_file_that_was_taken_away_gets_what_is_fetched_anew(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, is_replaced: bool
) -> None:
    """The open file is the old one, in which the rest never arrives."""
    key = await seeder.seed(film.path, film.folder, upload_limit=SLOWLY)
    source = film.content.read_bytes()
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        async with (
            asyncio.timeout(60),
            downloader.open_file("a") as other,
            downloader.open_file("a") as reader,
        ):
            assert await other.read(0, 1) == await reader.read(0, 1)
            staged = next((tmp_path / "media" / ".incomplete").glob("*/film.mkv"))
            if is_replaced:
                shutil.copy2(staged, tmp_path / "copy")
                (tmp_path / "copy").replace(staged)
            else:
                staged.unlink()
            await seeder.set_upload_limit(0, key)
            for at in range(0, SIZE, MIB):
                for one in (reader, other):
                    data = await one.read(at, 4096)
                    assert data == source[at : at + len(data)]
        assert (await downloader.wait("a")).status is Status.COMPLETED


async def test_a_reader_that_waits_for_an_adopted_film_reads_it_once_it_is_compared(
    tmp_path: Path, film: Torrent
) -> None:
    await asyncio.to_thread(shutil.copytree, film.folder, tmp_path / "media")
    async with running(tmp_path, seed_ratio=1000.0) as downloader:
        await downloader.adopt("film.mkv", film.path.read_bytes(), id="a")
        async with asyncio.timeout(20), downloader.open_file("a", 0) as reader:
            assert await reader.read(0, 1000) == film.content.read_bytes()[:1000]
