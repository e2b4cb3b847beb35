"""How well a file behind a link keeps to a limit that is low."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.integration.file_origin import file_origin
from tests.integration.http_rig import fetching

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
LIMIT = 200_000
AT_ONCE = 120_000
"""Bytes that each of eight connections may have ready before it waits."""


@pytest.mark.parametrize("whose", ["the job's", "everybody's"])
async def test_a_low_limit_holds_from_the_first_second_over_eight_connections(
    tmp_path: Path, whose: str
) -> None:
    own, common = (LIMIT, 0) if whose == "the job's" else (0, LIMIT)
    clock = asyncio.get_running_loop().time
    async with file_origin() as origin, fetching(tmp_path, download_limit=common) as downloader:
        link = origin.serve("/film.mkv", os.urandom(32 << 20))
        wish = {"sourceType": "http", "sourceUrn": link}
        began, last = clock(), 0
        await downloader.start(wish, id="a", download_limit=own)
        async with downloader.listen("a") as changes:
            async for _ in changes:
                seconds, job = clock() - began, await downloader.status("a")
                assert job.figures.downloaded <= LIMIT * (seconds + 0.5) + 8 * AT_ONCE
                last = job.progress.bytes_downloaded
                if seconds > 2.5:
                    break
    assert last == pytest.approx(LIMIT * seconds, rel=0.4)
    assert origin.most_open > 1
