"""Events, listeners, waiting, closing, and drivers and stores that misbehave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.errors import EngineError, InvalidRequest, JobNotFound, StoreError
from chilly_movies.jobs.callbacks import JobFailure
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Phase, Progress, Report, SourceType, Status
from tests.contract.rig import SCRIPT, Rig, history, reach, reach_when
from tests.doubles import GatedStore, idle, until

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED, FAILED, CANCELED = Status.COMPLETED, Status.FAILED, Status.CANCELED


# --- waiting --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [COMPLETED, FAILED, CANCELED])
async def test_wait_returns_at_every_final_status_also_when_it_came_too_late(
    rig: Rig, status: Status
) -> None:
    downloader = rig.make()
    await rig.bring(status)
    assert (await downloader.wait("a")).status is status


async def test_wait_ends_when_the_job_is_given_up(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(ACTIVE)
    waiting = asyncio.create_task(downloader.wait("a"))
    await idle()
    await downloader.pause("a")
    await idle()
    assert not waiting.done()
    await downloader.cancel("a")
    assert (await waiting).status is CANCELED


async def test_wait_for_a_job_that_is_removed_ends(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    await rig.add("a")
    waiting = asyncio.create_task(downloader.wait("a"))
    await idle()
    await downloader.remove("a")
    [end] = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(end, JobNotFound) or (isinstance(end, Job) and end.status is CANCELED)


async def test_wait_ends_with_an_error_when_the_downloader_closes(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    await rig.add("a")
    waiting = asyncio.create_task(downloader.wait("a"))
    await idle()
    await downloader.aclose()
    with pytest.raises(EngineError, match="closed"):
        await waiting


# --- events ---------------------------------------------------------------------------------


async def collect(stream: AsyncIterator[Change], into: list[Change]) -> None:
    async for change in stream:
        into += [change]


async def test_events_tell_the_whole_life_of_a_job_in_order(rig: Rig) -> None:
    downloader = rig.make(script=replace(SCRIPT, seed_seconds=2.0))
    seen: list[Change] = []
    task = asyncio.create_task(collect(downloader.events(), seen))
    await idle()
    await rig.add("a")
    await downloader.wait("a")
    await until(lambda: seen and seen[-1].reason is None and not (seen[-1].job or _job()).seeding)
    await downloader.aclose()
    await task
    names = [change.event for change in seen]
    assert [n for n in names if n != "progress"] == ["queued", "started", "metadata", "completed"]
    stored = [change.seq for change in seen if change.durable]
    assert stored == sorted(set(stored))
    newest = [max(seq for seq in stored if seq <= change.seq) for change in seen]
    assert [change.seq for change in seen] == newest == sorted(newest)
    assert all(change.job is not None and change.id == "a" for change in seen)


def _job() -> Job:
    raise AssertionError("a live change has its job")


async def test_events_of_one_job_leave_out_the_others(rig: Rig) -> None:
    downloader = rig.make()
    seen: list[Change] = []
    task = asyncio.create_task(collect(downloader.events("b"), seen))
    await idle()
    for job_id in "ab":
        await rig.add(job_id)
    await downloader.wait("b")
    await downloader.aclose()
    await task
    assert {change.id for change in seen} == {"b"}


async def test_what_was_told_is_what_was_stored(rig: Rig) -> None:
    downloader = rig.make()
    async with downloader.listen() as changes:
        for job_id in "abc":
            await rig.add(job_id)
        await downloader.pause("b")
        await downloader.wait("c")
        stored = await downloader.changes_since(0)
        told: list[Change] = []
        while len(told) < len(stored):
            if (change := await anext(changes)).durable:
                told.append(change)
    assert [(c.seq, c.event, c.id, c.status) for c in told] == [
        (c.seq, c.event, c.id, c.status) for c in stored
    ]


async def test_a_snapshot_leaves_nothing_out_that_is_told_later(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    await rig.bring(ACTIVE)
    store.holding = True
    task = asyncio.create_task(downloader.pause("a"))
    await idle()
    async with downloader.listen() as changes:
        [snapshot] = await downloader.snapshot()
        await store.held[0].release()
        change = await anext(changes)
    await task
    assert (snapshot.event, snapshot.status, change.status) == ("snapshot", ACTIVE, PAUSED)
    assert change.seq > snapshot.seq


async def test_listeners_hear_by_name_with_the_job_and_may_be_async(rig: Rig) -> None:
    downloader = rig.make()
    heard: list[tuple[str, str]] = []

    async def slowly(job: Job) -> None:
        await asyncio.sleep(0)
        heard.append(("async", job.status))

    downloader.on("completed", lambda job: heard.append(("sync", job.status)))
    downloader.on("completed", slowly)
    downloader.on("queued", lambda job: heard.append(("queued", job.id)))
    await rig.add("a")
    await downloader.wait("a")
    await downloader.aclose()
    assert sorted(heard) == [("async", "completed"), ("queued", "a"), ("sync", "completed")]


async def test_an_error_listener_gets_the_error_and_the_job(rig: Rig) -> None:
    downloader = rig.make()
    heard: list[tuple[Any, Job]] = []
    downloader.on("error", lambda error, job: heard.append((error, job)))
    await rig.add("a", source_urn="mock:?fail=source_rejected&failAt=0")
    await downloader.wait("a")
    await downloader.aclose()
    [(error, job)] = heard
    assert isinstance(error, JobFailure)
    assert (error.job_code, job.status) == ("source_rejected", FAILED)
    assert job.error is not None
    assert str(error) == job.error.message


async def test_listeners_that_raise_hurt_neither_the_download_nor_each_other(rig: Rig) -> None:
    downloader = rig.make()
    heard: list[str] = []

    def broken(_job: Job) -> None:
        heard.append("sync")
        raise ZeroDivisionError

    async def canceled(_job: Job) -> None:
        heard.append("async")
        raise asyncio.CancelledError

    for name in ("queued", "started", "completed"):
        downloader.on(name, broken)
        downloader.on(name, canceled)
    downloader.on("completed", lambda _job: heard.append("fine"))
    await rig.add("a")
    assert (await downloader.wait("a")).status is COMPLETED
    await downloader.aclose()
    assert sorted(heard) == ["async"] * 3 + ["fine"] + ["sync"] * 3


async def test_a_listener_that_hangs_holds_up_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloader = rig.make()
    heard: list[str] = []

    async def hang(_job: Job) -> None:
        await asyncio.Event().wait()

    downloader.on("queued", hang)
    downloader.on("completed", lambda job: heard.append(job.id))
    await rig.add("a")
    await rig.add("b")
    await downloader.wait("b")
    real_wait: Any = asyncio.wait

    async def impatient(tasks: Any, **patience: float) -> Any:
        return await real_wait(tasks, **dict.fromkeys(patience, 0.05))

    monkeypatch.setattr("chilly_movies.jobs.callbacks.asyncio.wait", impatient)
    before = asyncio.all_tasks()
    await downloader.aclose()
    assert sorted(heard) == ["a", "b"]
    assert not [t for t in asyncio.all_tasks() & before if t.get_name().startswith("listener")]


async def test_off_ends_it_and_a_listener_may_take_itself_off(rig: Rig) -> None:
    downloader = rig.make()
    heard: list[str] = []

    async def once(job: Job) -> None:
        downloader.off("queued", once)
        await asyncio.sleep(0)
        heard.append(job.id)

    def never(job: Job) -> None:
        heard.append(f"never {job.id}")

    downloader.on("queued", once)
    downloader.on("queued", once)
    downloader.on("queued", never)
    downloader.off("queued", never)
    downloader.off("queued", never)
    for job_id in "abc":
        await rig.add(job_id)
    await downloader.wait("c")
    await downloader.aclose()
    assert heard == ["a"]


async def test_an_event_nobody_knows_cannot_be_listened_to(rig: Rig) -> None:
    with pytest.raises(InvalidRequest, match="no event 'done'"):
        rig.make().on("done", print)


# --- closing --------------------------------------------------------------------------------


async def test_closing_leaves_no_task_and_no_thread_behind(rig: Rig) -> None:
    before, threads = asyncio.all_tasks(), threading.active_count()
    downloader = rig.make(max_active=2)
    downloader.on("progress", lambda _job: None)
    rig.pace.hold()
    for job_id in "abc":
        await rig.add(job_id)
    await until(lambda: rig.pace.sleepers == 2)
    await downloader.aclose()
    assert asyncio.all_tasks() == before
    assert threading.active_count() == threads
    assert (rig.pace.sleepers, rig.driver.closed) == (0, 1)


async def test_closing_again_or_by_two_at_once_is_fine(rig: Rig) -> None:
    downloader = rig.make()
    await rig.bring(ACTIVE)
    await asyncio.gather(downloader.aclose(), downloader.aclose())
    await downloader.aclose()
    assert rig.pace.sleepers == 0


async def test_closing_what_was_never_opened_is_fine(rig: Rig) -> None:
    before = asyncio.all_tasks()
    await rig.make().aclose()
    assert asyncio.all_tasks() == before


async def test_nothing_works_after_closing(rig: Rig) -> None:
    downloader = rig.make()
    await rig.add("a")
    await downloader.aclose()
    for verb in (downloader.pause, downloader.status, downloader.wait, downloader.remove):
        with pytest.raises(EngineError):
            await verb("a")
    with pytest.raises(EngineError):
        await rig.add("b")


async def test_a_downloader_that_is_closed_while_it_opens_stays_closed(rig: Rig) -> None:
    before = asyncio.all_tasks()
    downloader = rig.make()
    opening = asyncio.create_task(downloader.open())
    await asyncio.sleep(0)
    await downloader.aclose()
    with suppress(EngineError):
        await opening
    assert asyncio.all_tasks() == before
    with pytest.raises(EngineError):
        await downloader.list()


async def test_the_context_manager_opens_and_closes(rig: Rig) -> None:
    async with rig.make() as downloader:
        await rig.add("a")
    assert rig.driver.closed == 1
    with pytest.raises(EngineError):
        await downloader.list()


async def test_closing_with_a_broken_store_still_frees_everything(rig: Rig) -> None:
    before, store = asyncio.all_tasks(), GatedStore()
    downloader = rig.make(store=store)
    await rig.bring(ACTIVE)
    store.failing = 1000
    await downloader.aclose()
    assert asyncio.all_tasks() == before
    assert rig.driver.closed == 1


async def test_a_downloader_that_could_not_open_can_try_again(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store)
    store.failing = 1
    with pytest.raises(StoreError):
        await downloader.open()
    assert (await rig.add("a")).status is QUEUED


async def test_a_seeding_job_that_cannot_be_removed_is_still_what_its_row_says(rig: Rig) -> None:
    class Keeping(GatedStore):
        async def delete(self, job: Job, change: Change) -> int:
            raise StoreError("The disk is full.")

    seeds = replace(SCRIPT, seed_seconds=1e9)
    downloader = rig.make(store=Keeping(), script=seeds)
    await rig.add("a")
    await reach_when(downloader, "a", lambda job: job.seeding)
    with pytest.raises(StoreError):
        await downloader.remove("a")
    job = await downloader.status("a")
    assert (job.status, job.seeding, rig.pace.sleepers) == (COMPLETED, False, 0)


# --- drivers that misbehave -----------------------------------------------------------------


class Rogue(MockDriver):
    """A driver that does one thing wrong."""

    def __init__(self, sin: str) -> None:
        super().__init__()
        self.sin = sin
        self.stopped = 0

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Sin."""
        moving = Progress(percent=10.0, bytes_downloaded=1, phase=Phase.DOWNLOADING)
        yield Report(moving)
        if self.sin == "crash":
            raise ZeroDivisionError("secret /path")
        if self.sin == "end":
            return
        if self.sin == "seed and crash":
            yield Report(replace(moving, percent=100.0), path="film", complete=True)
            raise ZeroDivisionError
        complete = self.sin.startswith("complete")
        yield Report(moving, path="film" if complete else None, complete=complete)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.stopped += 1
            if self.sin.endswith("raise after stop"):
                raise StoreError("The resume data cannot be stored.") from None
            if self.sin.endswith("report after stop"):
                yield Report(moving, path="late", complete=True)


