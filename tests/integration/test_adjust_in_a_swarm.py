"""What is changed of a job while it runs reaches the swarm: limits, goals, files and order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.driver import TorrentDriver
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Phase, SourceType, Status
from tests.integration.engine import magnet_to, running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_films, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
MIB = 1 << 20
KIB = 1 << 10
FEW_REQUESTS = {"max_out_request_queue": 8, "whole_pieces_threshold": 0}
"""What was asked for before a change comes in any case: then it is not much."""
SLOW = 600_000
"""Bytes per second that any machine manages."""


@pytest.fixture
def film(tmp_path: Path) -> Torrent:
    make_film(tmp_path / "source" / "film.mkv", 12 * MIB)
    return make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")


def engine_of(downloader: Downloader) -> Any:
    driver = downloader._drivers[SourceType.TORRENT]
    assert isinstance(driver, TorrentDriver)
    return driver


async def rate_of(sent: Callable[[], Awaitable[tuple[float, int]]], seconds: float) -> float:
    """Bytes per second by a count of them and a clock that are read together."""
    began, before = await sent()
    await asyncio.sleep(seconds)
    now, after = await sent()
    return (after - before) / (now - began)


async def test_a_limit_set_while_it_downloads_is_measured_at_the_seeder_within_two_seconds(
    tmp_path: Path, film: Torrent
) -> None:
    small = 32 * KIB  # what the system takes in advance is not what a limit is about
    async with (
        LibtorrentPeer(settings={"send_socket_buffer_size": small}) as seeder,
        running(tmp_path, extra={"recv_socket_buffer_size": small}) as downloader,
    ):
        key = await seeder.seed(film.path, film.folder)
        source = magnet_to(film, seeder.port)
        await downloader.start(id="a", source_urn=source, download_limit=3 * SLOW // 2)
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > MIB)
        await downloader.adjust("a", download_limit=SLOW)
        await asyncio.sleep(2.0)  # the claim: it holds by then
        rates: list[float] = []
        while not rates or rates[-1] != pytest.approx(SLOW, rel=0.1):
            assert len(rates) < 6, rates  # of one window a busy machine may take a part away
            rates.append(await rate_of(lambda: seeder.sent(key), 3.0))
        await downloader.adjust("a", download_limit=None)
        assert (await downloader.wait("a")).status is Status.COMPLETED
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)


async def test_a_ratio_goal_lowered_under_the_present_ratio_ends_the_seeding_at_once(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    make_film(tmp_path / "source" / "film.mkv", MIB)
    film = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")
    await seeder.seed(film.path, film.folder)
    async with running(tmp_path, seed_ratio=100.0) as downloader, LibtorrentPeer() as leecher:
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port), seed_ratio=0)
        await downloader.adjust("a", seed_ratio=50)
        await until(downloader, "a", lambda job: job.progress.phase is Phase.SEEDING)
        await seeder.kill()
        port = engine_of(downloader)._session.port
        key = await leecher.leech(magnet_to(film, port), tmp_path / "leech")
        await until(downloader, "a", lambda job: job.progress.ratio >= 1)
        await downloader.adjust("a", seed_ratio=5, seed_time=3600)
        assert (await downloader.status("a")).seeding
        async with asyncio.timeout(10):
            await downloader.adjust("a", seed_ratio=0.5)
            job = await until(downloader, "a", lambda job: not job.seeding)
        assert (job.status, job.reason) == (Status.COMPLETED, "the seeding goal is reached")
        assert job.progress.ratio >= 1
        async with asyncio.timeout(10):
            while (await leecher.stats(key)).peers:  # noqa: ASYNC110 (no event tells)
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("verb", ["adjust", "choose_files"])
async def test_files_that_are_wanted_after_all_while_the_job_is_paused_are_fetched(
    tmp_path: Path, seeder: LibtorrentPeer, verb: str
) -> None:
    digests = make_films(tmp_path / "show", {"1.mkv": MIB, "2.mkv": MIB})
    show = make_torrent(tmp_path / "show", tmp_path / "show.torrent", piece_size=16 * KIB)
    key = await seeder.seed(show.path, show.folder, upload_limit=400_000)
    async with running(tmp_path) as downloader:
        await downloader.start(id="a", source_urn=magnet_to(show, seeder.port), files=[0])
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        await downloader.pause("a")
        if verb == "adjust":
            job = await downloader.adjust("a", files=None)
        else:
            job = await downloader.choose_files("a", {1: 4})
        assert [file.wanted for file in job.files] == [True, True]
        await seeder.set_upload_limit(0, key)
        await downloader.resume("a")
        job = await downloader.wait("a")
    assert [file.wanted for file in job.files] == [True, True]
    assert {n: sha256_of(tmp_path / "media" / "show" / n) for n in digests} == digests


async def arrived(downloader: Downloader) -> set[int]:
    """The pieces of the only torrent that are there."""
    [torrent] = engine_of(downloader)._running.values()
    there = await torrent.pieces.there()
    return {piece for piece, has in enumerate(there) if has}


@pytest.mark.parametrize("later", [False, True])
async def test_sequential_fetches_piece_after_piece_from_the_start_or_from_then_on(
    tmp_path: Path, seeder: LibtorrentPeer, later: bool
) -> None:
    make_film(tmp_path / "source" / "film.dat", 24 * MIB)
    film = make_torrent(
        tmp_path / "source" / "film.dat", tmp_path / "film.torrent", piece_size=64 * KIB
    )
    await seeder.seed(film.path, film.folder, upload_limit=2 * MIB)
    async with running(tmp_path, extra=FEW_REQUESTS) as downloader:
        order: dict[str, Any] = {} if later else {"order": "sequential"}
        await downloader.start(id="a", source_urn=magnet_to(film, seeder.port), **order)
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        if later:
            await downloader.adjust("a", order="sequential")
            await more_than(downloader, await arrived(downloader), 64)
        before = await arrived(downloader)  # what was asked for in the other order is there
        new = await more_than(downloader, before, 16)
        in_line = [piece for piece in range(384) if piece not in before]
        assert max(new) <= in_line[len(new) + 16]
        await downloader.adjust("a", order=None)
        [torrent] = engine_of(downloader)._running.values()
        assert not torrent._handle.flags() & lt.torrent_flags.sequential_download


async def more_than(downloader: Downloader, before: set[int], number: int) -> set[int]:
    """The pieces that came since, as soon as they are more than so many."""
    while len(new := await arrived(downloader) - before) <= number:  # noqa: ASYNC110 (the same)
        await asyncio.sleep(0.02)
    return new


@pytest.mark.parametrize("later", [False, True])
async def test_ends_first_fetches_beginning_and_end_of_every_file_before_the_rest(
    tmp_path: Path, seeder: LibtorrentPeer, later: bool
) -> None:
    make_films(tmp_path / "data", {"1.dat": 4 * MIB, "2.dat": 4 * MIB})
    data = make_torrent(tmp_path / "data", tmp_path / "data.torrent", piece_size=64 * KIB)
    await seeder.seed(data.path, data.folder, upload_limit=MIB)
    async with running(tmp_path, extra=FEW_REQUESTS) as downloader:
        order: dict[str, Any] = {} if later else {"order": "ends-first"}
        await downloader.start(id="a", source_urn=magnet_to(data, seeder.port), **order)
        await until(downloader, "a", lambda job: job.progress.bytes_downloaded > 0)
        if later:
            await downloader.adjust("a", order="ends-first")
        ends = {0, 63, 64, 127}
        async with asyncio.timeout(30):
            while not ends <= (there := await arrived(downloader)):  # noqa: ASYNC110 (the same)
                await asyncio.sleep(0.02)
        assert len(there) < 64


async def test_a_limit_that_no_engine_knows_is_none(
    tmp_path: Path, seeder: LibtorrentPeer, film: Torrent
) -> None:
    await seeder.seed(film.path, film.folder)
    most = 2**53 - 1
    async with running(tmp_path) as downloader:
        source = magnet_to(film, seeder.port)
        await downloader.start(id="a", source_urn=source, download_limit=most, upload_limit=5)
        await downloader.adjust("a", upload_limit=most)
        assert (await downloader.wait("a")).status is Status.COMPLETED
