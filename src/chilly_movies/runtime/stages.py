"""Work in stages that say how far they are: plain coroutines, and one generator that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import dataclass
from types import coroutine
from typing import Any


@dataclass(frozen=True, slots=True)
class _Said:
    """A value on its way from a stage to the reader."""

    value: Any


class _Relayed:
    """What a stage waits for, so that the task that reads waits for it.

    Args:
        waited: what the stage yielded to its event loop.
    """

    def __init__(self, waited: Any) -> None:
        self._waited = waited

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self._waited)


@coroutine
def say(value: object) -> Generator[Any, Any, None]:
    """Gives a value to the reader of `said_by`; returns when the reader asks for the next one.

    A stage that was begun as a task of its own has no reader, and cannot say anything.
    """
    yield _Said(value)


async def said_by(stages: Callable[[], Coroutine[Any, Any, object]]) -> AsyncGenerator[Any, None]:
    """Runs a coroutine, and yields what it and the coroutines it awaits `say`.

    All of it happens in the reader's task, so a reader that is cancelled cancels what the stage
    waits for. One that closes this generator cancels the stage in its `say`; what the stage cleans
    up is done when that returns.

    Args:
        stages: makes the coroutine, when the first value is asked for.

    Raises:
        Exception: what the coroutine raised.
    """
    work, closed = stages(), asyncio.CancelledError()
    try:
        step = work.send(None)
        while True:
            answer = None
            try:
                if isinstance(step, _Said):
                    yield step.value
                else:
                    answer = await _Relayed(step)
            except GeneratorExit:  # it would end what a stage awaits without letting it clean up
                step = work.throw(closed)
            except BaseException as error:  # noqa: BLE001 (the stage's, a cancellation too)
                step = work.throw(error)
            else:
                step = work.send(answer)
    except StopIteration:
        return
    except asyncio.CancelledError as error:
        if error is not closed:
            raise
