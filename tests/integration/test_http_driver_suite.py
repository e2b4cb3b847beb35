"""The http driver keeps what every driver promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.drivers.http.driver import HttpDriver
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.ports import Driver
from chilly_movies.net.policy import NetworkConfig, NetworkPolicy
from chilly_movies.storage.memory import MemoryResumeStore
from tests.contract.driver_suite import Bench, DriverSuite, accepted, run_until_complete
from tests.integration.file_origin import FileOrigin, file_origin

pytestmark = pytest.mark.anyio
FILMS = (bytes(range(251)) * 6000, bytes(range(1, 252)) * 6000)
HOSTILE = ("..%2f..%2fetc%2fpasswd.mkv", "a" * 300 + ".mkv", "x%00y.mkv", "CON.mkv", "..mkv")


class HttpBench:
    """The driver; the disk and the claims survive it."""

    seeds = False

    def __init__(self, root: Path, origin: FileOrigin) -> None:
        one, two = (
            Source(SourceType.HTTP, origin.serve(f"/{name}.mkv", film, rate=4_000_000))
            for name, film in zip(("one", "two"), FILMS, strict=True)
        )
        self.sources: tuple[Source, Source] = (one, two)
        self.films: tuple[bytes, bytes] = FILMS
        self.broken: tuple[Source, ...] = tuple(
            Source(SourceType.HTTP, urn)
            for urn in ("nonsense", "ftp://x.example/a.mkv", "http:///a.mkv", "http://a b/c")
        )
        self.hostile: tuple[Source, ...] = tuple(
            Source(SourceType.HTTP, origin.serve(f"/{name}", FILMS[0][:100])) for name in HOSTILE
        )
        self.media_root: Path | None = root
        self._policy = NetworkPolicy(NetworkConfig(allow_private_addresses=True))
        self._resume = MemoryResumeStore()
        self.driver: Driver = HttpDriver(root, self._resume, self._policy)

    async def restart(self) -> None:
        """See `Bench`."""
        await self.driver.aclose()
        assert self.media_root is not None
        self.driver = HttpDriver(self.media_root, self._resume, self._policy)


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with file_origin() as origin:
        made = HttpBench(tmp_path / "media", origin)
        yield made
        await made.driver.aclose()


class TestHttpDriver(DriverSuite):
    """The suite of all drivers."""


async def test_a_finished_film_is_moved_and_checked_where_it_is_then(bench: Bench) -> None:
    job, _ = await run_until_complete(bench.driver, accepted(bench))
    moving = replace(job, moving_to="Films/one.mkv")
    [*_, last] = [report async for report in bench.driver.run(moving)]
    assert (last.path, last.complete) == ("Films/one.mkv", True)
    moved = replace(job, path=last.path, files=job.files_at(last.path or ""))
    [*_, last] = [report async for report in bench.driver.run(moved, check=True)]
    assert "was not written to" in (last.reason or "")
