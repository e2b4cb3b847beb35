"""Bytes the user has already: taken instead of fetched, checked like all others, never changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import Job, Phase, Status
from chilly_movies.app import AssembledDownloader, torrent_parts
from chilly_movies.drivers.torrent import found as found_data
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.finding.search import DataFinder
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.state_folder import StateFolder
from tests.doubles import FakeVolume
from tests.integration.engine import QUIET, magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, Version, make_film, make_films, make_torrent, sha256_of

pytestmark = pytest.mark.anyio
MIB = 1 << 20
PIECE = 64 * 1024
SIZES = {"1.mkv": 2 * MIB + 11, "2.mkv": MIB + 5, "subs/1.srt": 700, "subs/2.srt": 900}
Snapshot = Mapping[str, tuple[object, ...]]


def snapshot(folder: Path) -> Snapshot:
    """All that must not change of the user's files: bytes, time, inode and mode."""
    return {
        path.relative_to(folder).as_posix(): (
            sha256_of(path), (s := path.stat()).st_mtime_ns, s.st_ino, s.st_mode, s.st_size,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }  # fmt: skip


def a_show(folder: Path, version: Version = "v1") -> tuple[Torrent, dict[str, str]]:
    """A torrent of several files, and the hash of each."""
    digests = make_films(folder / "show", SIZES)
    path = folder / f"show.{version}.torrent"
    return make_torrent(folder / "show", path, version=version, piece_size=PIECE), digests


def mine_of(folder: Path, *names: str) -> Path:
    """The user's folder with copies of these files, each renamed and somewhere else."""
    mine = folder / "media" / "Old films"
    for number, name in enumerate(names):
        target = mine / f"shelf {number}" / f"Film No. {number}.avi"
        target.parent.mkdir(parents=True)
        shutil.copyfile(folder / "show" / name, target)
    return mine


def is_fetching(job: Job) -> bool:
    return job.status is Status.ACTIVE and job.progress.phase is Phase.DOWNLOADING


def published(job: Job, folder: Path) -> dict[str, str]:
    return {f.path.split("/", 1)[1]: sha256_of(folder / "media" / f.path) for f in job.files}


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_a_torrent_that_nobody_seeds_is_complete_from_files_that_lie_here_renamed(
    tmp_path: Path, version: Version
) -> None:
    torrent, digests = a_show(tmp_path, version)
    mine = mine_of(tmp_path, *SIZES)
    before = snapshot(mine)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await downloader.wait("a")
        assert (job.status, job.path) == (Status.COMPLETED, "show")
        assert (job.figures.found, job.figures.downloaded) == (sum(SIZES.values()), 0)
        assert published(job, tmp_path) == digests
        assert snapshot(mine) == before
        await downloader.remove("a", delete_files=True)
    assert not (tmp_path / "media" / "show").exists()
    assert list((tmp_path / "media" / ".incomplete").glob("[!.]*")) == []
    assert snapshot(mine) == before


async def test_what_is_missing_comes_from_peers_and_no_byte_of_it_reaches_the_user_s_files(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent, digests = a_show(tmp_path)
    await seeder.seed(torrent.path, torrent.folder)
    mine = mine_of(tmp_path, "1.mkv")
    before = snapshot(mine)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert published(job, tmp_path) == digests
    assert snapshot(mine) == before
    assert SIZES["1.mkv"] - PIECE <= job.figures.found <= SIZES["1.mkv"]
    assert {path.stat().st_nlink for path in mine.rglob("*.avi")} == {1}


async def test_of_a_magnet_the_files_are_taken_as_soon_as_its_metadata_says_what_they_are(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent, digests = a_show(tmp_path, "hybrid")
    key = await seeder.seed(torrent.path, torrent.folder, upload_limit=MIB)
    mine = mine_of(tmp_path, "1.mkv", "subs/1.srt")
    before = snapshot(mine)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(torrent, seeder.port))
        job = await downloader.wait("a")
    assert published(job, tmp_path) == digests
    assert job.figures.found == SIZES["1.mkv"] + SIZES["subs/1.srt"]
    assert (await seeder.stats(key)).uploaded < SIZES["2.mkv"] + MIB
    assert snapshot(mine) == before


async def test_what_is_here_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found_data, "clone", lambda *_: False)  # it needs none either
    torrent, digests = a_show(tmp_path)
    mine_of(tmp_path, *SIZES)
    config = EngineConfig(tmp_path / "media", **QUIET)
    state = StateFolder(tmp_path / "state")
    parts = torrent_parts(config, state, max_active=1, min_free_space=0)
    guard = DiskGuard(FakeVolume(free=1000), reserve=500)
    async with AssembledDownloader(replace(parts, guard=guard)) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await downloader.wait("a")
    assert published(job, tmp_path) == digests


async def test_a_file_of_the_same_size_with_other_bytes_in_the_middle_is_not_claimed(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent, digests = a_show(tmp_path)
    await seeder.seed(torrent.path, torrent.folder)
    mine = mine_of(tmp_path, *SIZES)
    with (mine / "shelf 0" / "Film No. 0.avi").open("r+b") as file:
        file.seek(MIB)
        file.write(b"a scene that was cut out")
    make_film(mine / "other", SIZES["2.mkv"], seed=99)
    before = snapshot(mine)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        waiting = await until(downloader, "a", lambda job: job.figures.found > 0)
        assert waiting.figures.found == sum(SIZES.values()) - PIECE
        await downloader.swarm.add_peer("a", f"127.0.0.1:{seeder.port}")
        job = await downloader.wait("a")
    assert published(job, tmp_path) == digests
    assert job.figures.downloaded <= 2 * PIECE
    assert snapshot(mine) == before


@pytest.mark.parametrize("moment", ["after the search", "publish.told"])
async def test_a_file_that_changes_meanwhile_is_left_as_its_user_made_it(
    tmp_path: Path, seeder: LibtorrentPeer, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    torrent, digests = a_show(tmp_path)
    await seeder.seed(torrent.path, torrent.folder)
    mine = mine_of(tmp_path, *SIZES)
    changed = mine / "shelf 1" / "Film No. 1.avi"
    snapshots: list[Snapshot] = []

    def change() -> None:
        if not snapshots:
            with changed.open("r+b") as file:
                file.seek(MIB // 2)
                file.write(b"the user's own words")
            snapshots.append(snapshot(mine))

    class Finder(DataFinder):
        def find(self, *given: Any) -> Any:
            found = super().find(*given)
            change()
            return found

    if moment == "after the search":
        monkeypatch.setattr(found_data, "DataFinder", Finder)
    else:
        monkeypatch.setattr(failpoints, "reach", lambda name: change() if name == moment else None)
    monkeypatch.setattr("chilly_movies.jobs.runner.next_delay", lambda *_: 0.05)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await until(
            downloader,
            "a",
            lambda job: bool(snapshots) and (is_fetching(job) or job.status.is_final),
        )
        if not job.status.is_final:  # it shared the file: else it is whole without any peer
            await downloader.swarm.add_peer("a", f"127.0.0.1:{seeder.port}")
        job = await downloader.wait("a")
    assert published(job, tmp_path) == digests
    assert [snapshot(mine)] == snapshots


async def test_mending_a_film_does_not_touch_the_file_that_it_was_taken_from(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    torrent, digests = a_show(tmp_path)
    await seeder.seed(torrent.path, torrent.folder)
    mine = mine_of(tmp_path, *SIZES)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        await downloader.wait("a")
        for path in (mine / "shelf 0" / "Film No. 0.avi", tmp_path / "media/show/1.mkv"):
            with path.open("r+b") as file:  # one file under two names, unless blocks are shared
                file.seek(MIB)
                file.write(b"retagged")
        before = snapshot(mine)
        await downloader.recheck("a")
        await until(downloader, "a", lambda job: job.status is Status.FAILED)
        await downloader.resume("a")
        await until(downloader, "a", is_fetching)
        await downloader.swarm.add_peer("a", f"127.0.0.1:{seeder.port}")
        job = await until(downloader, "a", lambda job: job.status is Status.COMPLETED)
    assert published(job, tmp_path) == digests
    assert snapshot(mine) == before


async def test_a_cancel_while_the_film_is_compared_leaves_the_user_s_files_alone(
    tmp_path: Path,
) -> None:
    torrent, _ = a_show(tmp_path)
    mine = mine_of(tmp_path, *SIZES)
    before = snapshot(mine)
    async with running(tmp_path) as downloader:

        async def cancel(job: Job) -> None:
            await downloader.cancel(job.id)

        downloader.on("metadata", cancel)
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await downloader.wait("a")
        assert job.status is Status.CANCELED
        await downloader.remove("a", delete_files=True)
    assert snapshot(mine) == before
    assert {path.stat().st_nlink for path in mine.rglob("*.avi")} == {1}


async def test_files_in_folders_beside_the_media_folder_are_found_unless_that_is_turned_off(
    tmp_path: Path,
) -> None:
    torrent, digests = a_show(tmp_path)
    shelf = tmp_path / "shelf"
    (tmp_path / "show").rename(shelf)
    data, folders = torrent.path.read_bytes(), (shelf,)
    async with running(tmp_path, film_folders=folders, find_data=False) as downloader:
        await downloader.start(id="a", torrent=data)
        job = await until(
            downloader, "a", lambda job: (job.reason or "").startswith("no peers found")
        )
        assert job.figures.found == 0
    before = snapshot(shelf)
    async with running(tmp_path, film_folders=folders) as downloader:
        job = await downloader.wait("a")
    assert published(job, tmp_path) == digests
    assert snapshot(shelf) == before


async def test_a_file_that_may_be_run_becomes_a_copy_that_may_not(tmp_path: Path) -> None:
    torrent, digests = a_show(tmp_path)
    mine = mine_of(tmp_path, *SIZES)
    for path in mine.rglob("*.avi"):
        path.chmod(0o755)
    before = snapshot(mine)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", torrent=torrent.path.read_bytes())
        job = await downloader.wait("a")
    assert published(job, tmp_path) == digests
    modes = {os.stat(tmp_path / "media" / f.path).st_mode & 0o111 for f in job.files}  # noqa: PTH116
    assert modes == {0}
    assert snapshot(mine) == before
