"""A driver of another package keeps the promises of every driver, and is a source type at once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chilly_movies import WebTorrentDownloader
from chilly_movies.app import create_app
from chilly_movies.errors import SourceRejected
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from tests.contract.driver_suite import (
    Bench,
    DriverSuite,
    accepted,
    left_on,
    run_some,
    run_until_complete,
)
from tests.contract.stranger.plain_driver import PlainDriver
from tests.contract.test_http_file_driver import FILMS, HttpBench, films_served
from tests.contract.web import served_by
from tests.integration.engine import QUIET

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).parent / "stranger/plain_driver.py"


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with films_served() as server:
        made = HttpBench(tmp_path / "media", server, "plain", PlainDriver)
        yield made
        await made.driver.aclose()


class TestPlainDriver(DriverSuite):
    """The suite of all drivers."""


async def test_a_film_that_is_a_shorter_one_by_now_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await run_some(bench.driver, accepted(bench))
    monkeypatch.setitem(FILMS, "/one.mkv", b"short")
    with pytest.raises(SourceRejected):
        await run_until_complete(bench.driver, job)
    assert bench.media_root is not None
    assert "one.mkv" not in left_on(bench.media_root)


async def test_it_keeps_to_the_speed_limit_of_the_user(tmp_path: Path) -> None:
    limit = len(FILMS["/one.mkv"])
    async with films_served() as server:
        bench = HttpBench(tmp_path, server, "plain", PlainDriver, download_limit=limit)
        begun = time.monotonic()
        await run_until_complete(bench.driver, accepted(bench))
        assert time.monotonic() - begun > 0.5
        await bench.driver.aclose()


async def test_a_driver_that_is_handed_in_is_a_source_type_of_the_api(tmp_path: Path) -> None:
    root = tmp_path / "media"
    driver = PlainDriver(root, NetworkPolicy(NetworkConfig(allow_private_addresses=True)))
    downloader = WebTorrentDownloader(
        root, state_dir=tmp_path / "state", drivers={"plain": driver}, **QUIET
    )
    async with films_served() as server, downloader, served_by(create_app(downloader)) as client:
        link = server.replace("http", "plain") + "/one.mkv"
        body = {"id": "a", "sourceType": "plain", "sourceUrn": link}
        assert (await client.post("/download/start", json=body)).status_code == 200
        streamed = await client.get("/stream/a")
        await downloader.wait("a")
        shown = (await client.get("/downloads/a")).json()
        moved = await client.post("/downloads/a/move", json={"folder": "films"})
        async with asyncio.timeout(10), downloader.listen("a") as changes:
            while (job := await downloader.status("a")).moving_to:
                await anext(changes)
    assert (shown["sourceType"], shown["status"], moved.status_code) == ("plain", "completed", 200)
    assert streamed.content == FILMS["/one.mkv"]
    assert (root / str(job.path)).read_bytes() == FILMS["/one.mkv"]
    assert job.path == "films/one.mkv"


def test_the_suite_needs_nothing_else_of_the_tests_and_is_found_from_anywhere(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, json; import tests.contract.driver_suite;"
        "print(json.dumps(sorted(m for m in sys.modules if m.split('.')[0] == 'tests')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(found.stdout) == ["tests", "tests.contract", "tests.contract.driver_suite"]


def test_the_page_for_authors_shows_the_driver_that_is_tested_here() -> None:
    text = DRIVER.read_text()
    assert text in (ROOT / "docs/drivers.md").read_text()
    assert len(text.splitlines()) <= 120
