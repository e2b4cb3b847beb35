"""The bus: nobody waits for a listener, and no listener harms another."""

from __future__ import annotations

import asyncio

import pytest

from chilly_movies.jobs.bus import EventBus, Filter, Subscription
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Progress, Status
from tests.doubles import idle, make_job

pytestmark = pytest.mark.anyio


def change(seq: int, job_id: str = "a", percent: float | None = None) -> Change:
    """A state change, or progress if a percentage is given."""
    job = make_job(job_id, progress=Progress(percent=percent or 0.0))
    name = "queued" if percent is None else "progress"
    return Change.of(seq, name, job, durable=percent is None)


async def rest(subscription: Subscription) -> list[int]:
    """What waits in a subscription that takes no more."""
    subscription.close()
    return [found.seq async for found in subscription]


async def test_every_listener_gets_every_change_in_order() -> None:
    bus = EventBus()
    listeners = [bus.subscribe(), bus.subscribe()]
    for seq in range(1, 6):
        bus.publish(change(seq))
    assert [await rest(listener) for listener in listeners] == [[1, 2, 3, 4, 5]] * 2


async def test_a_listener_of_one_job_hears_of_no_other() -> None:
    bus = EventBus()
    only_b = bus.subscribe("b")
    for seq, job_id in enumerate("abab", 1):
        bus.publish(change(seq, job_id))
    assert await rest(only_b) == [2, 4]


async def test_a_listener_hears_nothing_of_the_time_before_it_came() -> None:
    bus = EventBus()
    bus.publish(change(1))
    late = bus.subscribe()
    bus.publish(change(2))
    assert await rest(late) == [2]


async def test_newer_progress_of_a_job_replaces_older_that_still_waits() -> None:
    bus = EventBus()
    listener = bus.subscribe()
    for seq, job_id in ((1, "a"), (2, "b"), (3, "a"), (4, "a")):
        bus.publish(change(seq, job_id, percent=seq))
    assert await rest(listener) == [2, 4]


async def test_progress_replaces_no_state_change() -> None:
    bus = EventBus()
    listener = bus.subscribe()
    bus.publish(change(1))
    bus.publish(change(2, percent=1.0))
    bus.publish(change(3))
    bus.publish(change(4, percent=2.0))
    assert await rest(listener) == [1, 3, 4]


async def test_a_waiting_listener_is_woken_by_the_next_change() -> None:
    bus = EventBus()
    listener = bus.subscribe()
    first = asyncio.create_task(_first(listener))
    await idle()
    assert not first.done()
    bus.publish(change(7))
    assert (await first).seq == 7


async def _first(listener: Subscription) -> Change:
    return await anext(listener)


async def test_one_that_does_not_keep_up_is_dropped_and_the_others_stay() -> None:
    bus = EventBus()
    slow, fast = bus.subscribe(size=3), bus.subscribe(size=10)
    for seq in range(1, 4):
        bus.publish(change(seq))
    assert [slow.overflowed, fast.overflowed] == [False, False]
    bus.publish(change(4))
    bus.publish(change(5))
    assert [slow.overflowed, fast.overflowed] == [True, False]
    assert [found async for found in slow] == []
    assert await rest(fast) == [1, 2, 3, 4, 5]


async def test_progress_alone_drops_nobody_however_much_of_it_comes() -> None:
    bus = EventBus()
    listener = bus.subscribe(size=2)
    for seq in range(1, 1000):
        bus.publish(change(seq, "ab"[seq % 2], percent=1.0))
    assert not listener.overflowed
    assert await rest(listener) == [998, 999]


async def test_the_drop_wakes_a_listener_that_waits() -> None:
    bus = EventBus()
    listener = bus.subscribe(size=0)
    waiting = asyncio.create_task(_all(listener))
    await idle()
    bus.publish(change(1))
    assert await waiting == []
    assert listener.overflowed


async def _all(listener: Subscription) -> list[int]:
    return [found.seq async for found in listener]


async def test_after_closing_what_waits_is_read_and_nothing_more_comes() -> None:
    bus = EventBus()
    async with bus.subscribe() as listener:
        bus.publish(change(1))
    bus.publish(change(2))
    assert [found.seq async for found in listener] == [1]
    listener.close()


async def test_closing_the_bus_ends_present_and_future_listeners() -> None:
    bus = EventBus()
    waiting = asyncio.create_task(_all(bus.subscribe()))
    await idle()
    bus.close()
    bus.close()
    assert await waiting == []
    assert await _all(bus.subscribe()) == []


async def test_a_listener_that_leaves_while_a_change_is_told_harms_no_other() -> None:
    bus = EventBus()
    listeners = [bus.subscribe(size=0) for _ in range(5)] + [bus.subscribe()]
    bus.publish(change(1))
    assert [listener.overflowed for listener in listeners] == [True] * 5 + [False]
    assert await rest(listeners[-1]) == [1]


# --- filters, batches, shortcuts ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        (Filter(), [1, 2, 3, 4]),
        (Filter(ids=frozenset({"a"})), [1, 3, 4]),
        (Filter(events=frozenset({"paused"})), [1, 2, 4]),
        (Filter(statuses=frozenset({Status.PAUSED})), [1, 2]),
        (Filter(frozenset({"a"}), frozenset({"paused"}), frozenset({Status.ACTIVE})), [4]),
    ],
)
async def test_a_filter_lets_through_what_is_wanted_and_every_snapshot(
    wanted: Filter, heard: list[int]
) -> None:
    bus = EventBus()
    told = [
        Change.of(1, "paused", make_job("a", Status.PAUSED)),
        Change.of(2, "paused", make_job("b", Status.PAUSED)),
        Change.of(3, "started", make_job("a", Status.ACTIVE)),
        Change.of(4, "snapshot", make_job("a", Status.ACTIVE)),
    ]
    async with bus.subscribe(wanted=wanted) as subscription:
        for change in told:
            bus.publish(change)
        bus.close()
        assert [change.seq async for change in subscription] == heard


async def test_a_batch_is_all_that_waits_and_none_at_the_end() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    for seq in (1, 2, 3):
        bus.publish(Change.of(seq, "paused", make_job()))
    assert [change.seq for change in await subscription.batch() or ()] == [1, 2, 3]
    waiting = asyncio.ensure_future(subscription.batch())
    await idle()
    subscription.nudge()
    assert await waiting == []
    bus.publish(Change.of(4, "paused", make_job()))
    bus.close()
    assert [change.seq for change in await subscription.batch() or ()] == [4]
    assert await subscription.batch() is None


async def test_a_shortcut_takes_what_it_can_and_never_overtakes_what_waits() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    taken: list[int] = []
    open_now = [True, False, True, True]

    def shortcut(change: Change) -> bool:
        if open_now[change.seq - 1]:
            taken.append(change.seq)
        return open_now[change.seq - 1]

    subscription.shortcut = shortcut
    for seq in (1, 2, 3):
        bus.publish(Change.of(seq, "paused", make_job()))
    assert taken == [1]
    assert [change.seq for change in await subscription.batch() or ()] == [2, 3]
    bus.publish(Change.of(4, "paused", make_job()))
    assert taken == [1, 4]


async def test_news_of_different_files_do_not_replace_each_other() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    for seq, index in ((1, 0), (2, 1), (3, 0)):
        news = {"index": index, "percent": seq}
        bus.publish(Change.of(seq, "file", make_job(), durable=False, news=news))
    bus.publish(Change.of(4, "progress", make_job(), durable=False))
    assert [change.seq for change in await subscription.batch() or ()] == [2, 3, 4]
