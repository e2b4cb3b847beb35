"""Films that go to another folder or disk, with the real engine and real readers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from chilly_movies import Phase, Status
from chilly_movies.jobs.models import Job
from lab.crash.mounts import require_mounts, tmpfs
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    for name, size in (("film.mkv", 8 * MIB), ("extra/more.mkv", MIB)):
        make_film(tmp_path / "source" / "Film" / name, size)
    return make_torrent(tmp_path / "source" / "Film", tmp_path / "film.torrent", piece_size=1 << 18)


def same(film: Torrent, place: Path) -> bool:
    names = ("film.mkv", "extra/more.mkv")
    return all(sha256_of(film.folder / "Film" / n) == sha256_of(place / n) for n in names)


def lies_at(job: Job, path: str) -> bool:
    return job.status is Status.COMPLETED and job.moving_to is None and job.path == path


async def test_a_seeding_film_moves_under_its_readers_and_peers_and_is_not_checked_again(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, seed_ratio=100.0, port=0) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.seeding)
        phases = []
        downloader.on("progress", lambda job: phases.append(job.progress.phase))
        async with downloader.open_file("a", 0) as reader:
            before = await reader.read(0, 1000)
            await downloader.move("a", "Films/2024")
            job = await until(downloader, "a", lambda job: lies_at(job, "Films/2024/Film"))
            assert await reader.read(0, 1000) == before
            async with downloader.open_file("a", 0) as other:
                assert await other.read(0, 1000) == before
        assert job.seeding
        assert same(film, tmp_path / "media" / "Films" / "2024" / "Film")
        assert [p.name for p in (tmp_path / "media").iterdir() if p.name[0] != "."] == ["Films"]
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        assert Phase.CHECKING not in phases
        await downloader.recheck("a")
        await until(
            downloader, "a", lambda job: job.reason == "every byte was checked and is right"
        )
    async with running(tmp_path) as downloader:
        assert (await downloader.status("a")).path == "Films/2024/Film"
        await downloader.remove("a", delete_files=True)
    assert [p.name for p in (tmp_path / "media").rglob("*") if p.name[0] != "."] == []


async def test_a_film_that_still_arrives_lands_in_the_folder_chosen_meanwhile(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port), folder="First")
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        await downloader.move("a", "Second/Place")
        await until(downloader, "a", lambda job: lies_at(job, "Second/Place/Film"))
    assert same(film, tmp_path / "media" / "Second" / "Place" / "Film")
    assert not (tmp_path / "media" / "First").exists()


async def test_a_folder_on_another_disk_gets_a_copy_and_a_full_one_is_told(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    require_mounts()
    await seeder.seed(film.path, film.folder)
    media = tmp_path / "media"
    with tmpfs(media / "Small", 4 * MIB), tmpfs(media / "Other", 32 * MIB):
        async with running(tmp_path) as downloader:
            await downloader.start(
                id="a", source_urn=magnet_to(film, seeder.port), folder="Other/Films"
            )
            await until(downloader, "a", lambda job: lies_at(job, "Other/Films/Film"))
            assert same(film, media / "Other" / "Films" / "Film")
            await downloader.move("a", "Small")
            job = await until(downloader, "a", lambda job: job.reason is not None
                              and job.moving_to is None)  # fmt: skip
            assert job.path == "Other/Films/Film"
            assert job.reason is not None
            assert job.reason.startswith("The film was not moved: There is too little room")
            assert list((media / "Small").iterdir()) == []
            await downloader.move("a", "")
            await until(downloader, "a", lambda job: lies_at(job, "Film"))
            assert same(film, media / "Film")
            assert list((media / "Other").iterdir()) == []


async def test_a_film_can_be_opened_at_every_moment_of_its_move(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, port=0) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
        opened = 0

        async def watch() -> None:
            nonlocal opened
            while True:
                async with downloader.open_file("a", 0) as reader:
                    assert len(await reader.read(0, 1000)) == 1000
                opened += 1

        async with asyncio.TaskGroup() as tasks:
            watchers = [tasks.create_task(watch()) for _ in range(4)]
            for turn in range(30):
                await downloader.move("a", f"Shelf {turn % 2}")
                await until(downloader, "a", lambda j, n=turn: lies_at(j, f"Shelf {n % 2}/Film"))  # type: ignore[misc]
            for watcher in watchers:
                watcher.cancel()
        assert opened > 30
