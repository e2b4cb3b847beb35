"""Work that many callers need done once, such as opening what all of them use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from chilly_movies.runtime.tasks import begin


class SingleFlight:
    """Does one piece of work at a time, for all who ask meanwhile, and to its end.

    It is no caller's own: one who is cancelled goes, and what the others wait for goes on. Else
    the first caller could leave something half open behind that all take for open.

    Args:
        work: what is to be done; may be called again after it ended.
        name: of its task.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._work = work
        self._name = name
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Begin the work, unless it is under way, and wait for its end.

        Raises:
            Exception: whatever the work raised, for each who waited.
        """
        if self._task is None or self._task.done():
            self._task = begin(self._work(), self._name)
        await asyncio.shield(self._task)

    async def wait_idle(self) -> None:
        """Wait until it is not under way, however it ended."""
        if self._task is not None:
            await asyncio.wait([self._task])
