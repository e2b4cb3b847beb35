"""Callbacks by event name, for users of the library: `downloader.on("completed", print)`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import structlog

from chilly_movies.errors import ChillyError, InvalidRequest
from chilly_movies.jobs.bus import EventBus, Subscription
from chilly_movies.jobs.events import EVENT_NAMES, Change
from chilly_movies.jobs.models import JobError

log = structlog.get_logger(__name__)

Listener = Callable[..., Any]

_QUEUE_SIZE = 100_000
"""A callback is our own process' code: it may be slow for long before it is dropped."""


class JobFailure(ChillyError):
    """What an `error` listener gets: the job's error as an exception.

    Attributes:
        job_code: the stable code of the job's error.
    """

    def __init__(self, error: JobError) -> None:
        super().__init__(error.message)
        self.job_code = error.code


class Listeners:
    """Runs each callback in a task of its own, so that none waits for another."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._wanted: list[tuple[str, Listener]] = []
        self._tasks: dict[tuple[str, Listener], asyncio.Task[None]] = {}
        self._open = False

    def add(self, name: str, listener: Listener) -> None:
        """Call the listener at each event of this name, from now or from `open` on."""
        if name not in EVENT_NAMES:
            raise InvalidRequest(
                f"There is no event '{name}'; there are: {', '.join(EVENT_NAMES)}."
            )
        if (name, listener) in self._wanted:
            return
        self._wanted.append((name, listener))
        if self._open:
            self._run(name, listener)

    def discard(self, name: str, listener: Listener) -> None:
        """Forget the listener if it is known."""
        if (name, listener) in self._wanted:
            self._wanted.remove((name, listener))
        task = self._tasks.pop((name, listener), None)
        if task is not None and not _is_current(task):
            task.cancel()

    def open(self) -> None:
        """The loop runs now: begin to listen."""
        self._open = True
        for name, listener in self._wanted:
            self._run(name, listener)

    async def aclose(self) -> None:
        """Wait until the callbacks have seen everything; the bus is closed already."""
        self._open = False
        tasks = [t for t in self._tasks.values() if t is not asyncio.current_task()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=5)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1)
        self._tasks.clear()

    def _run(self, name: str, listener: Listener) -> None:
        subscription = self._bus.subscribe(size=_QUEUE_SIZE)
        task = asyncio.create_task(
            self._feed(subscription, name, listener), name=f"listener {name}"
        )
        self._tasks[name, listener] = task

    async def _feed(self, subscription: Subscription, name: str, listener: Listener) -> None:
        async with subscription:
            async for change in subscription:
                if change.event == name:
                    await _call(listener, name, change)
                if self._tasks.get((name, listener)) is not asyncio.current_task():
                    return  # it took itself off


def _is_current(task: asyncio.Task[None]) -> bool:
    try:
        return task is asyncio.current_task()
    except RuntimeError:  # called from outside the loop
        return False


async def _call(listener: Listener, name: str, change: Change) -> None:
    arguments: tuple[Any, ...] = (change.job,)
    if name == "error" and change.error is not None:
        arguments = (JobFailure(change.error), change.job)
    try:
        result = listener(*arguments)
        if inspect.isawaitable(result):
            await result
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        log.exception("a listener failed", event_name=name, job=change.id)
    except Exception:  # a listener must never hurt a download
        log.exception("a listener failed", event_name=name, job=change.id)
