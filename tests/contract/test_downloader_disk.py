"""Jobs wait for room and for the media folder, and go on by themselves; over every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

import pytest

from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.ports import Room
from tests.contract.rig import SCRIPT, Rig, history, reach, reach_when
from tests.doubles import FakeVolume, until

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, COMPLETED = Status.QUEUED, Status.ACTIVE, Status.COMPLETED
FAILED = Status.FAILED


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chilly_movies.jobs.disk_watch._INTERVAL", 0.01)
    monkeypatch.setattr("chilly_movies.jobs.scheduler._DISK_PAUSE", 0.01)
    monkeypatch.setattr("chilly_movies.jobs.runner._LOOK_AGAIN", 0.01)


async def test_a_job_that_does_not_fit_waits_says_why_and_goes_on_when_it_does(rig: Rig) -> None:
    volume = FakeVolume(999)
    downloader = rig.make(guard=DiskGuard(volume))
    rig.pace.hold(after=1)
    await rig.add()
    waiting = await reach_when(downloader, "a", lambda job: (job.reason or "").startswith("disk"))
    assert waiting.status is QUEUED
    assert waiting.reason == "disk full: 999 B free, 1 kB needed"
    assert waiting.attempts == 0
    volume.room = Room(1000)
    rig.pace.flow()
    rig.clock.forward(5)
    done = await downloader.wait("a")
    assert (done.status, done.error, done.reason) == (COMPLETED, None, None)


async def test_others_that_fit_go_on(rig: Rig) -> None:
    downloader = rig.make(guard=DiskGuard(FakeVolume(999)))
    await rig.add("a")
    await reach_when(downloader, "a", lambda job: (job.reason or "").startswith("disk"))
    await rig.add("b", source_urn="mock:?size=900&seconds=1")
    assert (await downloader.wait("b")).status is COMPLETED
    assert (await downloader.status("a")).status is QUEUED


async def test_a_disk_that_fills_while_a_job_runs_stops_it_without_an_attempt(rig: Rig) -> None:
    volume = FakeVolume(10_000)
    downloader = rig.make(guard=DiskGuard(volume))
    half = await rig.bring_half()
    volume.room = Room(400)
    waiting = await reach(downloader, "a", QUEUED)
    assert waiting.error is not None
    assert (waiting.error.code, waiting.attempts) == ("disk_full", 0)
    assert waiting.reason == waiting.error.message == "disk full: 400 B free, 500 B needed"
    assert waiting.progress.bytes_downloaded == half.progress.bytes_downloaded
    await until(lambda: rig.pace.sleepers == 0)
    volume.room = Room(500)
    rig.pace.flow()
    rig.clock.forward(5)
    assert (await downloader.wait("a")).status is COMPLETED


async def test_a_waiting_job_can_be_paused_and_canceled(rig: Rig) -> None:
    downloader = rig.make(guard=DiskGuard(FakeVolume(0)))
    await rig.add("a", source_urn="mock:?size=5")
    await reach_when(downloader, "a", lambda job: job.reason or job.status is ACTIVE)
    assert (await downloader.pause("a")).status is Status.PAUSED
    assert (await downloader.resume("a")).status is QUEUED
    assert (await downloader.cancel("a")).status is Status.CANCELED


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_an_active_job_is_not_begun_again_on_a_disk_that_is_gone(rig: Rig, how: str) -> None:
    rig.make()
    await rig.bring_half()
    volume = FakeVolume(0)
    volume.room = Room(0, "The media folder is gone.")
    downloader = await getattr(rig, how)(guard=DiskGuard(volume))
    job = await downloader.status("a")
    assert (job.status, job.reason) == (QUEUED, "The media folder is gone.")
    assert rig.pace.sleepers == 0 or how == "crash"
    volume.room = Room(10**6)
    rig.pace.flow()
    rig.clock.forward(5)
    assert (await downloader.wait("a")).status is COMPLETED


async def test_trouble_with_the_disk_never_uses_up_attempts(rig: Rig) -> None:
    script = replace(SCRIPT, fail="disk_error", fail_times=4)
    downloader = rig.make(script=script, attempts=2)
    await rig.add()
    for number in range(1, 5):
        job = await reach_when(
            downloader, "a", lambda job: job.status is QUEUED and job.next_attempt_at
        )
        assert (job.attempts, job.reason) == (0, "This mock download was scripted to fail here.")
        rig.clock.now = job.next_attempt_at or rig.clock.now
        await rig.add(f"wake-{number}", source_urn=f"mock:?seconds=0&failTimes=0&name={number}")
        if number < 4:
            await reach_when(
                downloader, "a",
                lambda job: job.next_attempt_at and job.next_attempt_at > rig.clock.now,
            )  # fmt: skip
    done = await downloader.wait("a")
    assert (done.status, done.attempts, done.error) == (COMPLETED, 0, None)


@pytest.mark.parametrize(
    ("code", "waits"),
    [("disk_error", [2, 4, 8, 16, 32, 60, 60]), ("disk_full", [2, 2, 2])],
)
async def test_the_wait_after_trouble_with_the_disk_doubles_to_a_minute_unless_it_is_only_full(
    rig: Rig, code: str, waits: list[float]
) -> None:
    downloader = rig.make(script=replace(SCRIPT, fail=code))
    await rig.add()
    seen = []
    for _ in waits:
        job = await reach_when(downloader, "a", partial(waits_after, rig.clock.now))
        assert job.next_attempt_at is not None
        seen.append((job.next_attempt_at - rig.clock.now).total_seconds())
        rig.clock.now = job.next_attempt_at
        downloader._wake.set()
    assert seen == waits


def waits_after(now: datetime, job: Job) -> bool:
    return job.next_attempt_at is not None and job.next_attempt_at > now


def tried(times: int, job: Job) -> bool:
    return job.attempts == times


async def test_network_trouble_is_tried_again_without_end(rig: Rig) -> None:
    script = replace(SCRIPT, fail="source_unavailable", fail_times=5)
    downloader = rig.make(script=script, attempts=2)
    await rig.add()
    for number in range(1, 6):
        job = await reach_when(downloader, "a", partial(tried, number))
        rig.clock.now = job.next_attempt_at or rig.clock.now
        await rig.add(f"wake-{number}", source_urn=f"mock:?seconds=0&failTimes=0&name={number}")
    assert (await downloader.wait("a")).status is COMPLETED


@pytest.mark.parametrize("code", ["source_not_found", "driver_crashed"])
async def test_trouble_with_the_source_is_tried_so_many_times_only(rig: Rig, code: str) -> None:
    downloader = rig.make(script=replace(SCRIPT, fail=code), attempts=2)
    await rig.add()
    job = await reach_when(downloader, "a", lambda job: job.attempts == 1)
    rig.clock.now = job.next_attempt_at or rig.clock.now
    await rig.add("wake", source_urn="mock:?seconds=0&failTimes=0")
    failed = await downloader.wait("a")
    assert failed.error is not None
    assert (failed.status, failed.attempts, failed.error.code) == (FAILED, 2, code)


async def test_seeding_outlasts_a_media_folder_that_is_away_for_a_while(rig: Rig) -> None:
    volume = FakeVolume(10**6)
    downloader = rig.make(script=replace(SCRIPT, seed_seconds=9.0), guard=DiskGuard(volume))
    rig.pace.hold(after=5)  # up to its first second of seeding
    await rig.add()
    await downloader.wait("a")
    volume.room = Room(0, "The media folder is gone.")
    rig.driver.break_disk = True
    rig.pace.flow()
    away = await reach_when(downloader, "a", lambda job: job.reason)
    assert (away.status, away.seeding, away.reason) == (COMPLETED, True, volume.room.problem)
    rig.driver.break_disk = False
    rig.pace.hold(after=1)
    volume.room = Room(10**6)
    back = await reach_when(downloader, "a", lambda job: job.reason is None)
    assert (back.status, back.seeding) == (COMPLETED, True)
    assert (await history(downloader, "a"))[-1] == "completed"
