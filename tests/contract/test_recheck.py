"""Checking on request, with a driver that plays scripts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.errors import FilmDamaged, IllegalTransition
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.models import Job, Phase, Report, SourceType, Status
from chilly_movies.jobs.ports import Loaded, Room
from tests.contract.rig import SCRIPT, NotingDriver, Rig, reach, reach_when
from tests.doubles import FakeVolume, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig("memory", tmp_path)
    yield rig
    await rig.aclose()


@pytest.mark.parametrize("status", [Status.PAUSED, Status.FAILED, Status.COMPLETED])
async def test_a_job_that_does_not_run_is_checked_and_stays_what_it_is(
    rig: Rig, status: Status
) -> None:
    downloader = rig.make()
    before = await rig.bring(status)
    seen = []
    downloader.on("progress", lambda job: seen.append(job.progress.phase))
    assert (await downloader.recheck(before.id)).status is status
    await until(lambda: Phase.CHECKING in seen and not downloader._runner._tasks)
    after = await downloader.status(before.id)
    assert (after.status, after.progress.phase) == (status, None)


async def test_a_job_that_runs_goes_on_after_its_check(rig: Rig) -> None:
    downloader = rig.make()
    job = await rig.bring(Status.ACTIVE)
    assert (await downloader.recheck(job.id)).status is Status.ACTIVE
    rig.pace.flow()
    assert (await downloader.wait(job.id)).status is Status.COMPLETED


async def test_a_job_that_waits_is_checked_when_it_starts(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    await rig.add("first")
    await rig.add("second")
    assert (await downloader.recheck("second")).status is Status.QUEUED
    assert downloader._runner._to_check == {"second"}


async def test_a_canceled_job_has_nothing_to_be_checked(rig: Rig) -> None:
    downloader = rig.make()
    job = await rig.bring(Status.CANCELED)
    with pytest.raises(IllegalTransition, match="canceled"):
        await downloader.recheck(job.id)


# --- films that are gone --------------------------------------------------------------------


class Lost(NotingDriver):
    """A mock driver whose film is not there while it is lost; only a check that is wanted tells.

    Attributes:
        lost: whether the film is gone.
        checks: how often that was told.
    """

    lost = False
    checks = 0

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Play the script; a film that is downloaded anew is there."""
        if job.status is Status.ACTIVE:
            self.lost = False
        if check and self.lost:
            self.checks += 1
            raise FilmDamaged("The film is not there; resume fetches it again.", is_gone=True)
        async for report in super().run(job, check=check):
            yield report


async def lose(rig: Rig, guard: DiskGuard | None = None) -> Lost:
    """A seeding film that goes away."""
    driver = Lost(replace(SCRIPT, seed_seconds=9.0), tick=1.0, sleep=rig.pace.sleep)
    downloader = rig.make(drivers=dict.fromkeys(SourceType, driver), guard=guard)
    rig.pace.hold(after=10)
    await rig.add("a")
    await downloader.wait("a")
    driver.lost = True
    assert (await downloader.status("a")).seeding
    return driver


@pytest.mark.parametrize("verb", ["resume", "start"])
async def test_a_seeding_film_that_is_gone_fails_its_recheck_and_is_then_fetched_anew(
    rig: Rig, verb: str
) -> None:
    await lose(rig)
    downloader = rig.downloader
    await downloader.recheck("a")
    job = await reach(downloader, "a", Status.FAILED)
    assert job.error is not None
    assert (job.error.code, job.seeding) == ("damaged", False)
    await (downloader.resume("a") if verb == "resume" else downloader.start(id="a"))
    rig.pace.flow()
    assert (await downloader.wait("a")).status is Status.COMPLETED


async def test_a_film_whose_disk_is_not_mounted_is_not_told_to_be_gone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chilly_movies.jobs.runner._LOOK_AGAIN", 0.0)
    volume = FakeVolume(1 << 40)
    driver = await lose(rig, DiskGuard(volume))
    volume.room = Room(0, "The media folder cannot be used: its disk seems not to be mounted.")
    downloader = rig.downloader
    await downloader.recheck("a")
    job = await reach_when(downloader, "a", lambda job: job.reason == volume.room.problem)
    assert (job.status, job.seeding, driver.checks) == (Status.COMPLETED, True, 1)
    driver.lost = False
    volume.room = Room(1 << 40)
    rig.pace.flow()
    job = await reach_when(downloader, "a", lambda job: not job.seeding)
    assert (job.status, job.error) == (Status.COMPLETED, None)


async def test_a_film_that_nobody_asked_about_is_waited_for_after_a_power_cut(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chilly_movies.jobs.runner._LOOK_AGAIN", 0.0)
    driver = await lose(rig)
    downloader = rig.downloader
    job = await downloader.status("a")
    await downloader._runner.stop("a")
    downloader._upkeep.go_on(Loaded((job,), 0, unclean=True, rebooted=True))
    await until(lambda: driver.checks > 2)
    job = await downloader.status("a")
    assert (job.status, job.seeding) == (Status.COMPLETED, True)
    assert job.reason == "a file of the film is not there; seeding goes on when it is back"
    driver.lost = False
    rig.pace.flow()
    job = await reach_when(downloader, "a", lambda job: not job.seeding)
    assert (job.status, job.error) == (Status.COMPLETED, None)
