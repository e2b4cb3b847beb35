"""A follower: every stored change is handled at least once, in order, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from chilly_movies.errors import StoreError
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.storage import followers as kept
from chilly_movies.storage.opened import open_all
from tests.contract.rig import Rig
from tests.doubles import idle, until

pytestmark = pytest.mark.anyio
SOON = RetryPolicy(base=0.001, cap=0.01)


class Diary:
    """Work that outlives downloaders: what was handled, and the cursor with it.

    Attributes:
        handled: numbers and events.
        resyncs: the numbers and jobs it began anew with.
        failing: how many of the next changes fail.
    """

    def __init__(self) -> None:
        self.handled: list[tuple[int, str]] = []
        self.resyncs: list[tuple[int, list[str]]] = []
        self.failing = 0
        self.seq: int | None = None

    async def cursor(self) -> int | None:
        return self.seq

    async def handle(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if self.failing:
                self.failing -= 1
                raise StoreError("The disk is full.")
            self.handled.append((change.seq, change.event))
            self.seq = change.seq

    async def resync(self, jobs: Sequence[Job], seq: int) -> None:
        self.resyncs.append((seq, [job.id for job in jobs]))
        self.seq = seq


async def change_much(rig: Rig, job_id: str, times: int) -> None:
    await rig.add(job_id)
    for _ in range(times):
        await rig.downloader.pause(job_id)
        await rig.downloader.resume(job_id)


async def stored(rig: Rig) -> list[tuple[int, str]]:
    return [(c.seq, c.event) for c in await rig.downloader.changes_since(0)]


async def test_the_first_time_it_reads_all_jobs_and_then_every_change(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    diary = Diary()
    await rig.add("a")
    downloader.followers.begin("diary", diary, SOON)
    await until(lambda: diary.resyncs)
    await change_much(rig, "b", 30)
    await until(lambda: diary.seq == downloader.last_seq)
    assert diary.resyncs == [(1, ["a"])]
    assert diary.handled == (await stored(rig))[1:]
    assert downloader.followers.behind() == {"diary": 0}


async def test_it_goes_on_from_its_cursor_after_a_restart_and_a_crash(rig: Rig) -> None:
    diary = Diary()
    rig.make(max_active=0)
    await rig.downloader.open()
    for number, again in enumerate([rig.restart, rig.crash, rig.restart]):
        rig.downloader.followers.begin("diary", diary, SOON)
        await change_much(rig, f"{number}-followed", 3)
        await rig.downloader.followers.aclose()
        await change_much(rig, f"{number}-missed", 3)
        await again(max_active=0)
    rig.downloader.followers.begin("diary", diary, SOON)
    await until(lambda: diary.seq == rig.downloader.last_seq)
    assert diary.handled == await stored(rig)
    assert len(diary.resyncs) == 1


async def test_what_fails_is_tried_again_and_nothing_overtakes_it(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    diary = Diary()
    await downloader.open()
    downloader.followers.begin("diary", diary, SOON)
    await until(lambda: diary.resyncs)
    diary.failing = 5
    await change_much(rig, "a", 10)
    await until(lambda: diary.seq == downloader.last_seq)
    assert diary.handled == await stored(rig)
    assert diary.failing == 0


async def test_one_that_is_stuck_shows_how_far_it_is_behind_and_hurts_nobody(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    stuck, fine = Diary(), Diary()
    await downloader.open()
    for name, diary in (("stuck", stuck), ("fine", fine)):
        downloader.followers.begin(name, diary, SOON)
    await until(lambda: stuck.resyncs and fine.resyncs)
    stuck.failing = 10**9
    await change_much(rig, "a", 60)
    await until(lambda: fine.seq == downloader.last_seq)
    assert downloader.followers.behind() == {"stuck": 121, "fine": 0}
    stuck.failing = 0
    await until(lambda: stuck.seq == downloader.last_seq)
    assert stuck.handled == fine.handled


async def test_figures_do_not_wake_it(rig: Rig) -> None:
    downloader = rig.make()
    diary = Diary()
    await rig.bring(Status.ACTIVE)
    downloader.followers.begin("diary", diary, SOON)
    await until(lambda: diary.resyncs)
    reads = downloader._store.changes_since
    asked: list[int] = []

    async def counting(seq: int, job_id: str | None = None, *, limit: int = 1000) -> list[Change]:
        asked.append(seq)
        return await reads(seq, job_id, limit=limit)

    downloader._store.changes_since = counting  # type: ignore[method-assign]
    downloader._ledger.tell("a", "stream", {"index": 0, "readers": 1})
    await idle()
    assert asked == []


async def test_a_cursor_that_is_none_of_ours_begins_anew(rig: Rig) -> None:
    downloader = rig.make(max_active=0)
    diary = Diary()
    diary.seq = 10_000
    await rig.add("a")
    downloader.followers.begin("diary", diary, SOON)
    await until(lambda: diary.resyncs)
    assert diary.resyncs == [(1, ["a"])]


# --- what is kept for followers -----------------------------------------------------------------


async def with_changes(rig: Rig, seq: int, monkeypatch: pytest.MonkeyPatch) -> Diary:
    """A diary that did everything up to `seq` of 21 changes; of those, a start keeps 5."""
    monkeypatch.setattr(kept, "KEPT_EVENTS", 5)
    await rig.downloader.open()
    await change_much(rig, "a", 10)
    diary = Diary()
    diary.seq = seq
    return diary


def make(rig: Rig) -> None:
    """A downloader whose followers report to its database."""
    stores = open_all(rig.path)
    rig.make(max_active=0, store=stores.jobs, cursors=stores.cursors)


async def reopen(rig: Rig) -> list[int]:
    """Start anew; the numbers of the changes that are kept."""
    await rig.downloader.aclose()
    make(rig)
    return [seq for seq, _ in await stored(rig)]


async def follow(rig: Rig, diary: Diary) -> None:
    rig.downloader.followers.begin("diary", diary, SOON)
    await until(lambda: diary.seq == rig.downloader.last_seq)


@pytest.fixture
async def kept_on_disk(tmp_path: Path) -> AsyncIterator[Rig]:
    """A rig over a database; the store in memory keeps all."""
    rig = Rig("sqlite", tmp_path)
    make(rig)
    yield rig
    await rig.aclose()


async def test_a_start_keeps_what_the_slowest_follower_needs(
    kept_on_disk: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = kept_on_disk
    diary = await with_changes(rig, 8, monkeypatch)
    cursors = rig.downloader.followers._cursors
    await cursors.report("diary", 8)
    await cursors.report("fast", 20)
    assert await reopen(rig) == list(range(9, 22))
    await follow(rig, diary)
    assert diary.resyncs == []
    assert [seq for seq, _ in diary.handled] == list(range(9, 22))
    assert await reopen(rig) == list(range(17, 22))


@pytest.mark.parametrize("why", ["silent", "far", "forgotten"])
async def test_a_follower_that_is_not_waited_for_any_more_begins_anew(
    kept_on_disk: Rig, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    rig = kept_on_disk
    diary = await with_changes(rig, 8, monkeypatch)
    await rig.downloader.followers._cursors.report("diary", 8)
    if why == "silent":
        monkeypatch.setattr(kept, "_HEARD_OF", -kept._HEARD_OF)
    elif why == "far":
        monkeypatch.setattr(kept, "_FARTHEST", 10)
    else:
        await rig.downloader.followers.end("diary")
    assert await reopen(rig) == list(range(17, 22))
    await follow(rig, diary)
    assert diary.resyncs == [(21, ["a"])]
    await rig.downloader.pause("a")
    await until(partial(diary.handled.count, (22, "paused")))


async def test_the_cursor_that_is_reported_never_leads(kept_on_disk: Rig) -> None:
    rig = kept_on_disk
    diary = Diary()
    await rig.downloader.open()
    rig.downloader.followers.begin("diary", diary, SOON)
    cursors = rig.downloader.followers._cursors
    report, seen = cursors.report, list[tuple[int, int | None]]()

    async def noting(name: str, seq: int) -> None:
        seen.append((seq, diary.seq))
        await report(name, seq)

    cursors.report = noting  # type: ignore[method-assign]
    await change_much(rig, "a", 50)
    await until(lambda: diary.seq == rig.downloader.last_seq)
    await asyncio.sleep(0)
    assert seen
    assert all(own is not None and reported <= own for reported, own in seen)
