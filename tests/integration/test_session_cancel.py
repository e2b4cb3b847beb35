"""A torrent whose adding is cancelled does not stay in the session with nobody to end it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from chilly_movies.drivers.torrent import TorrentDriver
from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.params import AddRequest
from chilly_movies.drivers.torrent.reading import Library
from chilly_movies.drivers.torrent.session import TorrentSession
from chilly_movies.models import Options, Source, SourceType, Status
from chilly_movies.storage.memory import MemoryResumeStore
from tests.doubles import make_job
from tests.integration.engine import QUIET

pytestmark = pytest.mark.anyio


async def test_adding_can_be_cancelled_at_any_moment_and_done_again(tmp_path: Path) -> None:
    session = TorrentSession(EngineConfig(tmp_path, **QUIET))
    await session.open()
    source = Source(SourceType.TORRENT, f"magnet:?xt=urn:btih:{1:040x}")
    request = AddRequest(
        source=source, save_path=tmp_path, part_path=tmp_path, options=Options(),
        allow_private=True,
    )  # fmt: skip
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
    detach = Library.detach

    async def slowly(library: Library, key: str) -> None:
        """As when a reader waits for pieces that are not written yet."""
        for _ in range(5):
            await asyncio.sleep(0)
        await detach(library, key)

    monkeypatch.setattr(Library, "detach", slowly)
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
