"""The ledger: decide, persist, tell - in the order of the store's numbers, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from chilly_movies.errors import DuplicateDownload, IllegalTransition, JobNotFound, StoreError
from chilly_movies.jobs import events as e
from chilly_movies.jobs.bus import EventBus, Subscription
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Phase, Progress, Status
from tests.doubles import NOON, Clock, GatedStore, idle, make_job

pytestmark = pytest.mark.anyio


@dataclass
class Desk:
    """A ledger, what is under it and what it told."""

    store: GatedStore
    ledger: Ledger
    heard: Subscription
    clock: Clock

    def told(self) -> list[Change]:
        waiting = list(self.heard._waiting.values())
        self.heard._waiting.clear()
        return waiting

    def names(self) -> list[tuple[str, str]]:
        return [(change.id, change.event) for change in self.told()]

    def spawn(self, job_id: str, event: e.Event) -> asyncio.Task[Job]:
        return asyncio.create_task(self.ledger.record_soon(job_id, event))


class Hand:
    """The loop's clock, moved by hand; timers run when it passes them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[..., Any], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[..., Any], *args: Any) -> Hand.Timer:
        entry = (self.now + delay, call, args)
        self.timers.append(entry)
        return Hand.Timer(self, entry)

    def forward(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)
        for entry in [t for t in self.timers if t[0] <= self.now]:
            self.timers.remove(entry)
            entry[1](*entry[2])

    @dataclass
    class Timer:
        hand: Hand
        entry: tuple[float, Callable[..., Any], tuple[Any, ...]]

        def cancel(self) -> None:
            if self.entry in self.hand.timers:
                self.hand.timers.remove(self.entry)


