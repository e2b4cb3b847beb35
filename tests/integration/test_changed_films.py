"""Films that change, or go away, while they seed: told, never believed, brought back on request."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import Job, Phase, Status
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.runtime.state_folder import DATABASE
from lab.crash.mounts import require_mounts, tmpfs
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_films, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
NAMES = {"film.mkv": 2 * MIB, "extra/more.mkv": 100_000}
CHANGED = "The film is not what it was when it was finished: "
RIGHT = "every byte was checked and is right"
FOREVER: dict[str, Any] = {"seed_ratio": 1000.0}


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_films(tmp_path / "source" / "Film", NAMES)
    return make_torrent(tmp_path / "source" / "Film", tmp_path / "film.torrent", piece_size=1 << 16)


def published(tmp_path: Path) -> Path:
    return tmp_path / "media" / "Film" / "film.mkv"


def is_right(film: Torrent, place: Path) -> bool:
    return all(sha256_of(place / name) == sha256_of(film.content / name) for name in NAMES)


async def seeds(downloader: Downloader) -> Job:
    """Wait until the engine seeds job 'a' from where it was published."""
    running_now = downloader._drivers["torrent"]._running  # type: ignore[attr-defined]
    return await until(
        downloader, "a",
        lambda job: job.seeding and job.key in running_now
        and job.progress.phase is Phase.SEEDING and job.reason is None,
    )  # fmt: skip


async def has_ended(downloader: Downloader) -> Job:
    return await until(downloader, "a", lambda job: job.status.is_final and not job.seeding)


# --- what changes a film --------------------------------------------------------------------


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"damage", MIB)


def hide(path: Path) -> None:
    then = path.stat()
    overwrite(path)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


def exchange(path: Path) -> None:
    other = path.with_name("other")
    shutil.copy2(path, other)
    hide(other)
    other.replace(path)


def exchange_folder(path: Path) -> None:
    folder, other = path.parent, path.parent.with_name("other")
    shutil.copytree(folder, other)
    hide(other / path.name)
    folder.rename(folder.with_name("old"))
    other.rename(folder)


CHANGES: dict[str, Callable[[Path], object]] = {
    "overwritten": overwrite,
    "overwritten and its time set back": hide,
    "cut to 1,000 bytes": lambda path: os.truncate(path, 1000),
    "one byte longer": lambda path: os.truncate(path, NAMES["film.mkv"] + 1),
    "another file": exchange,
    "another folder": exchange_folder,
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_film_that_changes_while_it_seeds_is_told_and_left_alone(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, change: str
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await seeds(downloader)
        CHANGES[change](published(tmp_path))
        then = sha256_of(published(tmp_path))
        job = await has_ended(downloader)
    assert job.status is Status.COMPLETED
    assert job.reason is not None
    assert job.reason.startswith(CHANGED)
    assert job.reason.endswith("; recheck it, then resume fetches it again.")
    assert sha256_of(published(tmp_path)) == then


@pytest.mark.parametrize("change", ["overwritten and its time set back", "one byte longer"])
async def test_a_change_that_nobody_had_time_to_notice_is_told_after_a_restart(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, change: str
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await seeds(downloader)
        CHANGES[change](published(tmp_path))
    async with running(tmp_path, **FOREVER) as downloader:
        # ended again, while it is compared: what was begun counts for nothing
        job = await until(
            downloader, "a", lambda job: job.progress.phase is Phase.CHECKING or not job.seeding
        )
    async with running(tmp_path, **FOREVER) as downloader:
        job = await has_ended(downloader)
    assert job.reason is not None
    assert job.reason.startswith(CHANGED)


async def test_a_film_that_was_only_touched_is_checked_once_and_seeds_on(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    phases: list[Phase | None] = []
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await seeds(downloader)
        os.utime(published(tmp_path))
        await until(downloader, "a", lambda job: job.reason == RIGHT)
        await seeds(downloader)
    async with running(tmp_path, **FOREVER) as downloader:
        downloader.on("progress", lambda job: phases.append(job.progress.phase))
        await seeds(downloader)
    assert Phase.CHECKING not in phases


async def test_a_film_that_is_published_moved_and_seeded_again_is_not_checked_for_that(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    """A rename changes the time of change of a film that is one file."""
    make_films(tmp_path / "source", {"film.mkv": MIB})
    made = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "f.torrent")
    await seeder.seed(made.path, made.folder)
    phases: list[Phase | None] = []
    async with running(tmp_path, **FOREVER) as downloader:
        downloader.on("completed", lambda _: downloader.on("progress", note))

        def note(job: Job) -> None:
            phases.append(job.progress.phase)

        await downloader.start(id="a", source_urn=magnet_to(made, seeder.port))
        await seeds(downloader)
        await downloader.move("a", "Films")
        await until(downloader, "a", lambda job: job.path == "Films/film.mkv")
        await seeds(downloader)
    async with running(tmp_path, **FOREVER) as downloader:
        downloader.on("progress", note)
        await seeds(downloader)
    assert Phase.SEEDING in phases
    assert Phase.CHECKING not in phases


async def test_a_copy_on_another_disk_is_compared_before_it_seeds(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    require_mounts()
    await seeder.seed(film.path, film.folder)
    with tmpfs(tmp_path / "media" / "Other", 16 * MIB):
        async with running(tmp_path, **FOREVER) as downloader:
            await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
            await seeds(downloader)
            await downloader.move("a", "Other")
            job = await until(downloader, "a", lambda job: job.reason == RIGHT)
            assert job.path == "Other/Film"
            await seeds(downloader)


async def test_what_was_adopted_is_watched_as_well_and_never_written_to(
    tmp_path: Path, film: Torrent
) -> None:
    shutil.copytree(film.content, tmp_path / "media" / "Film")
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.adopt("Film", film.path.read_bytes(), id="a")
        await seeds(downloader)
        hide(published(tmp_path))
        then = sha256_of(published(tmp_path))
        job = await has_ended(downloader)
    assert job.reason == f"{CHANGED}{1 << 16} of {film.size} bytes differ."
    assert sha256_of(published(tmp_path)) == then


@pytest.mark.parametrize("changed", [False, True])
async def test_a_claim_of_an_older_version_is_compared_once_before_it_is_believed(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, changed: bool
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await seeds(downloader)
    if changed:
        hide(published(tmp_path))
    make_older(tmp_path / "state" / DATABASE)
    async with running(tmp_path, **FOREVER) as downloader:
        if changed:
            job = await has_ended(downloader)
            assert job.reason is not None
            assert job.reason.startswith(CHANGED)
            return
        await until(downloader, "a", lambda job: job.reason == RIGHT)
        await seeds(downloader)


def make_older(database: Path) -> None:
    """Claims as an older version stored them: with sizes and times of writing only."""
    with sqlite3.connect(database) as store:
        for key, blob in store.execute("SELECT key, data FROM resume").fetchall():
            head, _, data = blob.partition(b"\n")
            known = {k: v for k, v in json.loads(head).items() if k in ("closed", "looks")}
            older = json.dumps(known).encode() + b"\n" + data
            store.execute("UPDATE resume SET data = ? WHERE key = ?", (older, key))
    store.close()


# --- what is gone ---------------------------------------------------------------------------


def drop_file(path: Path) -> None:
    path.unlink()


def drop_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(("drop", "verb"), [(drop_file, "resume"), (drop_folder, "start")])
async def test_a_film_that_is_gone_while_it_seeds_is_told_on_request_and_fetched_anew(
    tmp_path: Path,
    seeder: LibtorrentPeer,
    film: Torrent,
    drop: Callable[[Path], None],
    verb: str,
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await seeds(downloader)
        drop(published(tmp_path))
        waits = "the file 'film.mkv' is not there; seeding goes on when it is back"
        job = await until(downloader, "a", lambda job: job.reason == waits)
        assert (job.status, job.seeding) == (Status.COMPLETED, True)
        await downloader.recheck("a")
        job = await until(downloader, "a", lambda job: job.status is Status.FAILED)
        assert job.error is not None
        assert (job.error.code, job.error.message) == (
            "damaged", f"{CHANGED}the file 'film.mkv' is not there; resume fetches it again.",
        )  # fmt: skip
        await downloader.recheck("a")  # once more, which makes nothing either
        told = job.updated_at
        job = await until(downloader, "a", lambda job: job.updated_at > told)
        assert (job.status, job.error.code if job.error else "") == (Status.FAILED, "damaged")
        assert not published(tmp_path).exists()
        await (downloader.resume("a") if verb == "resume" else downloader.start(id="a"))
        job = await downloader.wait("a")
        assert (job.status, job.path) == (Status.COMPLETED, "Film")
        assert is_right(film, tmp_path / "media" / "Film")
        await seeds(downloader)
        overwrite(published(tmp_path))  # and from now on it is watched as before
        job = await has_ended(downloader)
    assert job.reason is not None
    assert job.reason.startswith(CHANGED)


async def test_nothing_is_written_through_a_link_in_the_place_of_a_film_that_is_gone(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    """The film was moved to another disk, which is not mounted now."""
    await seeder.seed(film.path, film.folder)
    path, elsewhere = published(tmp_path), tmp_path / "elsewhere"
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
        path.unlink()
        path.symlink_to(elsewhere)
        await downloader.recheck("a")
        await until(downloader, "a", lambda job: job.status is Status.FAILED)
        await downloader.resume("a")
        job = await until(downloader, "a", lambda job: job.error is not None)
        assert job.reason == (
            "Where the film is to lie, 'film.mkv' is a link, so nothing is written; "
            "move it away, and the job goes on."
        )
        path.unlink()
        assert (await downloader.wait("a")).status is Status.COMPLETED
    assert not elsewhere.exists()
    assert is_right(film, tmp_path / "media" / "Film")


async def test_a_media_folder_that_is_away_is_waited_for_also_by_a_recheck(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, **FOREVER) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await seeds(downloader)
        (tmp_path / "media").rename(tmp_path / "away")
        waits = "the media folder is not there; seeding goes on when it is back"
        await until(downloader, "a", lambda job: job.reason == waits)
        await downloader.recheck("a")
        job = await until(downloader, "a", lambda job: job.reason == waits)
        assert (job.status, job.seeding) == (Status.COMPLETED, True)
        (tmp_path / "away").rename(tmp_path / "media")
        await until(downloader, "a", lambda job: job.reason == RIGHT)
        assert (await seeds(downloader)).status is Status.COMPLETED
