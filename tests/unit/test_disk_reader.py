"""Files of ours are opened in threads, which go on when nobody waits for them any more."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from chilly_movies.drivers.disk_reader import DiskFile

pytestmark = pytest.mark.anyio


def leads_to(path: Path) -> int:
    """How many of our descriptors lead to the file."""
    wanted, found = path.stat(), 0
    for entry in Path("/dev/fd").iterdir():
        try:
            found += os.path.samestat(os.fstat(int(entry.name)), wanted)
        except OSError:
            continue
    return found


async def test_a_file_that_opens_after_its_reader_left_is_closed(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    os.mkfifo(slow)  # it opens when somebody wants to write
    opening = asyncio.create_task(DiskFile.open(slow))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    writer = await asyncio.to_thread(os.open, slow, os.O_WRONLY)
    try:
        async with asyncio.timeout(10):
            while leads_to(slow) > 1:  # noqa: ASYNC110  # nobody tells when a thread let go
                await asyncio.sleep(0.01)
    finally:
        os.close(writer)