def rogue(rig: Rig, sin: str, **more: Any) -> Downloader:
    return rig.make(drivers=dict.fromkeys(SourceType, Rogue(sin)), **more)


async def test_a_driver_that_crashes_is_a_failed_attempt_that_tells_no_secrets(rig: Rig) -> None:
    downloader = rogue(rig, "crash", attempts=1)
    await rig.add("a")
    failed = await downloader.wait("a")
    assert failed.error is not None
    assert failed.error.code == "driver_crashed"
    assert "ZeroDivisionError" in failed.error.message
    assert "secret" not in failed.error.message


async def test_a_driver_that_crashes_is_tried_again(rig: Rig) -> None:
    downloader = rogue(rig, "crash", attempts=2)
    await rig.add("a")
    assert (await reach(downloader, "a", QUEUED, FAILED)).status is QUEUED
    async with downloader.listen("a") as changes:
        while (await downloader.status("a")).attempts == 0:
            await anext(changes)
    assert (await history(downloader, "a"))[-1] == "retrying"


async def test_a_driver_that_ends_without_completing_has_completed(rig: Rig) -> None:
    downloader = rogue(rig, "end")
    await rig.add("a")
    assert (await downloader.wait("a")).status is COMPLETED


async def test_a_crash_while_seeding_only_ends_the_seeding(rig: Rig) -> None:
    downloader = rogue(rig, "seed and crash")
    await rig.add("a")
    await downloader.wait("a")
    async with downloader.listen("a") as changes:
        while (job := await downloader.status("a")).seeding:
            await anext(changes)
    assert (job.status, job.error) == (COMPLETED, None)
    assert job.reason is not None


