"""Putting jobs elsewhere in the queue, over every store."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from chilly_movies.errors import IllegalTransition, JobNotFound, StoreError
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Status
from tests.contract.rig import Rig, history, reach
from tests.doubles import GatedStore, idle

pytestmark = pytest.mark.anyio

QUEUED, ACTIVE, PAUSED = Status.QUEUED, Status.ACTIVE, Status.PAUSED
COMPLETED, FAILED, CANCELED = Status.COMPLETED, Status.FAILED, Status.CANCELED


async def shown(downloader: Downloader) -> str:
    """The ids of the jobs that have a position, in its order."""
    found = await downloader.positions()
    assert sorted(found.values()) == [*range(1, len(found) + 1)]
    line = sorted(found, key=lambda job_id: found[job_id])
    listed = [job.id for job in await downloader.list() if job.id in found]
    assert line == listed, "the list has another order"
    return "".join(line)


async def test_queued_jobs_start_in_the_order_they_were_put_into(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    for job_id in "abcde":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    await downloader.place("e", "top")
    await downloader.place("b", "bottom")
    await downloader.place("d", before="c")
    assert await shown(downloader) == "eadcb"
    assert (await downloader.status("a")).status is ACTIVE
    rig.pace.flow()
    await downloader.wait("b")
    started = [c.id for c in await downloader.changes_since(0) if c.event == "started"]
    assert "".join(started) == "aedcb"


@pytest.mark.parametrize("how", ["restart", "crash"])
async def test_the_order_after_a_restart_is_the_order_shown(rig: Rig, how: str) -> None:
    downloader = rig.make(max_active=0)
    for job_id in "abcde":
        await rig.add(job_id)
    for job_id, to in [("e", "up"), ("e", "up"), ("a", "down"), ("c", "top"), ("b", "bottom")]:
        await downloader.place(job_id, to)  # type: ignore[arg-type]
    order = await shown(downloader)
    downloader = await getattr(rig, how)(max_active=0)
    assert await shown(downloader) == order == "caedb"
    await rig.add("f")
    await downloader.place("f", before="e")
    assert await shown(downloader) == "cafedb"


async def test_a_position_counts_the_jobs_that_wait_or_run_and_no_others(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    for status, job_id in [(COMPLETED, "a"), (FAILED, "b"), (PAUSED, "c"), (CANCELED, "d")]:
        rig.pace.flow()
        await rig.bring(status, job_id)
    await rig.add("e")
    await reach(downloader, "e", ACTIVE)
    await rig.add("f")
    assert await downloader.positions() == {"c": 1, "e": 2, "f": 3}
    await downloader.place("f", "top")
    await downloader.resume("b")
    assert await shown(downloader) == "fbce", "a job that failed keeps its place"
    await downloader.cancel("c")
    assert await downloader.positions() == {"f": 1, "b": 2, "e": 3}


@pytest.mark.parametrize("status", [COMPLETED, FAILED, CANCELED])
async def test_what_has_no_position_is_neither_moved_nor_named(rig: Rig, status: Status) -> None:
    downloader = rig.make(max_active=1)
    await rig.bring(status, "a")
    await rig.add("b")
    with pytest.raises(IllegalTransition, match=f"'a' is {status}: it has no position"):
        await downloader.place("a", "top")
    with pytest.raises(IllegalTransition, match=f"'a' is {status}: it has no position"):
        await downloader.place("b", before="a")
    with pytest.raises(JobNotFound):
        await downloader.place("b", before="z")
    with pytest.raises(JobNotFound):
        await downloader.place("z", "top")


async def test_a_move_that_changes_nothing_is_not_told(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    for job_id in "ab":
        await rig.add(job_id)
    for job_id, where in [("a", {"to": "up"}), ("a", {"to": "top"}), ("b", {"to": "down"}),
                          ("a", {"before": "b"})]:  # fmt: skip
        await downloader.place(job_id, **where)  # type: ignore[arg-type]
    assert await history(downloader) == ["queued", "queued"]


async def test_a_move_that_is_not_stored_did_not_happen(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store, max_active=0)
    for job_id in "abc":
        await rig.add(job_id)
    store.failing = 1
    with pytest.raises(StoreError):
        await downloader.place("c", "top")
    assert await shown(downloader) == "abc"
    await downloader.place("c", "up")
    assert await shown(downloader) == "acb"


async def test_a_slot_that_gets_free_while_a_job_is_being_moved_goes_by_the_new_order(
    rig: Rig,
) -> None:
    store = GatedStore()
    downloader = rig.make(store=store, max_active=1)
    rig.pace.hold()
    for job_id in "abc":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    store.holding = True
    moving = asyncio.create_task(downloader.place("b", "bottom"))
    ending = asyncio.create_task(downloader.cancel("a"))
    await idle()
    placed, canceled = store.held
    store.holding = False
    await canceled.release()  # now the slot is free, and b is the first that waits
    await placed.release()
    await asyncio.gather(moving, ending)
    await reach(downloader, "c", ACTIVE)
    assert (await downloader.status("b")).status is QUEUED


async def test_no_job_is_put_before_one_that_is_just_being_removed(rig: Rig) -> None:
    store = GatedStore()
    downloader = rig.make(store=store, max_active=0)
    for job_id in "abc":
        await rig.add(job_id)
    await downloader.cancel("a")
    async with downloader.listen() as changes:
        store.holding = True
        removing = asyncio.create_task(downloader.remove("a"))
        await idle()
        store.holding = False
        moving = asyncio.create_task(downloader.place("c", "top"))
        await idle()
        await store.held[0].release()
        await asyncio.gather(removing, moving)
        told = [await anext(changes), await anext(changes)]
    assert [(c.event, c.id) for c in told] == [("removed", "a"), ("placed", "c")]
    assert told[1].news == {"before": "b"}


class Mirror:
    """A list of jobs that is kept by the events alone, as docs/api.md tells front ends to."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def hear(self, change: Change) -> None:
        """Take one event."""
        if change.event in ("queued", "paused") and change.id not in self.order:
            self.order.append(change.id)
        elif change.event == "removed":
            self.order.remove(change.id)
        elif change.event == "placed":
            before = (change.news or {})["before"]
            self.order.remove(change.id)
            at = len(self.order) if before is None else self.order.index(before)
            self.order.insert(at, change.id)


