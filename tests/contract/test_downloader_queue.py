"""The queue, retries and restarts of the Downloader, over every store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, SourceType, Status
from chilly_movies.runtime import clocks
from chilly_movies.storage.memory import MemoryJobStore
from tests.contract.rig import SCRIPT, Rig, history, reach, reach_when
from tests.doubles import NOON, Clock, idle, until

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED, FAILED, CANCELED = Status.COMPLETED, Status.FAILED, Status.CANCELED
FLAKY = replace(SCRIPT, fail="driver_crashed", fail_at=50.0)
SEEDING = replace(SCRIPT, seed_seconds=3.0)


async def statuses(downloader: Downloader) -> dict[str, str]:
    return {job.id: str(job.status) for job in await downloader.list()}


async def reach_retry(downloader: Downloader, attempts: int) -> Job:
    return await reach_when(downloader, "a", lambda job: job.attempts == attempts)


# --- slots and order ------------------------------------------------------------------------


async def test_as_many_jobs_run_as_there_are_slots_and_the_first_come_first(rig: Rig) -> None:
    downloader = rig.make(max_active=2)
    rig.pace.hold()
    for job_id in "dacb":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    assert await statuses(downloader) == {
        "d": "active", "a": "active", "c": "queued", "b": "queued",
    }  # fmt: skip
    assert [job.id for job in await downloader.list()] == list("dacb")


async def test_who_waits_for_a_slot_says_so(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    await rig.add("a")
    await rig.add("b")
    waiting = await reach_when(downloader, "b", lambda job: job.reason)
    assert waiting.reason == "waiting for a free slot (1 of 1 active)"
    await downloader.pause("a")
    assert (await reach(downloader, "b", ACTIVE)).reason != waiting.reason


@pytest.mark.parametrize("verb", ["pause", "cancel", "remove"])
async def test_a_slot_that_is_given_up_goes_to_the_next_in_line(rig: Rig, verb: str) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    for job_id in "abc":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    await getattr(downloader, verb)("a")
    await reach(downloader, "b", ACTIVE)
    assert (await downloader.status("c")).status is QUEUED


async def test_with_one_slot_jobs_complete_one_after_the_other(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    for job_id in "abcde":
        await rig.add(job_id)
    await downloader.wait("e")
    started = [c.id for c in await downloader.changes_since(0) if c.event == "started"]
    assert started == list("abcde")


async def test_a_failed_job_leaves_its_slot(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    await rig.add("a", source_urn="mock:?fail=source_rejected&failAt=0")
    await rig.add("b")
    assert (await downloader.wait("b")).status is COMPLETED
    assert (await downloader.status("a")).status is FAILED


async def test_seeding_takes_no_slot(rig: Rig) -> None:
    downloader = rig.make(max_active=1, script=replace(SEEDING, seed_seconds=1e9))
    await rig.add("a")
    await rig.add("b")
    await downloader.wait("b")
    assert [job.seeding for job in await downloader.list()] == [True, True]


async def test_a_resumed_job_keeps_its_place_in_the_queue(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    for job_id in "abc":
        await rig.add(job_id)
    await downloader.pause("a")
    await downloader.resume("a")
    assert [job.id for job in await downloader.list()] == list("abc")


# --- retries --------------------------------------------------------------------------------


async def test_a_failed_attempt_shows_its_error_its_number_and_when_the_next_is_due(
    rig: Rig,
) -> None:
    downloader = rig.make(script=FLAKY)
    await rig.add("a")
    job = await reach_retry(downloader, 1)
    assert job.status is QUEUED
    assert job.error is not None
    assert job.error.code == "driver_crashed"
    assert job.next_attempt_at is not None
    assert timedelta(seconds=30) <= job.next_attempt_at - NOON <= timedelta(seconds=60)
    assert job.progress.download_speed == 0


async def test_a_retry_waits_until_it_is_due_and_goes_on_from_what_is_there(rig: Rig) -> None:
    downloader = rig.make(script=replace(FLAKY, fail_times=1))
    await rig.add("a")
    first = await reach_retry(downloader, 1)
    rig.clock.forward(29)
    await rig.add("b")
    await idle()
    assert (await downloader.status("a")).status is QUEUED
    rig.clock.forward(31)
    await rig.add("c")
    done = await downloader.wait("a")
    assert (done.status, done.attempts, done.error) == (COMPLETED, 0, None)
    assert done.next_attempt_at is None
    assert first.progress.bytes_downloaded == 500
    assert (await history(downloader, "a")).count("metadata") == 1


async def test_each_wait_is_longer_and_after_the_last_attempt_the_job_fails(rig: Rig) -> None:
    downloader = rig.make(script=FLAKY, attempts=3)
    await rig.add("a")
    waits = []
    for attempt in (1, 2):
        job = await reach_retry(downloader, attempt)
        assert job.next_attempt_at is not None
        waits.append((job.next_attempt_at - rig.clock.now).total_seconds())
        rig.clock.now = job.next_attempt_at
        await rig.add(f"wake-{attempt}", source_urn=f"mock:?seconds=0&name={attempt}")
    failed = await downloader.wait("a")
    assert 30 <= waits[0] <= 60 <= waits[1] <= 120
    assert (failed.status, failed.attempts, failed.next_attempt_at) == (FAILED, 3, None)
    assert failed.error is not None
    assert failed.error.code == "driver_crashed"
    assert failed.error.message.endswith("; given up after 3 tries, resume tries again.")
    events = await history(downloader, "a")
    assert [events.count(name) for name in ("started", "retrying", "error")] == [3, 2, 1]


async def test_an_error_that_would_not_change_is_not_tried_again(rig: Rig) -> None:
    downloader = rig.make(script=replace(FLAKY, fail="source_rejected"))
    await rig.add("a")
    failed = await downloader.wait("a")
    assert (failed.status, failed.attempts) == (FAILED, 1)
    assert "retrying" not in await history(downloader, "a")


async def test_a_failed_job_that_is_resumed_has_all_its_attempts_again(rig: Rig) -> None:
    downloader = rig.make(script=replace(FLAKY, fail_times=2), attempts=1)
    await rig.add("a")
    assert (await downloader.wait("a")).status is FAILED
    resumed = await downloader.resume("a")
    assert (resumed.attempts, resumed.error) == (0, None)
    assert (await downloader.wait("a")).status is FAILED
    await downloader.start({"id": "a"})
    assert (await downloader.wait("a")).status is COMPLETED


async def test_a_user_need_not_wait_for_a_retry(rig: Rig) -> None:
    downloader = rig.make(script=replace(FLAKY, fail_times=1))
    await rig.add("a")
    await reach_retry(downloader, 1)
    assert (await downloader.resume("a")).attempts == 0
    assert (await downloader.wait("a")).status is COMPLETED


@pytest.mark.parametrize("verb", ["pause", "cancel"])
async def test_a_job_that_waits_for_a_retry_can_be_stopped(rig: Rig, verb: str) -> None:
    downloader = rig.make(script=FLAKY)
    await rig.add("a")
    await reach_retry(downloader, 1)
    stopped = await getattr(downloader, verb)("a")
    assert stopped.next_attempt_at is None
    rig.clock.forward(1000)
    await downloader.wait((await rig.add("b", source_urn="mock:?seconds=0&failTimes=0")).id)
    assert (await downloader.status("a")).status is stopped.status


async def test_a_planned_retry_survives_a_restart(rig: Rig) -> None:
    downloader = rig.make(script=FLAKY, attempts=5)
    await rig.add("a")
    before = await reach_retry(downloader, 1)
    downloader = await rig.restart(script=SCRIPT)
    await idle()
    after = await downloader.status("a")
    assert (after.status, after.attempts, after.next_attempt_at, after.error) == (
        QUEUED, 1, before.next_attempt_at, before.error,
    )  # fmt: skip
    rig.clock.forward(61)
    await rig.add("b")
    assert (await downloader.wait("a")).status is COMPLETED


async def test_a_retry_due_while_nothing_ran_begins_at_the_next_start(rig: Rig) -> None:
    downloader = rig.make(script=FLAKY)
    await rig.add("a")
    await reach_retry(downloader, 1)
    rig.clock.forward(3600)
    downloader = await rig.restart()
    assert (await downloader.wait("a")).status is COMPLETED


# --- seeding --------------------------------------------------------------------------------


async def test_a_completed_job_seeds_to_its_goal_and_stays_completed(rig: Rig) -> None:
    downloader = rig.make(script=SEEDING)
    await rig.add("a")
    assert (await downloader.wait("a")).status is COMPLETED
    done = await reach_when(downloader, "a", lambda job: job.completed_at and not job.seeding)
    assert (done.status, done.progress.percent, done.progress.phase) == (COMPLETED, 100.0, None)
    assert done.path == "a.mkv"
    await rig.driver.aclose()
    assert (await history(downloader, "a"))[-2:] == ["completed", "progress"]


@pytest.mark.parametrize("verb", ["pause", "cancel"])
async def test_pause_and_cancel_stop_seeding_and_leave_the_film(rig: Rig, verb: str) -> None:
    downloader = rig.make(script=replace(SEEDING, seed_seconds=1e9))
    await rig.add("a")
    await downloader.wait("a")
    stopped = await getattr(downloader, verb)("a")
    assert (stopped.status, stopped.seeding) == (COMPLETED, False)
    assert stopped.reason == "seeding was stopped by the user"
    assert (rig.pace.sleepers, rig.driver.removed) == (0, [])
    downloader = await rig.restart()
    assert (await downloader.status("a")).seeding is False
    await idle()
    assert rig.pace.sleepers == 0


# --- restarts -------------------------------------------------------------------------------


async def make_one_of_each(rig: Rig) -> None:
    """Jobs in all states, in the order z to u."""
    for job_id, status in zip("zyxw", (COMPLETED, FAILED, PAUSED, CANCELED), strict=True):
        rig.pace.flow()
        await rig.bring(status, job_id)
    await rig.add("v")
    await reach(rig.downloader, "v", ACTIVE)
    await rig.add("u")
    await reach_when(rig.downloader, "u", lambda job: job.reason)


EACH = {
    "z": "completed", "y": "failed", "x": "paused", "w": "canceled", "v": "active", "u": "queued",
}  # fmt: skip


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_every_job_is_after_a_restart_what_it_was_before(rig: Rig, how: str) -> None:
    downloader = rig.make(max_active=1)
    await make_one_of_each(rig)
    before = list(await downloader.list())
    assert await statuses(downloader) == EACH
    downloader = await getattr(rig, how)(max_active=1)
    assert await statuses(downloader) == EACH
    assert list(await statuses(downloader)) == list(EACH)
    after = await downloader.list()
    same = ("key", "source", "options", "name", "files", "path", "error", "identities")
    for name in same:
        assert [getattr(job, name) for job in after] == [getattr(job, name) for job in before]


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_only_active_and_queued_jobs_go_on_by_themselves(rig: Rig, how: str) -> None:
    downloader = rig.make(max_active=1)
    await make_one_of_each(rig)
    downloader = await getattr(rig, how)(max_active=1)
    rig.pace.flow()
    await downloader.wait("u")
    assert await statuses(downloader) == {**EACH, "v": "completed", "u": "completed"}


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_an_active_job_goes_on_from_what_was_there(rig: Rig, how: str) -> None:
    rig.make()
    await rig.bring_half()
    downloader = await getattr(rig, how)()
    job = await reach_when(downloader, "a", lambda job: job.progress.download_speed)
    assert job.progress.bytes_downloaded == 500
    assert (await history(downloader, "a")).count("started") == 1


async def test_seeding_goes_on_after_a_restart(rig: Rig) -> None:
    downloader = rig.make(script=replace(SEEDING, seed_seconds=1e9))
    await rig.add("a")
    await downloader.wait("a")
    rig.pace.hold()
    downloader = await rig.restart(script=SEEDING)
    await until(lambda: rig.pace.sleepers)
    rig.pace.flow()
    done = await reach_when(downloader, "a", lambda job: not job.seeding)
    assert done.status is COMPLETED


async def test_new_jobs_after_a_restart_come_behind_the_old_ones(rig: Rig) -> None:
    rig.make(max_active=0)
    for job_id in "zy":
        await rig.add(job_id)
    downloader = await rig.restart(max_active=0)
    await rig.add("a")
    assert [job.id for job in await downloader.list()] == ["z", "y", "a"]


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_numbers_never_go_back_over_restarts(rig: Rig, how: str) -> None:
    downloader = rig.make(max_active=0)
    seen = []
    for number in range(4):
        async with downloader.listen(f"job-{number}") as changes:
            await rig.add(f"job-{number}")
            seen.append((await anext(changes)).seq)
        downloader = await getattr(rig, how)(max_active=0)
    assert seen == sorted(set(seen))
    assert [change.seq for change in await downloader.changes_since(0)] == seen


async def test_figures_are_stored_when_the_downloader_closes(rig: Rig) -> None:
    rig.make()
    await rig.bring_half()
    downloader = await rig.restart(max_active=0, drivers={SourceType.HTTP: rig.driver})
    assert (await downloader.status("a")).progress.bytes_downloaded == 500


# --- clocks -----------------------------------------------------------------------------------


async def test_waits_are_measured_by_what_only_grows_or_by_the_one_clock_that_is_given() -> None:
    def steady_of(**given: Any) -> Callable[[], float]:
        return Downloader({}, MemoryJobStore(), **given)._scheduler._waits._steady

    clock = Clock()
    assert steady_of() is clocks.steady
    assert steady_of(clock=clock, steady=lambda: 7.0)() == 7.0
    measured = steady_of(clock=clock)
    clock.forward(5)
    assert measured() == NOON.timestamp() + 5
