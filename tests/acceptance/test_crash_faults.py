"""The same loop with something wrong outside: one sentence says so, and all goes on by itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from lab.crash import faults, mounts
from lab.crash.films import MIB
from lab.crash.fire import During, Fire

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240), pytest.mark.xdist_group("faults")]
_ROOM = 160 * MIB


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the server lives; its media root is a small file system of its own, if possible."""
    found = tmp_path_factory.mktemp("faults")
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0:
            with contextlib.suppress(OSError):  # the tests that need it say so
                stack.enter_context(mounts.tmpfs(found / "server" / "media", _ROOM))
        yield found


@pytest.fixture(scope="module")
async def fire(folder: Path) -> AsyncIterator[Fire]:
    async with Fire(folder, 303, sizes=(6, 4, 8, 10), rate=3 * MIB, host="127.0.30") as fire:
        yield fire


async def survives(fire: Fire, fault: During) -> None:
    before = len(fire.tally.broken)
    await fire.round(fault)
    assert not fire.tally.broken[before:], fire.tally.summary()


def needs_own_media_root(fire: Fire) -> None:
    mounts.require_mounts()
    if not fire.media.is_mount():
        pytest.skip("a small file system in memory cannot be mounted here")


async def test_a_full_disk_is_said_and_waited_for(fire: Fire) -> None:
    needs_own_media_root(fire)
    await survives(fire, faults.full_disk)


async def test_a_read_only_media_root_is_said_and_waited_for(fire: Fire) -> None:
    needs_own_media_root(fire)
    await survives(fire, faults.read_only)


async def test_a_vanished_media_root_is_said_and_waited_for(fire: Fire) -> None:
    needs_own_media_root(fire)
    await survives(fire, faults.vanished)


async def test_after_a_sleep_of_the_machine_progress_comes_back(fire: Fire) -> None:
    await survives(fire, partial(faults.stopped, seconds=10.0))


async def test_a_dead_tracker_is_said_and_found_again(fire: Fire) -> None:
    await survives(fire, faults.dead_tracker)


async def test_a_file_damaged_while_its_job_is_paused_is_mended(fire: Fire) -> None:
    await survives(fire, faults.damaged)


async def test_leaps_of_the_clock_change_nothing(fire: Fire, tmp_path: Path) -> None:
    if missing := faults.clock_missing():
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    false_clock = faults.faked_clock(tmp_path / "now")
    fire.settings |= false_clock
    try:
        await survives(fire, faults.clock_jumps)
    finally:
        for name in false_clock:
            del fire.settings[name]


async def test_after_all_that_every_job_finishes_in_peace(fire: Fire) -> None:
    await fire.finish()
    assert not fire.tally.broken, fire.tally.summary()
