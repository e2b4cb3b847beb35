"""What the process holds is told on demand."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal

import pytest
from structlog.testing import capture_logs

from chilly_movies.runtime.vitals import give_back, telling, vitals

pytestmark = pytest.mark.anyio


async def test_tasks_and_descriptors_are_counted() -> None:
    before, waiting = vitals(), asyncio.create_task(asyncio.sleep(60), name="waits")
    pipe = os.pipe()
    try:
        after = vitals()
    finally:
        waiting.cancel()
        for handle in pipe:
            os.close(handle)
    assert after["tasks"] == before["tasks"] + 1
    assert after["descriptors"] == before["descriptors"] + 2
    assert after["task_kinds"]["sleep"] == 1
    assert after["memory"] > 1_000_000


async def test_sigusr1_logs_them_while_the_server_runs() -> None:
    with capture_logs() as lines, telling():
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(10):
            while not lines:  # noqa: ASYNC110  # a signal wakes no task of ours
                await asyncio.sleep(0.01)
    assert lines[0]["event"] == "vitals"
    assert lines[0]["tasks"] >= 1


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
async def test_what_was_freed_in_between_is_given_back() -> None:
    things = [bytearray(2000) for _ in range(30_000)]
    kept = things[::1000]
    del things
    before = vitals()["memory"]
    give_back()
    assert vitals()["memory"] < before - 30_000_000
    assert len(kept) == 30
