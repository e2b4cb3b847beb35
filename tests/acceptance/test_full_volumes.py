"""The disk of the database fills up under a download; `python -m lab.crash.full` does it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.crash.full import fill_up
from lab.crash.mounts import require_mounts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_a_full_disk_of_the_database_is_said_and_costs_nothing(tmp_path: Path) -> None:
    require_mounts()
    verdict = await fill_up(tmp_path, "tmpfs", "database", host="127.0.81.1", size=8, held=2)
    assert not verdict.broken, verdict
    assert verdict.answers["start 503"] > 0  # what cannot be stored is not promised
    assert verdict.answers["GET 200"] > 0