async def test_five_clients_at_once_leave_a_permutation_and_events_that_tell_it(rig: Rig) -> None:
    downloader = rig.make(max_active=2)
    rig.pace.hold()
    names = [f"job-{number:02}" for number in range(20)]
    for name in names:
        await rig.add(name, held=name > "job-10")

    async def client(seed: int) -> None:
        draw = random.Random(seed)
        for turn in range(30):
            one, other = draw.sample(names, 2)
            to: Any = draw.choice(["top", "bottom", "up", "down", None])
            try:
                await downloader.place(one, to, before=None if to else other)
                if turn % 5 == 0:
                    await draw.choice([downloader.pause, downloader.resume])(other)
                if turn == 20:
                    await downloader.cancel(names[seed])
                    await downloader.remove(names[seed])
                    await rig.add(names[seed])
            except (IllegalTransition, JobNotFound):
                continue  # it was just cancelled or removed

    await asyncio.gather(*(client(seed) for seed in range(5)))
    listed = [job.id for job in await downloader.list()]
    assert sorted(listed) == names
    assert len({job.place for job in await downloader.list()}) == len(names)
    told = Mirror()
    for change in await downloader.changes_since(0):
        told.hear(change)
    assert told.order == listed
    downloader = await rig.crash(max_active=0)
    assert [job.id for job in await downloader.list()] == listed


async def test_a_job_that_is_moved_while_it_is_paused_is_where_it_was_put(rig: Rig) -> None:
    downloader = rig.make(max_active=1)
    rig.pace.hold()
    for job_id in "abc":
        await rig.add(job_id)
    await reach(downloader, "a", ACTIVE)
    await downloader.pause("a")
    await reach(downloader, "b", ACTIVE)
    await downloader.place("a", "bottom")
    await downloader.resume("a")
    await idle()
    assert await shown(downloader) == "bca"
