"""Stages that say how far they are are run, awaited and ended as one generator would be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from chilly_movies.errors import DiskError
from chilly_movies.runtime.stages import said_by, say

pytestmark = pytest.mark.anyio


async def read(values: AsyncGenerator[int, None]) -> list[int]:
    async with aclosing(values):
        return [value async for value in values]


async def test_what_a_stage_and_the_stages_below_it_say_comes_in_order() -> None:
    async def below() -> str:
        await say(2)
        await asyncio.sleep(0.001)
        await say(3)
        return "done"

    async def above() -> None:
        await say(1)
        assert await below() == "done"
        await say(4)

    assert await read(said_by(above)) == [1, 2, 3, 4]


async def test_a_stage_goes_on_only_when_the_next_value_is_asked_for() -> None:
    steps: list[str] = []

    async def work() -> None:
        await say(1)
        steps.append("went on")
        await say(2)

    async with aclosing(said_by(work)) as values:
        assert await anext(values) == 1
        await asyncio.sleep(0.001)
        assert steps == []
        assert await anext(values) == 2
        assert steps == ["went on"]


async def test_an_error_of_a_stage_can_be_caught_by_the_stage_above_and_else_by_the_reader() -> (
    None
):
    async def broken() -> None:
        await say(1)
        raise DiskError("full")

    async def twice() -> None:
        try:
            await broken()
        except DiskError:
            await say(2)
        await broken()

    heard: list[int] = []

    async def listen() -> None:
        async for value in said_by(twice):
            heard.append(value)  # noqa: PERF401 (it ends with an error)

    with pytest.raises(DiskError, match="full"):
        await listen()
    assert heard == [1, 2, 1]


async def test_a_reader_that_closes_ends_the_stage_and_waits_until_it_has_cleaned_up() -> None:
    cleaned: list[str] = []

    async def below() -> None:
        try:
            await say(1)
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("below")

    async def work() -> None:
        try:
            await below()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("above")

    async with aclosing(said_by(work)) as values:
        assert await anext(values) == 1
    assert cleaned == ["below", "above"]


async def test_a_reader_that_is_cancelled_while_it_closes_hears_of_that() -> None:
    cleaning = asyncio.Event()

    async def work() -> None:
        try:
            await say(1)
        finally:
            cleaning.set()
            await asyncio.Event().wait()

    async def first() -> None:
        async with aclosing(said_by(work)) as values:
            await anext(values)

    reading = asyncio.create_task(first())
    await cleaning.wait()
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_reader_that_is_cancelled_cancels_what_the_stage_waits_for_each_time(
    times: int,
) -> None:
    begun, caught = asyncio.Event(), 0

    async def work() -> None:
        nonlocal caught
        begun.set()
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                caught += 1
                if caught == times:
                    raise
                begun.set()

    reading = asyncio.create_task(read(said_by(work)))
    for _ in range(times):
        await begun.wait()
        begun.clear()
        reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    assert caught == times


async def test_a_time_limit_within_a_stage_ends_what_it_waits_for_and_the_stage_goes_on() -> None:
    async def work() -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            await say(1)

    assert await read(said_by(work)) == [1]


async def test_stages_nobody_reads_are_never_begun() -> None:
    async def work() -> None:
        raise AssertionError("begun")

    await said_by(work).aclose()
