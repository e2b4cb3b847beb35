"""A small siege: hostile clients in numbers against a real server, and a user who is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.siege.field import Siege
from tests.siege.plan import ROWS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
_LOOSE = ("p99", "ms for 99 of 100", "memory grew")
"""These hang on the machine and on what is loaded already; `make siege` tells them."""
_EVERY_DAY = ("slowloris", "many_bodies", "streams", "odd_ranges")
"""The others have their claims in `test_edge_connections.py`."""


async def test_a_local_user_is_served_throughout_and_the_server_stays_small(
    tmp_path: Path,
) -> None:
    async with Siege(tmp_path) as siege:
        await siege.warm_up(attacks=False)
        for row in ROWS:
            if row.attack not in _EVERY_DAY:
                continue
            verdict = await siege.stand(row, dict(row.small), settle=0.2)
            broken = [what for what in verdict.broken if not what.startswith(_LOOSE)]
            assert not broken, verdict.line()
            assert verdict.watch.took
            assert verdict.watch.grown < 64
        assert await siege.complaints() == ""


@pytest.mark.parametrize("attack", ["torrents", "listeners"])
async def test_a_server_of_its_own_settings_stands_too(tmp_path: Path, attack: str) -> None:
    row = next(row for row in ROWS if row.attack == attack)
    async with Siege(tmp_path, row.settings) as siege:
        await siege.warm_up(attacks=False)
        verdict = await siege.stand(row, dict(row.small), settle=0.2)
        assert not [what for what in verdict.broken if not what.startswith(_LOOSE)], verdict.line()
        assert verdict.watch.took
        assert verdict.watch.grown < 96
        assert await siege.complaints() == ""
