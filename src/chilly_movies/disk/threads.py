"""Blocking work on the disk in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from chilly_movies.disk.volume import disk_error
from chilly_movies.errors import DiskError
from chilly_movies.runtime import tasks

T = TypeVar("T")


async def on_disk(work: Callable[[], T]) -> T:
    """Run blocking disk work in a thread; what the disk refuses becomes a `DiskError`."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise _refusal(error) from None


async def on_disk_to_the_end(work: Callable[[], object]) -> None:
    """Like both `on_disk` and `to_the_end`."""
    try:
        await to_the_end(work)
    except OSError as error:
        raise _refusal(error) from None


def _refusal(error: OSError) -> DiskError:
    return disk_error(error.errno, f"The media folder cannot be used: {error.strerror}.")


async def to_the_end(work: Callable[[], object]) -> None:
    """Run disk work in a thread; who is cancelled meanwhile waits until it is done.

    What happened to the files is known then: a rename must not follow the clean-up it races.
    """
    await tasks.to_the_end(asyncio.to_thread(work))
