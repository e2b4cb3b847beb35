"""The suite of all drivers on the one for files of this machine, which copies here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.disk.roots import Roots
from chilly_movies.drivers.local.driver import LocalDriver
from chilly_movies.jobs.models import Job, Report, Source, SourceType
from chilly_movies.jobs.ports import Driver
from chilly_movies.storage.memory import MemoryResumeStore
from tests.contract.driver_suite import Bench, DriverSuite

pytestmark = pytest.mark.anyio
FILMS = (bytes(range(251)) * 9000, bytes(range(1, 252)) * 9000)
_HOSTILE = ("CON.mkv", "a\u202egpj.mkv", "x:y?*.mkv", "...mkv", "x" * 250 + ".mkv")


class CopyingDriver(LocalDriver):
    """A link is there at once; only a copy can be stopped on its way."""

    def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        job = replace(job, options=replace(job.options, mode="copy"))
        return super().run(job, check=check)


def local(name: str) -> Source:
    return Source(SourceType.LOCAL, f"films/{name}")


class LocalBench:
    """A driver for files of this machine; the disk and the resume data survive it."""

    seeds = False
    films = FILMS
    broken = tuple(
        Source(SourceType.LOCAL, urn) for urn in ("", "/etc/passwd", "films", "films/../x", "x/y")
    )

    def __init__(self, folder: Path) -> None:
        self._folder, self._store = folder, MemoryResumeStore()
        self.media_root = folder / "media"
        films = folder / "films"
        films.mkdir()
        for name, film in zip(("one.mkv", "two.mkv"), FILMS, strict=True):
            (films / name).write_bytes(film)
        for name in _HOSTILE:
            (films / name).write_bytes(b"a small film")
        self.sources = (local("one.mkv"), local("two.mkv"))
        self.hostile = tuple(map(local, _HOSTILE))
        self.driver: Driver = self._made()

    def _made(self) -> LocalDriver:
        roots = Roots({"films": self._folder / "films"}, (self.media_root,))
        return CopyingDriver(self.media_root, roots, self._store)

    async def restart(self) -> None:
        """See `Bench`."""
        await self.driver.aclose()
        self.driver = self._made()


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    made = LocalBench(tmp_path)
    yield made
    await made.driver.aclose()


class TestLocalDriver(DriverSuite):
    """The suite of all drivers."""
