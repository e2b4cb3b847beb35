"""The bus: nobody waits for a listener, and no listener harms another."""

from __future__ import annotations

import asyncio

import pytest

from chilly_movies.bus import EventBus, Subscription
from chilly_movies.events import Change
from chilly_movies.models import Progress
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
