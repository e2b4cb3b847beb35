"""Torrents we make, and data that was there before its job: what real peers and the disk see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import Job, Phase, Status
from chilly_movies.drivers.torrent.making.create import make_torrent
from chilly_movies.errors import DuplicateDownload, IdInUse, InvalidRequest
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Pool
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.scheduler import Slots
from chilly_movies.jobs.torrents import MadeTorrent
from chilly_movies.tracker.http import run_tracker
from tests.integration.engine import running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_films, sha256_of

pytestmark = pytest.mark.anyio
MIB = 1 << 20


@pytest.fixture
async def leecher() -> AsyncIterator[LibtorrentPeer]:
    async with LibtorrentPeer() as peer:
        yield peer


@pytest.fixture
async def announce() -> AsyncIterator[str]:
    """A tracker of its own."""
    async with run_tracker() as url:
        yield url


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


async def port_of(downloader: Downloader) -> int:
    """Where peers reach its engine, once it runs."""
    session: Any = downloader._drivers["torrent"]._session  # type: ignore[attr-defined]
    async with downloader.listen() as changes:
        while session._ses is None:
            await anext(changes)
    port: int = session.port
    return port


def is_seeding(job: Job) -> bool:
    return job.progress.phase is Phase.SEEDING


def fingerprint(path: Path) -> tuple[str, int]:
    """The bytes, and when they were last written to."""
    return sha256_of(path), path.stat().st_mtime_ns


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def fetch(
    leecher: LibtorrentPeer, made: MadeTorrent, downloader: Downloader, folder: Path
) -> None:
    await leecher.leech(f"{made.magnet}&x.pe=127.0.0.1:{await port_of(downloader)}", folder)
    await leecher.wait_done()


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
async def test_a_folder_shared_as_any_version_arrives_at_a_peer_byte_for_byte(
    tmp_path: Path, media: Path, leecher: LibtorrentPeer, version: str
) -> None:
    films = {"one: part?.mkv": 3 * MIB + 7, "extras/two.srt": 999, "extras/é.srt": 70_000}
    wanted = make_films(media / "shows" / "A Show", films)
    made = await make_torrent(media / "shows" / "A Show", version=version)
    async with running(tmp_path) as downloader:
        job = await downloader.adopt("shows/A Show", made.data, id="a")
        assert (job.path, job.adopted, job.progress.phase) == ("shows/A Show", True, None)
        job = await downloader.wait("a")
        assert (job.status, job.path, job.progress.percent) == (
            Status.COMPLETED, "shows/A Show", 100.0,
        )  # fmt: skip
        assert {file.path: file.size for file in job.files} == {
            f"shows/A Show/{name}": size for name, size in films.items()
        }
        await fetch(leecher, made, downloader, tmp_path / "leech")
    for name, digest in wanted.items():
        assert sha256_of(tmp_path / "leech" / "A Show" / name) == digest
        assert sha256_of(media / "shows" / "A Show" / name) == digest


async def test_it_seeds_at_once_until_stopped_and_again_after_a_restart(
    tmp_path: Path, media: Path, leecher: LibtorrentPeer
) -> None:
    make_film(media / "film.mkv", 8 * MIB)
    before = fingerprint(media / "film.mkv")
    made = await make_torrent(media / "film.mkv", name="Another name.mkv")
    async with running(tmp_path, seed_ratio=0.0, seed_time=0) as downloader:
        await downloader.adopt("film.mkv", made.data, id="a")
        await until(downloader, "a", is_seeding)
    async with running(tmp_path, seed_ratio=0.0, seed_time=0) as downloader:
        job = await until(downloader, "a", lambda job: is_seeding(job) and job.adopted)
        assert (job.status, job.seeding) == (Status.COMPLETED, True)
        await fetch(leecher, made, downloader, tmp_path / "leech")
        events = [change.event for change in await downloader.changes_since(0, "a")]
        assert "error" not in events
        assert events.count("completed") == 1
        stopped = await downloader.pause("a")
        assert (stopped.status, stopped.seeding) == (Status.COMPLETED, False)
    assert sha256_of(tmp_path / "leech" / "Another name.mkv") == before[0]
    assert fingerprint(media / "film.mkv") == before


async def test_a_seeding_goal_of_its_own_holds(tmp_path: Path, media: Path) -> None:
    make_film(media / "film.mkv", MIB)
    made = await make_torrent(media / "film.mkv")
    async with running(tmp_path) as downloader:
        await downloader.adopt("film.mkv", made.data, id="a", options=Options(seed_time=1))
        job = await until(downloader, "a", lambda job: job.status.is_final and not job.seeding)
    assert job.reason == "the seeding goal is reached"


@pytest.mark.parametrize("flaw", ["other bytes", "shorter", "longer", "a folder", "a way out"])
async def test_data_that_is_not_the_torrents_fails_and_is_left_untouched(
    tmp_path: Path, media: Path, leecher: LibtorrentPeer, announce: str, flaw: str
) -> None:
    original = tmp_path / "original" / "film.mkv"
    make_film(original, 4 * MIB)
    made = await make_torrent(original, trackers=[announce])
    (tmp_path / "film.torrent").write_bytes(made.data)
    await leecher.seed(tmp_path / "film.torrent", original.parent)  # has what is missing
    await leecher.wait_announced()
    film, bytes_ = media / "film.mkv", bytearray(original.read_bytes())
    bytes_[MIB] ^= 1
    if flaw == "a folder":
        film.mkdir()
    elif flaw == "a way out":
        film.symlink_to(original)
    else:
        cut = {"other bytes": bytes_, "shorter": bytes_[:-1], "longer": bytes_ + b"x"}
        film.write_bytes(cut[flaw])
    before = fingerprint(film) if film.is_file() else None
    async with running(tmp_path) as downloader:
        await downloader.adopt("film.mkv", made.data, id="a")
        job = await downloader.wait("a")
        assert job.status is Status.FAILED
        assert job.error is not None
        assert job.error.code == "source_rejected"
        assert "film.mkv" in job.error.message or "not what the torrent says" in job.error.message
        await downloader.remove("a")
    assert before is None or fingerprint(film) == before
    assert [path.name for path in media.iterdir() if path.name != ".incomplete"] == ["film.mkv"]


async def test_a_missing_file_is_not_made_up_and_can_be_put_back(
    tmp_path: Path, media: Path
) -> None:
    make_films(media / "show", {"1.mkv": MIB, "2.mkv": MIB})
    made = await make_torrent(media / "show")
    (media / "show" / "1.mkv").rename(tmp_path / "1.mkv")
    async with running(tmp_path) as downloader:
        await downloader.adopt("show", made.data, id="a")
        job = await downloader.wait("a")
        assert job.error is not None
        assert job.error.message == (
            "The file 'show/1.mkv' is not there, so nothing can be seeded."
        )
        assert [path.name for path in (media / "show").iterdir()] == ["2.mkv"]
        (tmp_path / "1.mkv").rename(media / "show" / "1.mkv")
        await downloader.resume("a")
        job = await until(downloader, "a", is_seeding)
    assert job.status is Status.COMPLETED


async def test_data_that_changes_while_it_is_seeded_is_not_written_to(
    tmp_path: Path, media: Path, leecher: LibtorrentPeer, announce: str
) -> None:
    film = media / "film.mkv"
    make_film(film, 4 * MIB)
    made = await make_torrent(film, trackers=[announce])
    (tmp_path / "film.torrent").write_bytes(made.data)
    make_film(tmp_path / "other" / "film.mkv", 4 * MIB)
    await leecher.seed(tmp_path / "film.torrent", tmp_path / "other")
    await leecher.wait_announced()
    async with running(tmp_path) as downloader:
        await downloader.adopt("film.mkv", made.data, id="a")
        await until(downloader, "a", is_seeding)
    rotten = bytearray(film.read_bytes())
    rotten[0] ^= 1
    film.write_bytes(rotten)
    before = fingerprint(film)
    async with running(tmp_path) as downloader:
        job = await until(downloader, "a", lambda job: not job.seeding)
    assert job.reason is not None
    assert job.reason.startswith("The film is not what it was when it was finished: ")
    assert fingerprint(film) == before


@pytest.mark.parametrize("when", ["queued", "seeding", "failed"])
@pytest.mark.parametrize("how", ["cancel", "remove", "delete"])
async def test_only_a_removal_with_files_deletes_them(
    tmp_path: Path, media: Path, when: str, how: str
) -> None:
    make_films(media / "show", {"1.mkv": MIB, "2.mkv": MIB})
    made = await make_torrent(media / "show")
    (media / "show" / "mine.txt").write_text("not in the torrent")
    if when == "failed":
        (media / "show" / "1.mkv").write_bytes(bytes(MIB))
    names = names_in(media / "show")
    async with running(tmp_path) as downloader:
        if when == "queued":
            downloader._scheduler._slots = Slots({}, dict.fromkeys(Pool, 0))
        await downloader.adopt("show", made.data, id="a")
        if when == "seeding":
            await until(downloader, "a", is_seeding)
        elif when == "failed":
            await downloader.wait("a")
        if how == "cancel":
            await downloader.cancel("a")
        else:
            await downloader.remove("a", delete_files=how == "delete")
    left = names_in(media / "show")
    assert left == (["mine.txt"] if how == "delete" else names)
    if (how, when) != ("cancel", "seeding"):  # there, cancelling only stops the seeding
        assert set(names_in(media / ".incomplete")) <= {".chilly-media"}


async def test_the_same_again_is_the_same_job_and_other_wishes_are_refused(
    tmp_path: Path, media: Path
) -> None:
    make_film(media / "film.mkv", MIB)
    make_film(media / "other.mkv", MIB, seed=1)
    made, other = [await make_torrent(media / n) for n in ("film.mkv", "other.mkv")]
    async with running(tmp_path) as downloader:
        first = await downloader.adopt("film.mkv", made.data, id="a")
        assert (await downloader.adopt("film.mkv", made.data, id="a")).key == first.key
        with pytest.raises(IdInUse):
            await downloader.adopt("other.mkv", other.data, id="a")
        with pytest.raises(DuplicateDownload):
            await downloader.adopt("film.mkv", made.data)
        for path in ("", "/film.mkv", "../film.mkv", "a/../../b", ".incomplete/x", ".", "a\0b"):
            with pytest.raises(InvalidRequest) as refused:
                await downloader.adopt(path, other.data)
            assert refused.value.field == "path"
        with pytest.raises(InvalidRequest):
            await downloader.adopt("other.mkv", b"no torrent")
        with pytest.raises(InvalidRequest):
            await downloader.adopt("other.mkv", other.data, options=Options(files=(0,)))


async def test_hashing_leaves_the_event_loop_free_and_ends_when_it_is_cancelled(
    tmp_path: Path,
) -> None:
    make_film(tmp_path / "film.mkv", 96 * MIB)
    shares: list[float] = []
    started = asyncio.Event()

    def note(share: float) -> None:
        shares.append(share)
        started.set()

    await make_torrent(tmp_path / "film.mkv", on_progress=note)
    await asyncio.sleep(0)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    started.clear()
    work = asyncio.create_task(make_torrent(tmp_path / "film.mkv", on_progress=note))
    await started.wait()
    assert not work.done()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
