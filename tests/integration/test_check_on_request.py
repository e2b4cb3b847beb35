"""Checking on request: damage is told, mended on request, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chilly_movies import Status
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


@pytest.mark.parametrize("damage", ["bits", "longer", "gone"])
async def test_a_damaged_film_is_told_left_alone_and_mended_when_resume_asks_for_it(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent, damage: str
) -> None:
    key = await seeder.seed(film.path, film.folder)
    published = tmp_path / "media" / "film.mkv"
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
        sent = (await seeder.stats(key)).uploaded
        if damage == "gone":
            published.unlink()
        else:
            with published.open("r+b") as file:
                os.pwrite(file.fileno(), b"damage", 8 * MIB if damage == "longer" else 3 * MIB)
        then = sha256_of(published) if published.exists() else None
        await downloader.recheck("a")
        job = await until(downloader, "a", lambda job: job.error is not None)
        assert job.status is Status.FAILED
        assert job.error is not None
        assert job.error.code == "damaged"
        assert job.error.message.startswith("The film is not what it was when it was finished")
        assert (sha256_of(published) if published.exists() else None) == then
        await downloader.resume("a")
        job = await downloader.wait("a")
        again = (await seeder.stats(key)).uploaded - sent
    assert (job.status, job.path) == (Status.COMPLETED, "film.mkv")
    assert sha256_of(published) == sha256_of(film.content)
    assert again <= {"bits": 3 * PIECE, "longer": 0, "gone": film.size + 3 * PIECE}[damage]


async def test_canceling_a_damaged_film_leaves_it_where_it_is(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    published = tmp_path / "media" / "film.mkv"
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await downloader.wait("a")
        os.truncate(published, MIB)
        await downloader.recheck("a")
        await until(downloader, "a", lambda job: job.status is Status.FAILED)
        assert (await downloader.cancel("a")).status is Status.CANCELED
    assert published.stat().st_size == MIB
    async with running(tmp_path) as downloader:
        await downloader.status("a")
    assert published.stat().st_size == MIB


async def test_a_sound_film_and_a_paused_download_are_checked_without_any_traffic(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    key = await seeder.seed(film.path, film.folder, upload_limit=6 * MIB)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 4 * MIB)
        paused = await downloader.pause("a")
        sent = (await seeder.stats(key)).uploaded
        staged = next((tmp_path / "media" / ".incomplete").glob("*/film.mkv"))
        os.truncate(staged, MIB)
        await downloader.recheck("a")
        job = await until(
            downloader, "a",
            lambda job: job.updated_at > paused.updated_at and job.progress.phase is None,
        )  # fmt: skip
        assert (job.status, (await seeder.stats(key)).uploaded) == (Status.PAUSED, sent)
        assert job.progress.bytes_downloaded <= MIB
        await seeder.set_upload_limit(0, key)
        await downloader.resume("a")
        finished = await downloader.wait("a")
        await downloader.recheck("a")
        job = await until(downloader, "a", lambda job: job.updated_at > finished.updated_at
                          and job.progress.phase is None)  # fmt: skip
    assert (job.status, job.reason) == (Status.COMPLETED, "every byte was checked and is right")
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
