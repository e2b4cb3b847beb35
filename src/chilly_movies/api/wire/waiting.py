"""Work that is done for one caller, and ends when the caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from chilly_movies.errors import EngineError

T = TypeVar("T")

_LOOK_INTERVAL = 0.5
"""Seconds between two looks whether the client still waits."""


async def while_wanted(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Runs the work until it is done, or until the client went away."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_INTERVAL)
            if not task.done() and await request.is_disconnected():
                task.cancel()
                await asyncio.wait([task])
                raise EngineError("Nobody waited for the answer.")
        return task.result()
    finally:
        task.cancel()