async def open_desk(store: GatedStore) -> Desk:
    bus = EventBus()
    clock = Clock()
    ledger = Ledger(store, bus, clock)
    await ledger.load()
    return Desk(store, ledger, bus.subscribe(), clock)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A ledger with the active jobs a and b."""
    desk = await open_desk(GatedStore())
    for name in "ab":
        await desk.ledger.add(make_job(name, Status.ACTIVE))
    desk.told()
    yield desk
    await desk.ledger.wait_idle()


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr("chilly_movies.jobs.ledger.asyncio.get_running_loop", lambda: hand)
    return hand


def figures(percent: float) -> e.Progressed:
    return e.Progressed(Progress(percent=percent, download_speed=1))


async def test_changes_are_told_when_they_are_stored_in_the_order_of_their_numbers(
    desk: Desk,
) -> None:
    desk.store.holding = True
    first, second = desk.spawn("a", e.Paused()), desk.spawn("b", e.Paused())
    await idle()
    await desk.store.held[1].release()
    assert second.done()
    [early] = desk.told()
    await desk.store.held[0].release()
    assert first.done()
    [late] = desk.told()
    assert (early.id, late.id) == ("b", "a")
    assert late.seq == early.seq + 1
    assert [c.id for c in await desk.store.changes_since(early.seq - 1)] == ["b", "a"]


async def test_nothing_is_told_before_it_is_stored(desk: Desk) -> None:
    desk.store.holding = True
    task = desk.spawn("a", e.Paused())
    await idle()
    assert desk.told() == []
    assert desk.ledger.get("a").status is Status.ACTIVE
    await desk.store.held[0].release()
    assert desk.names() == [("a", "paused")]
    assert (await task).status is desk.ledger.get("a").status is Status.PAUSED


async def test_a_failed_write_changes_nothing_tells_nothing_and_holds_up_nobody(
    desk: Desk,
) -> None:
    before = desk.ledger.get("a")
    desk.store.holding = True
    failing, fine = desk.spawn("a", e.Paused()), desk.spawn("b", e.Paused())
    await idle()
    await desk.store.held[1].release()
    await desk.store.held[0].fail()
    with pytest.raises(StoreError):
        await failing
    assert desk.ledger.get("a") is before
    assert desk.names() == [("b", "paused")]
    assert (await fine).status is Status.PAUSED


async def test_a_failed_write_frees_the_lock(desk: Desk) -> None:
    desk.store.failing = 1
    with pytest.raises(StoreError):
        await desk.ledger.record_soon("a", e.Paused())
    assert (await desk.ledger.record_soon("a", e.Paused())).status is Status.PAUSED


async def test_a_failed_birth_leaves_no_job_and_no_claim(desk: Desk) -> None:
    desk.store.failing = 1
    job = make_job("c", identities=("btih:1",))
    with pytest.raises(StoreError):
        await desk.ledger.add(job)
    assert "c" not in desk.ledger
    with pytest.raises(JobNotFound):
        desk.ledger.get("c")
    desk.ledger.refuse_duplicate("d", ("btih:1",))


async def test_a_failed_removal_keeps_the_job(desk: Desk) -> None:
    desk.store.failing = 1
    with pytest.raises(StoreError):
        await desk.ledger.remove("a")
    assert "a" in desk.ledger
    assert desk.told() == []
    desk.ledger.note("a", figures(1))
    assert desk.names() == [("a", "progress")], "its figures are told no more"


async def test_an_illegal_step_uses_no_number_and_writes_nothing(desk: Desk) -> None:
    seq = desk.ledger.seq
    desk.store.holding = True
    with pytest.raises(IllegalTransition):
        await desk.ledger.record("a", e.Resumed())
    assert (desk.ledger.seq, desk.store.held) == (seq, [])


async def test_a_write_goes_on_when_its_caller_is_cancelled(desk: Desk) -> None:
    desk.store.holding = True
    task = desk.spawn("a", e.Paused())
    await idle()
    task.cancel()
    await idle()
    assert task.cancelled()
    await desk.store.held[0].release()
    assert desk.ledger.get("a").status is Status.PAUSED
    assert desk.names() == [("a", "paused")]
    assert not desk.ledger.lock("a").locked()


async def test_one_cancelled_while_it_waits_for_the_lock_changes_nothing(desk: Desk) -> None:
    async with desk.ledger.lock("a"):
        task = desk.spawn("a", e.Paused())
        await idle()
        task.cancel()
        await idle()
    assert task.cancelled()
    assert desk.ledger.get("a").status is Status.ACTIVE
    assert not desk.ledger.lock("a").locked()


async def test_wait_idle_waits_for_writes_whose_callers_have_gone(desk: Desk) -> None:
    desk.store.holding = True
    task = desk.spawn("a", e.Paused())
    await idle()
    task.cancel()
    settled = asyncio.create_task(desk.ledger.wait_idle())
    await idle()
    assert not settled.done()
    await desk.store.held[0].release()
    await settled


async def test_numbers_rise_and_never_repeat_after_a_crash() -> None:
    store = GatedStore()
    used: list[int] = []
    for run in range(3):
        desk = await open_desk(store)
        await desk.ledger.add(make_job(f"job-{run}", Status.ACTIVE))
        desk.ledger.note(f"job-{run}", figures(1.0))
        used += [change.seq for change in desk.told()]
    assert used == [1, 1, 2, 2, 3, 3]


async def test_what_is_not_stored_repeats_the_number_of_the_newest_stored_change(
    desk: Desk,
) -> None:
    desk.store.holding = True
    desk.ledger.note("a", figures(1))
    task = desk.spawn("a", e.Paused())
    await idle()
    desk.ledger.note("b", figures(1))
    await desk.store.held[0].release()
    await task
    desk.ledger.tell("b", e.STREAM, {"index": 0, "readers": 1})
    assert [(change.seq, change.id, change.event) for change in desk.told()] == [
        (2, "a", "progress"), (2, "b", "progress"), (3, "a", "paused"), (3, "b", "stream"),
    ]  # fmt: skip
    assert [change.seq for change in await desk.store.changes_since(0)] == [1, 2, 3]


async def test_figures_are_saved_without_a_number_and_nothing_is_written_if_none_moved(
    desk: Desk,
) -> None:
    await desk.ledger.save_progress()
    assert desk.store.saved == []
    desk.ledger.note("a", figures(1))
    await desk.ledger.save_progress()
    assert [[job.id for job in jobs] for jobs in desk.store.saved] == [["a"]]
    assert (await desk.store.load()).last_seq == desk.ledger.seq == 2


async def test_progress_is_told_at_most_twice_a_second_and_the_newest_wins(
    desk: Desk, hand: Hand
) -> None:
    heard: list[tuple[float, float]] = []
    for step in range(40):
        desk.ledger.note("a", figures(step))
        hand.forward(0.1)
        heard += [(hand.now - 1000.0, change.progress.percent) for change in desk.told()]
    assert len(heard) in (8, 9)
    gaps = [late[0] - early[0] for early, late in pairwise(heard)][1:]
    assert min(gaps) == pytest.approx(0.5)
    assert [percent for _, percent in heard] == sorted({percent for _, percent in heard})
    hand.forward(1.0)
    heard += [(hand.now - 1000.0, change.progress.percent) for change in desk.told()]
    assert heard[-1][1] == 39.0


async def test_the_last_figures_of_a_burst_are_told_when_the_half_second_is_over(
    desk: Desk, hand: Hand
) -> None:
    for percent in (1, 2, 3):
        desk.ledger.note("a", figures(percent))
    assert [change.progress.percent for change in desk.told()] == [1]
    hand.forward(0.49)
    assert desk.told() == []
    hand.forward(0.01)
    assert [change.progress.percent for change in desk.told()] == [3]
    hand.forward(5)
    assert desk.told() == []


async def test_a_new_phase_is_told_at_once_and_its_figures_wait_again(
    desk: Desk, hand: Hand
) -> None:
    downloading = e.Progressed(Progress(50.0, phase=Phase.DOWNLOADING))
    checking = e.Progressed(Progress(99.9, phase=Phase.CHECKING))
    phases = []
    for event in (downloading, downloading, checking, checking):
        desk.ledger.note("a", event)
        phases += [change.progress.phase for change in desk.told()]
    assert phases == [Phase.DOWNLOADING, Phase.CHECKING]
    hand.forward(0.5)
    assert [change.progress.phase for change in desk.told()] == [Phase.CHECKING]


async def test_jobs_do_not_share_their_two_messages_a_second(desk: Desk, hand: Hand) -> None:
    desk.ledger.note("a", figures(1))
    desk.ledger.note("b", figures(1))
    assert [change.id for change in desk.told()] == ["a", "b"]


async def test_a_state_change_takes_the_place_of_progress_that_waits(desk: Desk) -> None:
    desk.ledger.note("a", figures(1))
    desk.ledger.note("a", figures(2))
    await desk.ledger.record("a", e.Paused())
    assert desk.names() == [("a", "progress"), ("a", "paused")]
    assert desk.ledger._telling == {}


async def test_progress_during_the_write_of_a_pause_is_not_told_after_it(desk: Desk) -> None:
    desk.store.holding = True
    task = desk.spawn("a", e.Paused())
    await idle()
    desk.ledger.note("a", figures(60))
    await desk.store.held[0].release()
    assert [(c.event, c.status) for c in desk.told()] == [("paused", Status.PAUSED)]
    assert (await task).progress.download_speed == 0


async def test_progress_saved_during_the_write_of_a_pause_does_not_overwrite_it(
    desk: Desk,
) -> None:
    desk.ledger.note("a", figures(50))
    desk.store.holding = True
    task = desk.spawn("a", e.Paused())
    await idle()
    await desk.ledger.save_progress()
    assert [job.id for jobs in desk.store.saved for job in jobs] == []
    await desk.store.held[0].release()
    await task
    await desk.ledger.save_progress()
    stored = {job.id: job for job in (await desk.store.load()).jobs}
    assert stored["a"].progress == desk.ledger.get("a").progress


async def test_figures_during_the_write_of_a_removal_are_not_told(desk: Desk) -> None:
    desk.store.holding = True
    task = asyncio.create_task(desk.ledger.remove("a"))
    await idle()
    desk.ledger.note("a", figures(1))
    desk.ledger.tell("a", e.STREAM, {"index": 0, "readers": 1})
    await desk.store.held[0].release()
    await task
    assert desk.names() == [("a", "removed")]


async def test_a_job_under_the_id_of_a_removed_one_has_its_own_two_messages_a_second(
    desk: Desk, hand: Hand
) -> None:
    desk.ledger.note("a", figures(1))
    desk.ledger.note("a", figures(2))
    await desk.ledger.remove("a")
    await desk.ledger.add(make_job("a", Status.ACTIVE))
    assert hand.timers == []
    desk.ledger.note("a", figures(3))
    told = [(change.event, change.progress.percent) for change in desk.told()]
    assert told == [("removed", 2), ("queued", 0), ("progress", 3)]


async def test_progress_of_a_removed_job_is_told_no_more(desk: Desk) -> None:
    desk.ledger.note("a", figures(1))
    desk.ledger.note("a", figures(2))
    desk.store.holding = True
    task = asyncio.create_task(desk.ledger.remove("a"))
    await idle()
    desk.ledger.note("a", figures(3))
    await desk.store.held[0].release()
    await task
    assert desk.names() == [("a", "progress"), ("a", "removed")]


async def test_figures_are_stored_once_for_all_jobs_that_moved(desk: Desk) -> None:
    for percent in (1, 2):
        desk.ledger.note("a", figures(percent))
        desk.ledger.note("b", figures(10 * percent))
    desk.store.saved.clear()
    await desk.ledger.save_progress()
    await desk.ledger.save_progress()
    [jobs] = desk.store.saved
    assert sorted((job.id, job.progress.percent) for job in jobs) == [("a", 2), ("b", 20)]


async def test_figures_whose_write_failed_are_stored_next_time(desk: Desk) -> None:
    desk.ledger.note("a", figures(77))
    desk.store.failing = 1
    with pytest.raises(StoreError):
        await desk.ledger.save_progress()
    await desk.ledger.save_progress()
    stored = {job.id: job for job in (await desk.store.load()).jobs}
    assert stored["a"].progress.percent == 77


async def test_settle_tells_no_progress_afterwards(desk: Desk, hand: Hand) -> None:
    desk.ledger.note("a", figures(1))
    desk.ledger.note("a", figures(2))
    await desk.ledger.wait_idle()
    hand.forward(5)
    assert len(desk.told()) == 1


async def test_positions_differ_even_while_births_are_being_stored(desk: Desk) -> None:
    desk.store.holding = True
    places = [desk.ledger.next_position() for _ in range(5)]
    assert len(set(places)) == 5
    assert places == sorted(places)


async def test_a_film_counts_as_taken_while_its_birth_is_being_stored(desk: Desk) -> None:
    desk.store.holding = True
    birth = asyncio.create_task(desk.ledger.add(make_job("c", identities=("btih:1",))))
    await idle()
    with pytest.raises(DuplicateDownload) as refused:
        desk.ledger.refuse_duplicate("d", ("btih:1",))
    assert refused.value.existing_id == "c"
    await desk.store.held[0].release()
    await birth


@pytest.mark.parametrize("status", list(Status))
async def test_only_canceled_jobs_leave_their_film_to_others(desk: Desk, status: Status) -> None:
    await desk.ledger.add(make_job("c", status, identities=("btih:1", "btmh:2")))
    desk.ledger.refuse_duplicate("c", ("btmh:2",))
    desk.ledger.refuse_duplicate("d", ("btih:3",))
    if status is Status.CANCELED:
        desk.ledger.refuse_duplicate("d", ("btmh:2",))
        return
    with pytest.raises(DuplicateDownload) as refused:
        desk.ledger.refuse_duplicate("d", ("btmh:2",))
    assert refused.value.existing_id == "c"
    await desk.ledger.remove("c")
    desk.ledger.refuse_duplicate("d", ("btmh:2",))


async def test_the_ledgers_number_stays_below_every_change_that_is_still_being_stored(
    desk: Desk,
) -> None:
    before = desk.ledger.seq
    desk.store.holding = True
    desk.spawn("a", e.Paused())
    desk.spawn("b", e.Paused())
    await idle()
    assert desk.ledger.seq == before
    await desk.store.held[1].release()
    assert desk.ledger.seq == before + 1
    await desk.store.held[0].release()
    assert desk.ledger.seq == before + 2


async def test_changes_carry_the_time_and_the_job_after_them(desk: Desk) -> None:
    await desk.ledger.record("a", e.Failed())
    desk.clock.forward(60)
    await desk.ledger.record("b", e.Paused())
    desk.clock.forward(60)
    await desk.ledger.remove("b")
    failed, paused, removed = desk.told()
    assert failed.job is desk.ledger.get("a")
    assert failed.at == desk.ledger.get("a").updated_at == NOON
    assert (paused.at, removed.at) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=2))
