"""Files behind a real nginx: with parts and without, limited, packed, and changed in the middle."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies import Status
from tests.integration.http_rig import WITHIN, fetch, fetching
from tests.peers.available import require
from tests.peers.nginx import Nginx, nginx

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
MIB = 1 << 20
FILM = hashlib.shake_256(b"nginx").digest(4 * MIB)


@pytest.fixture
async def web(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Nginx]:
    require("nginx")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "film.mkv").write_bytes(FILM)
    async with nginx(tmp_path / "site", rate=MIB) as made:
        yield made


async def test_a_film_of_nginx_is_right_whatever_it_is_told_to_do(
    web: Nginx, tmp_path: Path
) -> None:
    ways = ("", "plain/", "one/", "gzip/", "slow/")
    async with fetching(tmp_path / "media") as downloader:
        jobs = [fetch(downloader, f"{web.url}/{way}film.mkv", id=way[:-1] or "a") for way in ways]
        for way, job in zip(ways, await asyncio.gather(*jobs), strict=True):
            assert job.status is Status.COMPLETED, (way, job.error)
            assert (tmp_path / "media" / str(job.path)).read_bytes() == FILM, way


async def test_a_film_that_is_replaced_in_the_middle_is_the_new_one_as_a_whole(
    web: Nginx, tmp_path: Path
) -> None:
    other = FILM[::-1]
    async with fetching(tmp_path / "media", download_limit=4 * MIB) as downloader:
        wish = {"sourceType": "http", "sourceUrn": f"{web.url}/film.mkv"}
        await downloader.start(wish, id="a")
        async with asyncio.timeout(WITHIN), downloader.listen("a") as changes:
            while (await downloader.status("a")).progress.percent < 20:
                await anext(changes)
        await downloader.pause("a")
        (tmp_path / "site" / "new").write_bytes(other)
        os.utime(tmp_path / "site" / "new", (1e9, 1e9))  # nginx makes its tag of date and size
        (tmp_path / "site" / "new").replace(tmp_path / "site" / "film.mkv")
        await downloader.resume("a")
        async with asyncio.timeout(WITHIN):
            job = await downloader.wait("a")
    assert job.status is Status.COMPLETED
    assert (tmp_path / "media" / str(job.path)).read_bytes() == other
