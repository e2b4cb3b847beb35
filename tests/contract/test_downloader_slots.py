"""Slots: of which pool a job takes one, forced and held jobs, and what room a driver needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from chilly_movies.errors import DuplicateDownload
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.models import Job, Pool, Report, SourceType, Status
from chilly_movies.jobs.ports import Driver
from tests.contract.rig import SCRIPT, NotingDriver, Rig, history, reach, reach_when
from tests.doubles import FakeVolume, idle

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED = Status.COMPLETED
GB = 10**9


class DiskDriver(NotingDriver):
    """Imports films from a disk, like a driver of local files."""

    pool = Pool.DISK


class Teller(NotingDriver):
    """Says with each report what it still has to write."""

    needs: int | None = None

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Play the script and tell."""
        async with aclosing(super().run(job, check=check)) as reports:
            async for report in reports:
                yield replace(report, needs=self.needs)


def waits(job: Job) -> bool:
    return (job.reason or "").startswith("waiting for a free slot")


# --- forced ---------------------------------------------------------------------------------


async def test_a_forced_job_starts_at_once_though_every_slot_is_taken(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    await rig.add("a")
    await reach(downloader, "a", ACTIVE)
    await rig.add("b")
    assert (await rig.add("c", forced=True)).options.forced
    await reach(downloader, "c", ACTIVE)
    assert (await reach_when(downloader, "b", waits)).reason == (
        "waiting for a free slot (1 of 1 active)"
    )


async def test_the_slot_of_a_forced_job_goes_to_another(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    await rig.add("a", forced=True)
    await reach(downloader, "a", ACTIVE)
    await rig.add("b")
    await reach(downloader, "b", ACTIVE)
    await rig.add("c")
    await reach_when(downloader, "c", waits)


async def test_a_queued_job_that_becomes_forced_starts_at_once(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    for job_id in "abc":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    await downloader.adjust("c", forced=True)
    await reach(downloader, "c", ACTIVE)
    await reach_when(downloader, "b", waits)


async def test_an_active_job_that_becomes_forced_gives_its_slot_up_and_then_counts_again(
    rig: Rig,
) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    for job_id in "abc":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    await downloader.adjust("a", forced=True)
    await reach(downloader, "b", ACTIVE)
    await downloader.adjust("a", forced=False)
    job = await reach_when(downloader, "c", lambda job: "2 of 1" in (job.reason or ""))
    assert job.status is QUEUED
    await downloader.cancel("b")
    await idle()
    assert (await downloader.status("c")).status is QUEUED, "the one that counts again has the slot"
    await downloader.cancel("a")
    await reach(downloader, "c", ACTIVE)


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_a_forced_job_is_forced_after_a_restart(rig: Rig, how: str) -> None:
    rig.make(max_active=0)
    rig.pace.hold()
    await rig.add("a")
    await rig.add("b", forced=True)
    downloader = await getattr(rig, how)(max_active=0)
    await reach(downloader, "b", ACTIVE)
    await reach_when(downloader, "a", waits)


async def test_a_forced_job_waits_for_room_on_the_disk_as_any_other(rig: Rig) -> None:
    downloader = rig.make(guard=DiskGuard(FakeVolume(0)))
    await rig.add("a", forced=True)
    job = await reach_when(downloader, "a", lambda job: job.reason)
    assert (job.status, job.reason) == (QUEUED, "disk full: 0 B free")


# --- pools ----------------------------------------------------------------------------------


def with_disk(rig: Rig, **more: Any) -> Downloader:
    """A downloader whose local films are imported from a disk."""
    driver = DiskDriver(SCRIPT, tick=1.0, sleep=rig.pace.sleep)
    network = NotingDriver(SCRIPT, tick=1.0, sleep=rig.pace.sleep)
    drivers: dict[str, Driver] = {SourceType.HTTP: network, SourceType.LOCAL: driver}
    return rig.make(drivers=drivers, **more)


async def test_an_import_does_not_wait_behind_downloads_nor_they_behind_it(rig: Rig) -> None:
    downloader = with_disk(rig, max_active=1, max_active_disk=1)
    rig.pace.hold()
    for job_id in "abcd":
        await rig.add(job_id, source_type="http" if job_id in "ab" else "local")
    await reach(downloader, "a", ACTIVE)
    await reach(downloader, "c", ACTIVE)
    for job_id in "bd":
        job = await reach_when(downloader, job_id, waits)
        assert (job.status, job.reason) == (QUEUED, "waiting for a free slot (1 of 1 active)")
    await downloader.cancel("c")
    await reach(downloader, "d", ACTIVE)
    assert (await downloader.status("b")).status is QUEUED


# --- room -----------------------------------------------------------------------------------


def room(rig: Rig, free: int, needs: int | None) -> dict[str, Any]:
    """A disk with so much room, and a driver of films of 50 GB that says it needs so much."""
    driver = Teller(replace(SCRIPT, size=50 * GB), tick=1.0, sleep=rig.pace.sleep)
    driver.needs = needs
    drivers: dict[str, Driver] = dict.fromkeys(SourceType, driver)
    return {"drivers": drivers, "guard": DiskGuard(FakeVolume(free))}


async def test_a_film_that_is_only_linked_needs_no_room(rig: Rig) -> None:
    downloader = rig.make(**room(rig, 10 * GB, needs=0))
    await rig.add("a")
    assert (await downloader.wait("a")).status is COMPLETED


async def test_what_a_driver_does_not_say_is_what_is_missing(rig: Rig) -> None:
    downloader = rig.make(**room(rig, 10 * GB, needs=None))
    await rig.add("a")
    job = await reach_when(downloader, "a", lambda job: job.status is QUEUED and job.files)
    assert job.reason == "disk full: 10 GB free, 50 GB needed"


async def test_a_film_of_two_parts_needs_room_for_the_parts_too(rig: Rig) -> None:
    downloader = rig.make(**room(rig, 80 * GB, needs=100 * GB))
    await rig.add("a")
    job = await reach_when(downloader, "a", lambda job: job.status is QUEUED and job.files)
    assert (job.status, job.reason) == (QUEUED, "disk full: 80 GB free, 100 GB needed")


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_what_a_job_needs_is_known_after_a_restart(rig: Rig, how: str) -> None:
    rig.make(**room(rig, 10 * GB, needs=0))
    rig.pace.hold(after=3)
    await rig.add("a")
    await reach_when(rig.downloader, "a", lambda job: job.progress.bytes_downloaded)
    await rig.downloader.pause("a")
    downloader = await getattr(rig, how)(**room(rig, 10 * GB, needs=0))
    rig.pace.flow()
    await downloader.resume("a")
    assert (await downloader.wait("a")).status is COMPLETED


async def test_a_completed_job_needs_nothing_more(rig: Rig) -> None:
    downloader = rig.make(**room(rig, 200 * GB, needs=100 * GB))
    await rig.add("a")
    assert (await downloader.wait("a")).progress.needs is None


# --- held -----------------------------------------------------------------------------------


@pytest.mark.parametrize("forced", [False, True])
async def test_a_held_job_is_paused_from_the_beginning_and_nothing_of_it_runs(
    rig: Rig, *, forced: bool
) -> None:
    downloader = rig.make()
    async with downloader.listen() as changes:
        job = await rig.add("a", held=True, forced=forced)
        first = await anext(changes)
    assert (job.status, job.reason) == (PAUSED, None)
    assert (first.event, first.status, first.id) == ("paused", PAUSED, "a")
    await idle()
    assert await history(downloader, "a") == ["paused"]
    assert rig.pace.sleepers == 0
    assert (await downloader.resume("a")).status is QUEUED
    assert (await downloader.wait("a")).status is COMPLETED


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_a_held_job_is_held_after_a_restart(rig: Rig, how: str) -> None:
    rig.make()
    await rig.add("a", held=True)
    downloader = await getattr(rig, how)()
    await idle()
    assert await history(downloader, "a") == ["paused"]


async def test_held_says_how_a_job_is_born_and_nothing_of_one_that_is_known(rig: Rig) -> None:
    downloader = rig.make()
    rig.pace.hold()
    await rig.add("a")
    await reach(downloader, "a", ACTIVE)
    assert (await rig.add("a", held=True)).status is ACTIVE
    await rig.add("b", held=True)
    assert (await downloader.start({"id": "b", "held": True})).status is PAUSED
    assert (await downloader.start({"id": "b"})).status is QUEUED


async def test_a_held_job_is_a_duplicate_of_the_same_film(rig: Rig) -> None:
    rig.make()
    await rig.add("a", source_urn="mock:?name=x", held=True)
    with pytest.raises(DuplicateDownload):
        await rig.add("b", source_urn="mock:?name=x")
