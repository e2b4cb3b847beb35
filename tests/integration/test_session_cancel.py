"""Who is cancelled while the engine opens or adds a torrent leaves nothing half done behind."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from chilly_movies.drivers.torrent.driver import TorrentDriver
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.params import AddRequest
from chilly_movies.drivers.torrent.engine.session import TorrentSession
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.engine.traffic import Traffic
from chilly_movies.drivers.torrent.reading.readers import Readers
from chilly_movies.jobs.models import Source, SourceType, Status
from chilly_movies.jobs.options import Options
from chilly_movies.storage.memory import MemoryResumeStore
from tests.doubles import make_job
from tests.integration.engine import QUIET

pytestmark = pytest.mark.anyio


def a_magnet(folder: Path) -> AddRequest:
    source = Source(SourceType.TORRENT, f"magnet:?xt=urn:btih:{1:040x}")
    return AddRequest(
        source=source, save_path=folder, part_path=folder, options=Options(), allow_private=True
    )


@pytest.mark.parametrize("step", ["prepare", "opened"])
async def test_an_engine_whose_first_caller_left_while_it_opened_still_hears_of_torrents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    reached, go, real = asyncio.Event(), asyncio.Event(), getattr(Traffic, step)

    async def slowly(traffic: Traffic, *words: object) -> None:
        reached.set()
        await go.wait()
        await real(traffic, *words)

    monkeypatch.setattr(Traffic, step, slowly)
    session = TorrentSession(EngineConfig(tmp_path, **QUIET))
    first = asyncio.create_task(session.add(a_magnet(tmp_path)))
    await reached.wait()
    first.cancel()
    await asyncio.wait([first])
    adding = asyncio.create_task(session.add(a_magnet(tmp_path)))
    go.set()
    torrent = await adding
    async with asyncio.timeout(10):
        await session.refresh(torrent)
    await torrent.remove()
    await session.aclose()


async def test_an_engine_that_is_closed_while_it_opens_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended, closed = asyncio.Event(), [], Traffic.closed

    async def prepare(_traffic: Traffic) -> None:
        begun.set()

    async def hear(traffic: Traffic) -> None:
        ended.append(traffic)
        await closed(traffic)

    monkeypatch.setattr(Traffic, "prepare", prepare)
    monkeypatch.setattr(Traffic, "closed", hear)
    session = TorrentSession(EngineConfig(tmp_path, **QUIET))
    opening = asyncio.create_task(session.open())
    await begun.wait()
    opening.cancel()
    await session.aclose()
    assert ended == [session.traffic]
    assert opening.cancelled()


async def test_a_torrent_that_leaves_while_it_is_looked_at_does_not_end_the_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    twice = asyncio.Event()

    def gone(_torrent: Torrent, _now: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            twice.set()
        raise RuntimeError("invalid torrent handle used")

    monkeypatch.setattr(Torrent, "revive", gone)
    session = TorrentSession(EngineConfig(tmp_path, **QUIET))
    torrent = await session.add(a_magnet(tmp_path))
    async with asyncio.timeout(10):
        await twice.wait()
    await torrent.remove()
    await session.aclose()


async def test_adding_can_be_cancelled_at_any_moment_and_done_again(tmp_path: Path) -> None:
    session = TorrentSession(EngineConfig(tmp_path, **QUIET))
    await session.open()
    request = a_magnet(tmp_path)
    cancelled = 0
    for steps in range(1, 40):
        adding = asyncio.create_task(session.add(request))
        for _ in range(steps):
            await asyncio.sleep(0)
        adding.cancel()
        await asyncio.wait([adding])
        if adding.cancelled():
            cancelled += 1
        else:
            await adding.result().remove()
        await (await session.add(request)).remove()
    assert cancelled
    await session.aclose()


async def test_a_run_that_is_stopped_while_it_ends_leaves_no_torrent_in_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detach = Readers.detach

    async def slowly(readers: Readers, key: str) -> None:
        """As when a reader waits for pieces that are not written yet."""
        for _ in range(5):
            await asyncio.sleep(0)
        await detach(readers, key)

    monkeypatch.setattr(Readers, "detach", slowly)
    driver = TorrentDriver(EngineConfig(tmp_path, **QUIET), MemoryResumeStore())
    source = Source(SourceType.TORRENT, f"magnet:?xt=urn:btih:{1:040x}")
    job = make_job(status=Status.ACTIVE, source=source)

    async def run(begun: asyncio.Event) -> None:
        async with aclosing(driver.run(job)) as reports:
            async for _ in reports:
                begun.set()

    for steps in range(40):
        begun = asyncio.Event()
        running = asyncio.create_task(run(begun))
        await asyncio.wait(
            [asyncio.ensure_future(begun.wait()), running], return_when=asyncio.FIRST_COMPLETED
        )
        assert not running.done(), running.exception()  # the torrent of before is gone
        running.cancel()
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
    await driver.aclose()
