"""Jobs, listeners and readers come and go; what the server holds afterwards is what it held before.

`make leaks MINUTES=10` does the same for long, with 50 jobs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.crash.churn import Churn, growth

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_nothing_is_kept_of_jobs_listeners_and_readers_that_are_gone(tmp_path: Path) -> None:
    async with Churn(tmp_path, seed=5, jobs=12) as churn:
        before = await churn.bout(5)
        after = await churn.bout(6)
        for _ in range(5):  # a connection that is closing may look still for seconds: no leak ends
            if after.descriptors > before.descriptors + 1:
                after = await churn.quiet()
        assert not churn.broken
        assert after.lives - before.lives >= 12
        assert after.descriptors <= before.descriptors + 1, churn.open_files()
        assert after.tasks == before.tasks, churn.told["task_kinds"]
        assert after.threads <= before.threads + 6  # a pool that grows when it is needed
        assert growth(before, after)["memory"] < 20
