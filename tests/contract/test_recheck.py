"""Checking on request, with a driver that plays scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies.errors import IllegalTransition
from chilly_movies.models import Phase, Status
from tests.contract.rig import Rig
from tests.doubles import until

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
