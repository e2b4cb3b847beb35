"""Nothing is lost when the server is killed: random verbs, kills at random moments, all promises.

`make soak ROUNDS=500` runs the same loop long; `SEED=` repeats a run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.crash.fire import Fire

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_no_promise_breaks_in_ten_rounds_of_random_verbs_and_kills(tmp_path: Path) -> None:
    async with Fire(tmp_path, seed=101, host="127.0.101") as fire:
        for _ in range(10):
            await fire.round()
        await fire.finish()
    print(fire.tally.summary())  # noqa: T201
    assert not fire.tally.broken, fire.tally.summary()
    assert fire.tally.rounds == fire.tally.kills + fire.tally.terms - 1 == 10
    assert fire.tally.completed
