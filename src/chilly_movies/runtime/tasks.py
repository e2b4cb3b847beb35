"""What `asyncio` leaves to its users: work that outlives its caller, and work that is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Never, TypeVar

import structlog

from chilly_movies.errors import ChillyError

T = TypeVar("T")
log = structlog.get_logger(__name__)


def begin(work: Coroutine[Any, Any, T], name: str | None = None) -> asyncio.Task[T]:
    """Starts work that goes on when a caller who waits for it is cancelled.

    Wait for it with `asyncio.shield`. Its error is raised for those who wait; that nobody waited
    any more is no error of its own. Keep the task: the event loop alone does not.

    Args:
        work: what is to be done.
        name: of the task.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_seen)
    return task


def _seen(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # else asyncio complains that nobody asked for it


async def to_the_end(
    work: Coroutine[Any, Any, T] | asyncio.Task[T], hurry: Callable[[], object] | None = None
) -> T:
    """Waits for work that must not be left half done, however often the caller is cancelled.

    Args:
        work: what is to be done; it is never cancelled from here.
        hurry: called at each cancellation, to make the work end early.

    Returns:
        What `work` returns.

    Raises:
        asyncio.CancelledError: the caller was cancelled; the work has ended, in whatever way.
        Exception: what `work` raised.
    """
    task = work if isinstance(work, asyncio.Task) else begin(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
            if hurry is not None:
                hurry()
    if cancelled is not None:
        _seen(task)
        raise cancelled
    return task.result()


async def every(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> Never:
    """Does something again and again until it is cancelled, first after one pause.

    Args:
        seconds: the pause between the end of one time and the beginning of the next.
        work: what is to be done. A `ChillyError` is logged, and the next time comes all the same.
        name: what the log calls it.

    Raises:
        Exception: what `work` raised that is no `ChillyError`: a mistake of ours.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except ChillyError as error:
            log.error("regular work failed", work=name, code=error.code, problem=str(error))


def answer(future: asyncio.Future[T], value: T) -> None:
    """Gives a waiting caller its value, unless it was cancelled or has one."""
    if not future.done():
        future.set_result(value)
