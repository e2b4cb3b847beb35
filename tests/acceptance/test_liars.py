"""A peer and a web seed that send rubbish, and a tracker that lies: the film arrives all the same.

`python -m lab.crash.liars --rounds 100` does it for long.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.crash.liars import Neighbourhood

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_among_liars_a_film_arrives_whole_with_little_waste_and_a_sentence(
    tmp_path: Path,
) -> None:
    async with Neighbourhood(tmp_path, seed=17) as neighbourhood:
        verdict = neighbourhood.verdict
        await neighbourhood.round()
        if verdict.is_wasteful:  # as one round in a hundred: the median of three is asked for
            await neighbourhood.round()
            await neighbourhood.round()
        assert not verdict.broken, verdict.summary()
        assert not verdict.is_wasteful, verdict.summary()
        assert verdict.wasted[0] > 0  # they had their chance
