"""A small siege: hostile clients in numbers against a real server, and a user who is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.siege.field import Siege
from lab.siege.plan import ROWS

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
_LOOSE = ("p99", "ms for 99 of 100", "memory grew")
"""These hang on the machine and on what is loaded already; `make siege` tells them."""
_EVERY_DAY = ("slowloris", "many_bodies", "streams", "odd_ranges")
"""The others have their claims in `test_edge_connections.py`."""


async def test_a_local_user_is_served_throughout_and_the_server_stays_small(
    tmp_path: Path,
) -> None:
    async with Siege(tmp_path, warm=True) as siege:
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


async def test_torrents_made_to_blow_the_parser_up_and_500_listeners_are_stood_too(
    tmp_path: Path,
) -> None:
    rows = [row for row in ROWS if row.settings]
    assert [row.attack for row in rows] == ["torrents", "listeners"]
    settings = {name: value for row in rows for name, value in row.settings.items()}
    async with Siege(tmp_path, settings, warm=True) as siege:
        await siege.warm_up(attacks=False)
        for row in rows:
            verdict = await siege.stand(row, dict(row.small), settle=0.2)
            broken = [what for what in verdict.broken if not what.startswith(_LOOSE)]
            assert not broken, verdict.line()
            assert verdict.watch.took
            assert verdict.watch.grown < 96
        assert await siege.complaints() == ""
