"""Work that is done once for all who ask, and that none of them can break off."""

from __future__ import annotations

import asyncio

import pytest

from chilly_movies.runtime.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


class Work:
    """Something that can be held up, and counts how often it was begun and ended."""

    def __init__(self) -> None:
        self.begun, self.ended = 0, 0
        self.go = asyncio.Event()
        self.problem: Exception | None = None

    async def __call__(self) -> None:
        self.begun += 1
        await self.go.wait()
        self.ended += 1
        if self.problem is not None:
            raise self.problem


async def test_all_who_ask_meanwhile_get_one_piece_of_work_and_later_ones_a_new_one() -> None:
    work = Work()
    flight = SingleFlight(work, "work")
    callers = [asyncio.create_task(flight.run()) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    await asyncio.gather(*callers)
    assert (work.begun, work.ended) == (1, 1)
    await flight.run()
    assert (work.begun, work.ended) == (2, 2)


async def test_a_caller_who_is_cancelled_takes_nothing_from_the_others() -> None:
    work = Work()
    flight = SingleFlight(work, "work")
    first, second = asyncio.create_task(flight.run()), asyncio.create_task(flight.run())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    work.go.set()
    await second
    assert (work.begun, work.ended) == (1, 1)


async def test_work_goes_on_when_all_who_asked_are_gone_and_can_be_waited_for() -> None:
    work = Work()
    work.problem = ValueError("nobody hears this")
    flight = SingleFlight(work, "work")
    only = asyncio.create_task(flight.run())
    await asyncio.sleep(0)
    only.cancel()
    work.go.set()
    await flight.wait_idle()
    assert (work.begun, work.ended) == (1, 1)


async def test_each_who_waits_hears_of_the_error_and_the_next_one_tries_again() -> None:
    work = Work()
    work.problem = ValueError("not now")
    flight = SingleFlight(work, "work")
    callers = [asyncio.create_task(flight.run()) for _ in range(2)]
    work.go.set()
    heard = await asyncio.gather(*callers, return_exceptions=True)
    assert heard == [work.problem, work.problem]
    work.problem = None
    await flight.run()
    assert work.begun == 2


async def test_nothing_under_way_is_settled_at_once() -> None:
    await SingleFlight(Work(), "work").wait_idle()
