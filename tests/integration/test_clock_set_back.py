"""The time of day is set back, by which the engine lives: it is begun anew, and all goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chilly_movies import Status
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Phase
from chilly_movies.runtime import clocks
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MIB = 1 << 20
SOON = 8.0
"""Seconds, on a busy machine; with waits as after failures the third one takes more than 10."""
true_steady = clocks.steady


def film_in(folder: Path, name: str, size: int) -> Torrent:
    make_film(folder / name / f"{name}.mkv", size, seed=size)
    return make_torrent(
        folder / name / f"{name}.mkv", folder / f"{name}.torrent", piece_size=64 * 1024
    )


def set_back(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """The time of day falls behind the steady clock by so many days in all."""
    monkeypatch.setattr(clocks, "steady", lambda: true_steady() + days * 86_400)


async def seconds_until_more(downloader: Downloader, begun: Callable[[], bool]) -> float:
    """How long it takes until the engine is begun anew, and bytes arrive that it fetched."""
    began = time.monotonic()
    had = (await until(downloader, "a", lambda job: begun())).progress.bytes_downloaded
    await until(downloader, "a", lambda job: job.progress.bytes_downloaded > had)
    return time.monotonic() - began


async def test_downloads_and_seeding_go_on_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    async with LibtorrentPeer() as seeder, running(tmp_path, seed_ratio=100.0) as downloader:
        old, new = film_in(tmp_path, "old", MIB), film_in(tmp_path, "new", 6 * MIB)
        await seeder.seed(old.path, old.folder)
        key = await seeder.seed(new.path, new.folder, upload_limit=MIB)
        downloader.on("retrying", lambda job: told.append(str(job.error)))
        await downloader.start(id="old", source_urn=magnet_to(old, seeder.port))
        await until(downloader, "old", lambda job: job.progress.phase is Phase.SEEDING)
        await downloader.start(id="new", source_urn=magnet_to(new, seeder.port))
        half = await until(downloader, "new", lambda job: job.progress.bytes_downloaded > MIB)
        set_back(monkeypatch, 1)
        job = await until(downloader, "old", lambda job: job.reason is not None)
        assert job.reason == "The clock of this machine was set back, so the engine begins anew."
        sent = (await seeder.stats(key)).uploaded
        await seeder.set_upload_limit(0, key)
        job = await downloader.wait("new")
        assert job.status is Status.COMPLETED, job.error
        job = await until(downloader, "old", lambda job: job.progress.phase is Phase.SEEDING)
        assert (job.status, job.seeding) == (Status.COMPLETED, True)
        assert (
            await seeder.stats(key)
        ).uploaded <= new.size + sent - half.progress.bytes_downloaded
    assert len(told) == 1
    assert sha256_of(tmp_path / "media" / "new.mkv") == sha256_of(new.content)


async def test_new_bytes_come_soon_after_each_of_three_times_the_clock_is_set_back_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    took: list[float] = []
    async with LibtorrentPeer() as seeder, running(tmp_path) as downloader:
        film = film_in(tmp_path, "film", 6 * MIB)
        key = await seeder.seed(film.path, film.folder, upload_limit=MIB // 4)
        downloader.on("retrying", lambda job: told.append(str(job.error)))
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port))
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        for days in (1, 2, 3):
            set_back(monkeypatch, days)
            took.append(await seconds_until_more(downloader, lambda: len(told) > len(took)))
        await seeder.set_upload_limit(0, key)
        job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert max(took) < SOON, took
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
