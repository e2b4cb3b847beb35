"""A copy takes the place of a folder above a film that arrives: what is completed is right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

import pytest

from chilly_movies import Job, Status
from chilly_movies.jobs import runner
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.runtime import failpoints
from lab.crash.swaps import STEPS, WAYS, Swap, steps_for, swapped
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
MIB = 1 << 20
SLOW = 100_000
each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DISK_PAUSES", RetryPolicy(base=0.1))


@asynccontextmanager
async def swapping(way: str, folder: Path) -> AsyncIterator[Swap]:
    """See `swapped`; the engine goes on while a disk waits until its files are closed."""
    manager = swapped(way, folder)
    swap = manager.__enter__()
    try:
        yield swap
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def film_in(folder: Path, seed: int = 0) -> Torrent:
    make_film(folder / "source/film.mkv", 3 * MIB, seed=seed)
    return make_torrent(folder / "source/film.mkv", folder / "f.torrent", piece_size=65536)


async def copy_early(downloader: Downloader, swap: Swap, film: Torrent) -> None:
    """Copy the folder when little of the film is there: the copy never gets the rest."""
    await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
    await asyncio.to_thread(swap.copy)
    assert not swap.is_whole(film.content)


def assert_right(job: Job, media: Path, film: Torrent) -> None:
    assert job.status is Status.COMPLETED
    assert job.path is not None
    assert (media / job.path).read_bytes() == film.content.read_bytes()


@each_way
async def test_a_copy_put_in_the_place_of_a_folder_while_a_film_arrives_is_completed_right(
    tmp_path: Path, seeder: LibtorrentPeer, way: str
) -> None:
    film = film_in(tmp_path)
    source = film.content.read_bytes()
    key = await seeder.seed(film.path, film.folder, upload_limit=SLOW)
    async with swapping(way, tmp_path) as swap:
        async with running(tmp_path, min_free_space=0) as downloader:
            await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
            await copy_early(downloader, swap, film)
            swap.swap()
            await seeder.set_upload_limit(0, key)
            assert_right(await downloader.wait("a"), swap.media, film)
        async with (
            running(tmp_path, min_free_space=0) as downloader,
            downloader.open_file("a", 0) as reader,
        ):
            assert [await reader.read(at, 1000) for at in range(0, 3 * MIB, MIB)] == [
                source[at : at + 1000] for at in range(0, 3 * MIB, MIB)
            ]


@each_way
async def test_a_copy_put_there_between_check_and_completion_is_not_what_is_completed(
    tmp_path: Path, seeder: LibtorrentPeer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    here: ContextVar[tuple[str, Swap]] = ContextVar("here")
    reached: set[str] = set()

    def swap_here(step: str) -> None:
        wanted, swap = here.get()
        if step == wanted and step not in reached:
            reached.add(step)
            swap.swap()

    async def swapped_at(step: str) -> None:
        folder = tmp_path / step
        film = film_in(folder, STEPS.index(step))
        key = await seeder.seed(film.path, film.folder, upload_limit=SLOW)
        async with swapping(way, folder) as swap:
            here.set((step, swap))
            async with running(folder, min_free_space=0) as downloader:
                await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
                await copy_early(downloader, swap, film)
                await seeder.set_upload_limit(0, key)
                assert_right(await downloader.wait("a"), swap.media, film)

    monkeypatch.setattr(failpoints, "reach", swap_here)
    async with asyncio.TaskGroup() as group:
        for step in steps_for(way):
            group.create_task(swapped_at(step))
    assert reached == set(steps_for(way))
