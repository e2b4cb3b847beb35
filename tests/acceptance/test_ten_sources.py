"""Ten sources of one film, real peers and servers, of which eight are of no use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab.candidates import SIZE, one, serving, ten_sources
from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]
TIMES = {"CHILLY_SOURCE_PATIENCE": "1", "CHILLY_SOURCE_SLOW": "2"}


async def test_dead_still_fake_lying_and_slow_sources_are_left_in_time_and_the_film_is_right(
    tmp_path: Path, seeder: LibtorrentPeer
) -> None:
    async with serving() as origin, Backend(tmp_path, TIMES, warm=True) as ours:
        sources = await ten_sources(tmp_path / "sources", 3, origin, seeder)
        outcome = await one(ours, sources, 3, TIMES)
    assert [said for said in outcome.broken if "good" not in said] == [], outcome
    kinds = Counter(kind for kind, *_ in outcome.left)
    bad = {"dead": 3, "stalls": 2, "fake": 1, "lies": 1, "slow": 1}
    assert {kind: kinds[kind] for kind in bad} == bad, outcome
    assert outcome.wasted > 0.7 * SIZE, outcome  # of the two that stood still at 40 %