STOPS = ["return after stop", "raise after stop", "report after stop"]


@pytest.mark.parametrize("sin", STOPS)
@pytest.mark.parametrize(("verb", "status"), [("pause", PAUSED), ("cancel", CANCELED)])
async def test_what_a_driver_does_after_it_was_stopped_changes_nothing(
    rig: Rig, sin: str, verb: str, status: Status
) -> None:
    downloader = rogue(rig, sin)
    await rig.add("a")
    await reach(downloader, "a", ACTIVE)
    async with asyncio.timeout(10):
        stopped = await getattr(downloader, verb)("a")
    assert (stopped.status, stopped.path, stopped.error) == (status, None, None)


@pytest.mark.parametrize("sin", STOPS)
@pytest.mark.parametrize("verb", ["pause", "remove"])
async def test_a_seeding_driver_that_resists_its_end_blocks_nobody(
    rig: Rig, sin: str, verb: str
) -> None:
    downloader = rogue(rig, f"complete and {sin}")
    await rig.add("a")
    await downloader.wait("a")
    async with asyncio.timeout(10):
        await getattr(downloader, verb)("a")


@pytest.mark.parametrize("sin", STOPS)
async def test_an_active_job_is_still_active_after_a_shutdown_its_driver_resisted(
    rig: Rig, sin: str
) -> None:
    downloader = rogue(rig, sin)
    await rig.add("a")
    async with downloader.listen("a") as changes:
        while (await downloader.status("a")).progress.percent == 0:
            await anext(changes)
    await downloader.aclose()
    rig.pace.hold()
    downloader = rig.make()
    job = await downloader.status("a")
    assert (job.status, job.attempts, job.path) == (ACTIVE, 0, None)


# --- stores that fail -----------------------------------------------------------------------


async def test_an_outcome_that_cannot_be_stored_is_stored_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chilly_movies.jobs.runner._STORE_PAUSE", 0.001)
    store = GatedStore()
    downloader = rig.make(store=store, attempts=5)
    await rig.bring(ACTIVE)
    store.failing = 5
    rig.pace.flow()
    await until(lambda: not store.failing)
    job = await downloader.wait("a")
    assert (job.status, job.attempts, job.error) == (COMPLETED, 0, None)
    assert (await history(downloader, "a"))[-3:] == ["metadata", "progress", "completed"]
