"""Web servers that misbehave: each download ends in the right film or in the right sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chilly_movies import Status
from tests.integration.http_rig import fetch, fetching
from tests.integration.odd_origins import FILM, ODD, Odd, origin

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
async def test_a_download_ends_right_or_says_why_not(odd: Odd, tmp_path: Path) -> None:
    async with origin(odd.serve) as web, fetching(tmp_path / "media") as downloader:
        url = web.url.replace("http:", "https:") if odd.tls else web.url
        job = await fetch(downloader, url)
    published = [path for path in (tmp_path / "media").iterdir() if path.name != ".incomplete"]
    if odd.film is None:
        assert job.status is Status.FAILED
        assert job.error is not None
        assert re.fullmatch(odd.code, job.error.code), job.error
        assert re.search(odd.says, job.error.message), job.error
        assert job.error.message.endswith(".")
        assert published == []
    else:
        assert (job.status, job.error) == (Status.COMPLETED, None)
        assert [path.name for path in published] == ["film.mkv"]
        assert published[0].read_bytes() == odd.film
        assert job.progress.bytes_total == len(odd.film)
        assert web.sent < 6 * len(FILM), "it asked for the same bytes again and again"
