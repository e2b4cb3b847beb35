"""The long runs of `docs/durability.md`, short: real processes, real faults, a few seconds each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.crash import cancels, clock, damage, faults

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(110)]


async def test_no_damage_to_a_file_makes_a_job_completed_wrongly(tmp_path: Path) -> None:
    account = await damage.trials(tmp_path, 7, 8, herd=8)
    assert not account.broken, account.summary()
    assert account.total >= 8


async def test_what_was_canceled_or_removed_before_a_kill_stays_so(tmp_path: Path) -> None:
    account = await cancels.cancels(tmp_path, 7, 3, herd=9)
    assert not account.broken, account.summary()
    assert account.kills


async def test_a_leap_of_the_clock_changes_no_wait_and_no_link(tmp_path: Path) -> None:
    if missing := faults.clock_missing():
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    found = await clock.leaps(tmp_path, ("-1d",), drift=10.0)  # a busy machine tests this, too
    assert not found.broken, found.broken
