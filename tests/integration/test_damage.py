"""Damage to files while we do not look: found, mended or told, and never called complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import libtorrent as lt
import pytest

from chilly_movies import Phase, Status
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.drivers.torrent.resume_saver import ResumeSaver
from chilly_movies.storage.jobs import SqliteResumeStore
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
PIECE = 256 * 1024


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 8 * MIB)
    return make_torrent(
        tmp_path / "source" / "film.mkv", tmp_path / "film.torrent", piece_size=PIECE
    )


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        first = next(
            i for i in range(0, 8 * MIB, PIECE) if os.pread(file.fileno(), 9, i).strip(b"\0")
        )
        byte = os.pread(file.fileno(), 1, first)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1]), first)


def dig(path: Path) -> None:
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"\0" * (4 * MIB), 0)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": flip,
    "a hole": dig,
    "cut short": lambda path: os.truncate(path, MIB),
    "gone": Path.unlink,
    "another film": lambda path: path.write_bytes(b"x" * (8 * MIB)),
    "a byte too long": lambda path: os.truncate(path, 8 * MIB + 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_unfinished_film_that_is_damaged_while_paused_is_mended_before_it_is_completed(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, damage: str
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 4 * MIB)
        await downloader.pause("a")
        DAMAGES[damage](next((tmp_path / "media" / ".incomplete").glob("*/film.mkv")))
        await seeder.set_upload_limit(0, key)
        await downloader.resume("a")
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED, job.error
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_what_is_claimed_is_in_the_files_at_every_save(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong: list[tuple[int, int]] = []
    whole, saves = film.content.read_bytes(), 0

    async def save(store: SqliteResumeStore, key: str, data: bytes) -> None:
        nonlocal saves
        claim = decode(data)
        assert claim is not None
        saves += 1
        pieces = lt.read_resume_data(claim.data).have_pieces
        staged = tmp_path / "media" / ".incomplete" / key / "film.mkv"
        there = staged.read_bytes() if staged.exists() else b""
        wrong.extend(
            (saves, i)
            for i, has in enumerate(pieces)
            if has and there and there[i * PIECE :][:PIECE] != whole[i * PIECE :][:PIECE]
        )
        await original(store, key, data)

    original = SqliteResumeStore.save_resume
    monkeypatch.setattr(SqliteResumeStore, "save_resume", save)
    await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)
    async with running(tmp_path, save_bytes=PIECE, save_interval=0.1) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
    assert wrong == []
    assert saves > 2


async def test_data_is_flushed_after_the_engine_spoke_and_before_its_claim_is_stored(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    from chilly_movies.runtime import failpoints

    monkeypatch.setattr(failpoints, "reach", steps.append)
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
    saves = [step for step in steps if step.startswith("resume.")]
    assert saves == ["resume.taken", "resume.flushed", "resume.stored"] * (len(saves) // 3)
    assert steps.index("publish.told") < steps.index("publish.renamed")
    assert steps[: steps.index("publish.told")].count("resume.stored") >= 1


async def test_after_a_stop_in_disorder_the_disk_is_asked_and_nothing_is_fetched_twice(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)

    async def lose(self: ResumeSaver, *, closing: bool = False) -> None:
        """What the last moments of a killed process save."""

    async with running(tmp_path, save_interval=1e9, save_bytes=1 << 60) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: bool(job.files))
        monkeypatch.setattr(ResumeSaver, "save", lose)
        half = await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 4 * MIB)
    monkeypatch.undo()
    before = (await seeder.stats(key)).uploaded
    await seeder.set_upload_limit(0, key)
    phases = []
    async with running(tmp_path) as downloader:
        downloader.on("progress", lambda job: phases.append(job.progress.phase))
        await downloader.wait("a")
    again = (await seeder.stats(key)).uploaded - before
    assert again <= film.size - half.progress.bytes_downloaded
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_film_that_is_taken_away_while_it_seeds_is_waited_for(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, seed_ratio=100.0) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.status is Status.COMPLETED)
        published = tmp_path / "media" / "film.mkv"
        published.rename(tmp_path / "elsewhere")
        job = await until(downloader, "a", lambda job: job.reason is not None)
        assert job.reason == "the file 'film.mkv' is not there; seeding goes on when it is back"
        (tmp_path / "elsewhere").rename(published)
        job = await until(
            downloader, "a",
            lambda job: job.reason is None and job.progress.phase is Phase.SEEDING,
        )  # fmt: skip
        assert (job.status, job.seeding) == (Status.COMPLETED, True)


@pytest.mark.parametrize("damage", ["one bit", "cut short", "a byte too long"])
async def test_a_film_that_changed_since_is_not_seeded_and_not_touched(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, damage: str
) -> None:
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, seed_ratio=100.0) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.status is Status.COMPLETED)
        published = tmp_path / "media" / "film.mkv"
        DAMAGES[damage](published)
        then = sha256_of(published)
        job = await until(downloader, "a", lambda job: not job.seeding)
    assert job.status is Status.COMPLETED
    assert job.reason is not None
    assert job.reason.startswith("The film is not what it was when it was finished")
    assert sha256_of(published) == then


async def test_a_stranger_that_took_the_name_is_not_taken_for_the_film(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between telling the name and publishing; then staging was emptied by hand."""
    from chilly_movies.runtime import failpoints

    monkeypatch.setattr(failpoints, "_wishes", failpoints.parse("publish.told:raise"))
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.error is not None)
    next((tmp_path / "media" / ".incomplete").glob("*/film.mkv")).unlink()
    (tmp_path / "media" / "film.mkv").write_bytes(b"m" * film.size)
    async with running(tmp_path) as downloader:
        await downloader.resume("a")
        job = await downloader.wait("a")
    assert (job.status, job.path) == (Status.COMPLETED, "film (2).mkv")
    assert (tmp_path / "media" / "film.mkv").read_bytes() == b"m" * film.size
    assert sha256_of(tmp_path / "media" / "film (2).mkv") == sha256_of(film.content)


async def test_a_claim_of_an_older_version_is_checked_and_then_used(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 2 * MIB)
        job = await downloader.pause("a")
        store = downloader._drivers["torrent"]._resume  # type: ignore[attr-defined]
        claim = decode(await store.load_resume(job.key))
        assert claim is not None
        await store.save_resume(job.key, claim.data)
        await seeder.set_upload_limit(0, key)
        await downloader.resume("a")
        assert (await downloader.wait("a")).status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
