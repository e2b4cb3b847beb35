"""Runs the asynchronous part of a command, so that Ctrl-C and SIGTERM end it in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from chilly_movies.cli.interruption import InOrder

T = TypeVar("T")


def run(
    work: Coroutine[Any, Any, T],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Runs the work to its end; an interruption cancels it, and it may still put things in order.

    Args:
        work: the command.
        loop_factory: makes the event loop; None = the standard one.

    Raises:
        KeyboardInterrupt: SIGINT came.
        asyncio.CancelledError: SIGTERM came.
    """

    async def guarded() -> T:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    with InOrder(), asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(guarded())
