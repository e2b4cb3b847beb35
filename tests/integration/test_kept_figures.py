"""What a job moved agrees with what its peer says, and survives kills, restarts and lost data."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies import Job
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.figures import Figures
from tests.acceptance.backend import Backend
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

SIZE = 3_000_000
RATE = 750_000
BLOCK = 16 * 1024


def film(folder: Path) -> Torrent:
    """A film that lies where its seeder looks for it."""
    make_film(folder / "media" / "film.mkv", SIZE)
    return make_torrent(folder / "media" / "film.mkv", folder / "film.torrent", piece_size=BLOCK)


async def adopted(seeder: Downloader, torrent: Torrent) -> int:
    """The port at which it is seeded."""
    await seeder.adopt("film.mkv", torrent.path.read_bytes(), id="seed")
    await until(seeder, "seed", lambda job: job.progress.phase == "seeding")
    port = seeder.listening[0].tcp
    assert port is not None
    return port


def figures_of(job: Job) -> Figures:
    return job.figures


async def moved(downloader: Downloader, job_id: str, wanted: Any) -> Figures:
    """Its figures once they are as wanted; they come with reports, which need not be told."""
    async with asyncio.timeout(20):
        while not wanted(  # noqa: ASYNC110 (nobody is told)
            figures := figures_of(await downloader.status(job_id))
        ):
            await asyncio.sleep(0.05)
    return figures


async def test_two_engines_agree_on_what_went_from_one_to_the_other(tmp_path: Path) -> None:
    torrent = film(tmp_path / "one")
    async with running(tmp_path / "one", seed_ratio=9.0) as seeder:
        port = await adopted(seeder, torrent)
        async with running(tmp_path / "two") as leecher:
            urn = magnet_to(torrent, port)
            await leecher.start(id="a", source_urn=urn, download_limit=RATE)
            got = figures_of(await leecher.wait("a"))
            mine = await leecher.stats()
        gave = await moved(seeder, "seed", lambda figures: figures.uploaded > SIZE - 1.5 * RATE)
    assert got.downloaded - got.wasted == SIZE
    assert gave.uploaded <= 1.05 * SIZE  # the engine misses the last second of a peer that goes
    assert got.last_activity_at is not None
    assert gave.last_activity_at is not None
    assert gave.seconds_seeding >= 1
    assert (mine.session.downloaded, mine.all_time.downloaded) == (got.downloaded,) * 2


async def test_figures_and_totals_survive_a_kill_in_the_middle(tmp_path: Path) -> None:
    torrent = film(tmp_path / "one")
    async with running(tmp_path / "one", seed_ratio=9.0) as seeder:
        port = await adopted(seeder, torrent)
        async with Backend(tmp_path / "two", warm=True) as server:
            await server.start(magnet_to(torrent, port), id="a", downloadLimit=RATE)
            await server.until("a", lambda event: event["progress"]["percent"] > 20)
            before = (await server.job("a"))["figures"]
            await server.until("a", lambda event: event["progress"]["percent"] > 85)  # stored then
            await server.kill()
        async with Backend(tmp_path / "two", warm=True) as server:
            kept = (await server.job("a"))["figures"]
            stats = (await server.http.get("/stats")).json()
            assert kept["downloaded"] >= before["downloaded"] > SIZE / 8
            assert stats["session"]["downloaded"] <= kept["downloaded"]
            assert stats["allTime"]["downloaded"] >= before["downloaded"]
            done = (await server.wait("a"))["figures"]
            assert (await server.http.delete("/downloads/a?deleteFiles=true")).status_code == 204
            after = (await server.http.get("/stats")).json()
            assert after["allTime"]["downloaded"] >= stats["allTime"]["downloaded"], "it stays in"
            assert after["session"]["downloaded"] < after["allTime"]["downloaded"]
        gave = figures_of(await seeder.status("seed"))
    assert abs(gave.uploaded - done["downloaded"]) < 2.5 * RATE, "more than seconds were lost"


async def give_all(tmp_path: Path) -> Figures:
    """What a seeder in `one` moved once it gave all of its film; it has ended by then."""
    torrent = film(tmp_path / "one")
    async with running(tmp_path / "one", seed_ratio=9.0) as seeder:
        port = await adopted(seeder, torrent)
        async with LibtorrentPeer() as leecher:  # it stays: the engine counts once a second
            await leecher.leech(torrent.path, tmp_path / "two")
            await leecher.connect(port)
            await leecher.wait_done()
            return await moved(seeder, "seed", lambda figures: figures.uploaded >= SIZE)


async def test_a_job_whose_resume_data_is_lost_keeps_its_figures_and_its_ratio(
    tmp_path: Path,
) -> None:
    gave = await give_all(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "one/state/chilly.db")) as database:
        database.execute("DELETE FROM resume")
        database.commit()
    async with running(tmp_path / "one", seed_ratio=9.0) as seeder:
        job = await until(seeder, "seed", lambda job: job.progress.phase == "seeding")
        again = await moved(seeder, "seed", lambda f: f.seconds_seeding > gave.seconds_seeding)
    assert again.uploaded == gave.uploaded
    assert job.progress.ratio == pytest.approx(gave.uploaded / SIZE, abs=0.001)


async def test_a_job_of_a_version_without_figures_gets_those_of_its_resume_data(
    tmp_path: Path,
) -> None:
    await give_all(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "one/state/chilly.db")) as database:
        [[blob]] = database.execute("SELECT data FROM resume").fetchall()
        database.execute("UPDATE jobs SET figures = '{}'")
        database.commit()
    claim = decode(blob)
    assert claim is not None
    kept = lt.read_resume_data(claim.data).total_uploaded  # a slow end may have left less there
    async with running(tmp_path / "one", seed_ratio=9.0) as seeder:
        found = await moved(seeder, "seed", lambda f: f.seconds_seeding and f.uploaded >= kept)
        stats = await seeder.stats()
    assert found.uploaded == kept
    assert found.last_activity_at is None
    assert stats.session.uploaded == 0, "what older versions moved is not moved now"
