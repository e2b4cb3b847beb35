"""Power cuts: whatever the disk holds at some moment, nothing is claimed that is not there.

`make power-cuts CUTS=50` makes more of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.crash import mounts
from lab.crash.power import power_cuts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_ten_power_cuts_lose_no_job_and_no_claimed_piece(tmp_path: Path) -> None:
    mounts.require_mounts("mkfs.ext4")
    verdict = await power_cuts(tmp_path, seed=11, cuts=10)
    print(verdict.summary(11))  # noqa: T201
    assert not verdict.broken, verdict.summary(11)
    assert verdict.cuts == 10
    assert verdict.jobs > 20
