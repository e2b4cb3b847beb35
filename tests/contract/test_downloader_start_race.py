"""What becomes of jobs whose start meets the downloader's own: while it opens, while it closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.jobs.disk_watch import DiskWatch
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import (
    Job,
    MediaFile,
    Progress,
    Report,
    SourceFacts,
    SourceType,
    Status,
)
from tests.contract.rig import Rig, reach
from tests.doubles import GatedStore, idle

pytestmark = pytest.mark.anyio


async def test_a_start_that_is_being_stored_when_the_downloader_closes_is_told(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring(Status.PAUSED)
    async with downloader.listen() as heard:
        store.holding = True
        verb = asyncio.create_task(downloader.resume("a"))
        await idle()
        await store.held[0].release()
        await verb
        assert store.held[-1].change.event == "started"
        closing = asyncio.create_task(downloader.aclose())
        await idle()
        await store.held[-1].release()
        await closing
        told = [change.seq async for change in heard if change.durable]
    stored = [change.seq for change in await store.changes_since(0)]
    assert told == stored[-2:]
    assert rig.pace.sleepers == 0, "a job was begun while the downloader closed"


async def test_jobs_go_on_although_whoever_opened_the_downloader_left_meanwhile(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go, check = asyncio.Event(), asyncio.Event(), DiskWatch.check

    async def slowly(watch: DiskWatch) -> None:
        reached.set()
        await go.wait()
        await check(watch)

    rig.make()
    await rig.bring(Status.ACTIVE)
    await rig.downloader.aclose()
    monkeypatch.setattr(DiskWatch, "check", slowly)
    downloader = rig.make()
    rig.pace.flow()
    first = asyncio.create_task(downloader.open())
    await reached.wait()
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(downloader.status("a"))
    await idle()
    assert not second.done(), "it answered before it was open"
    go.set()
    await second
    await reach(downloader, "a", Status.COMPLETED)


async def test_two_jobs_that_learn_at_once_that_they_are_one_film_do_not_both_go_on() -> None:
    store, learned = GatedStore(), asyncio.Event()

    class Same(MockDriver):
        """Whatever the source is, it turns out to be one and the same film."""

        async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
            """Learn it once both run, then stand still."""
            await learned.wait()
            files = (MediaFile(0, "film.mkv", 1),)
            yield Report(Progress(), facts=SourceFacts(("btih:" + "1" * 40,), "film", files))
            await asyncio.Event().wait()

    downloader = Downloader(dict.fromkeys(SourceType, Same()), store)
    async with downloader:
        for name in "ab":
            await downloader.start(id=name, source_urn=f"https://films.example/{name}")
            await reach(downloader, name, Status.ACTIVE)
        store.holding = True
        learned.set()
        await idle()
        store.holding = False
        for held in list(store.held):
            await held.release()
        jobs = {job.status: job for job in await downloader.list()}
        assert jobs.keys() == {Status.ACTIVE, Status.FAILED}
        error = jobs[Status.FAILED].error
        assert error is not None
        assert error.code == "source_rejected"
