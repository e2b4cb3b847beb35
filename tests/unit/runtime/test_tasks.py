"""Work that outlives its caller, and work that is repeated: each has one meaning."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chilly_movies.errors import DiskError
from chilly_movies.runtime.tasks import answer, begin, every, to_the_end

pytestmark = pytest.mark.anyio


class Work:
    """Goes on until it is let go, then ends with a value or an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.may_end, self.ended = asyncio.Event(), asyncio.Event(), False
        self._error = error

    async def __call__(self) -> str:
        self.begun.set()
        await self.may_end.wait()
        self.ended = True
        if self._error is not None:
            raise self._error
        return "done"


@pytest.fixture
async def complaints() -> AsyncIterator[list[Any]]:
    """What the event loop was told that nobody asked for."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    yield told
    asyncio.get_running_loop().set_exception_handler(None)


async def test_work_to_the_end_gives_its_value_or_its_error() -> None:
    work = Work()
    work.may_end.set()
    assert await to_the_end(work()) == "done"
    broken = Work(DiskError("full"))
    broken.may_end.set()
    with pytest.raises(DiskError, match="full"):
        await to_the_end(broken())


@pytest.mark.parametrize("error", [None, DiskError("full")])
@pytest.mark.parametrize("times", [1, 3])
async def test_who_is_cancelled_leaves_when_the_work_has_ended_and_not_before(
    error: Exception | None, times: int
) -> None:
    work, hurried = Work(error), []
    caller = asyncio.create_task(to_the_end(work(), hurry=lambda: hurried.append(1)))
    await work.begun.wait()
    for _ in range(times):
        caller.cancel()
        await asyncio.sleep(0)
        assert not caller.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.ended
    assert len(hurried) == times


async def test_a_time_limit_outside_still_tells_itself_from_a_cancellation() -> None:
    work = Work()

    async def let_go() -> None:
        await work.begun.wait()
        await asyncio.sleep(0.02)
        work.may_end.set()

    helper = asyncio.create_task(let_go())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await to_the_end(work())
    assert work.ended
    await helper


async def test_what_was_begun_goes_on_without_its_caller_and_its_error_disturbs_nobody(
    complaints: list[Any],
) -> None:
    work = Work(DiskError("full"))
    task = begin(work(), "name")

    async def wait(task: asyncio.Task[str]) -> None:
        await asyncio.shield(task)

    caller = asyncio.create_task(wait(task))
    await work.begun.wait()
    caller.cancel()
    await asyncio.wait([caller])
    assert not task.done()
    work.may_end.set()
    await asyncio.wait([task])
    assert (task.get_name(), work.ended) == ("name", True)
    del task, caller
    gc.collect()
    assert complaints == []


async def test_who_still_waits_for_what_was_begun_gets_its_error() -> None:
    work = Work(DiskError("full"))
    work.may_end.set()
    with pytest.raises(DiskError, match="full"):
        await asyncio.shield(begin(work()))


async def test_regular_work_goes_on_after_an_expected_error_and_ends_with_a_mistake() -> None:
    errors: list[Exception] = [DiskError("full"), DiskError("still"), ValueError("a mistake")]
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise errors.pop(0)

    with pytest.raises(ValueError, match="a mistake"):
        await every(0, work, "test")
    assert calls == 4


async def test_regular_work_waits_before_the_first_time_and_ends_when_cancelled() -> None:
    called: list[int] = []

    async def work() -> None:
        called.append(1)

    task = asyncio.create_task(every(3600, work, "test"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert called == []


async def test_only_who_still_waits_is_answered() -> None:
    loop = asyncio.get_running_loop()
    waiting, gone, served = (loop.create_future() for _ in range(3))
    gone.cancel()
    served.set_result("first")
    for future in (waiting, gone, served):
        answer(future, "value")
    assert (waiting.result(), gone.cancelled(), served.result()) == ("value", True, "first")
