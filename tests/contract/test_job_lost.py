"""A server that lost a job: it was frozen, and another took the job over meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, update

from chilly_movies.errors import JobLost
from chilly_movies.jobs import events as e
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, Progress, Status
from chilly_movies.storage import jobs as storage
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.tables import jobs as table
from tests.contract.rig import Rig, reach
from tests.doubles import until

pytestmark = pytest.mark.anyio
UNFENCED = update(table).where(table.c.id == bindparam("which"))


@pytest.fixture
async def frozen(tmp_path: Path) -> AsyncIterator[Rig]:
    """A server over a file, with an active job that stands still."""
    rig = Rig("sqlite", tmp_path)
    rig.make()
    await rig.bring(Status.ACTIVE)
    yield rig
    await rig.aclose()


def take_over(rig: Rig) -> None:
    """What another server does to a job whose owner is silent."""
    with closing(sqlite3.connect(rig.path)) as other, other:
        other.execute("UPDATE jobs SET owner = 'other', epoch = epoch + 1 WHERE id = 'a'")


async def stored(rig: Rig) -> tuple[Job, list[str]]:
    """The job and its history as a third server reads them."""
    store, _ = open_stores(rig.path)
    [job] = (await store.load()).jobs
    history = [change.event for change in await store.changes_since(0)]
    await store.aclose()
    return job, history


async def wake(rig: Rig) -> None:
    """Let the frozen server go on until its run ends or the film is there."""
    rig.pace.flow()
    await until(lambda: not rig.downloader._runner.has("a"))
    await rig.downloader._ledger.wait_idle()
    await rig.downloader._ledger.save_progress()


async def test_a_frozen_owner_writes_nothing_after_its_job_was_taken(frozen: Rig) -> None:
    take_over(frozen)
    before = await stored(frozen)
    await wake(frozen)
    assert await stored(frozen) == before
    assert (before[0].owner, before[0].epoch, before[0].status) == ("other", 1, Status.ACTIVE)
    with pytest.raises(JobLost):
        await frozen.downloader.pause("a")
    assert await stored(frozen) == before


async def test_without_the_fence_a_frozen_owner_goes_on_writing(
    frozen: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_CHANGE_JOB", UNFENCED)
    take_over(frozen)
    before = await stored(frozen)
    await wake(frozen)
    job, history = await stored(frozen)
    assert (job.owner, job.epoch, job.status) == (None, 0, Status.COMPLETED)
    assert history[: len(before[1])] == before[1]
    assert history[-1] == "completed"


async def test_a_run_that_only_tells_figures_ends_too(frozen: Rig) -> None:
    ledger = frozen.downloader._ledger
    take_over(frozen)
    before = await stored(frozen)
    ledger.note("a", e.Progressed(Progress(percent=50.0)))
    await ledger.save_progress()
    assert ledger.running() == []
    with pytest.raises(JobLost):
        ledger.note("a", e.Progressed(Progress(percent=51.0)))
    await wake(frozen)
    assert await stored(frozen) == before


async def test_a_lost_job_does_not_hold_up_the_queue_of_the_others(tmp_path: Path) -> None:
    rig = Rig("sqlite", tmp_path)
    downloader = rig.make(max_active=1)
    await rig.bring(Status.ACTIVE, "first")
    for job_id in "ab":
        await rig.add(job_id)
    take_over(rig)
    rig.pace.flow()
    await reach(downloader, "b", Status.COMPLETED)
    assert (await stored_of(rig))["a"].status is Status.QUEUED
    await rig.aclose()


async def stored_of(rig: Rig) -> dict[str, Job]:
    store, _ = open_stores(rig.path)
    loaded = await store.load()
    await store.aclose()
    return {job.id: job for job in loaded.jobs}


class Half:
    """A cluster in which another server runs `b` until a verb takes it."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def owns(self, job: Job) -> bool:
        return job.id != "b" or "b" in self.taken

    async def take(self, job: Job) -> Job:
        if not self.owns(job):
            if job.status is Status.ACTIVE:
                raise JobLost.of(job.id)
            self.taken.append(job.id)
        return job


async def test_a_server_runs_its_own_jobs_only_and_takes_one_to_change_it(rig: Rig) -> None:
    first = rig.make()
    await rig.bring(Status.ACTIVE, "a")
    await rig.bring(Status.ACTIVE, "b")
    await first.aclose()
    cluster = Half()
    again: Any = rig.make(cluster=cluster)
    async with again as downloader:
        assert isinstance(downloader, Downloader)
        assert [job.id for job in downloader._ledger.running()] == ["a"]
        assert not downloader._runner.has("b")
        with pytest.raises(JobLost):
            await downloader.pause("b")
        assert [job.id for job in await downloader.list()] == ["a", "b"]
