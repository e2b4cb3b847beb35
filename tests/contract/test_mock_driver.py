"""The mock driver keeps the promises of every driver, and plays what its script says."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies import errors
from chilly_movies.drivers.mock.driver import MockDriver, MockScript, mock_bytes
from chilly_movies.errors import DownloadError, InvalidSource
from chilly_movies.jobs.models import Job, Phase, Report, Source, SourceType
from chilly_movies.jobs.ports import Driver
from chilly_movies.storage.memory import MemoryResumeStore
from tests.contract.driver_suite import Bench, DriverSuite, accepted, after
from tests.doubles import make_job

pytestmark = pytest.mark.anyio
SIZE = 200_000


async def no_wait(_seconds: float) -> None:
    """Time that passes at once."""
    await asyncio.sleep(0)


def source(query: str = "") -> Source:
    return Source(SourceType.TORRENT, f"mock:?{query}")


class MockBench:
    """A mock driver without waiting, over resume data that survives it."""

    seeds = True
    hostile: tuple[Source, ...] = ()
    media_root: Path | None = None

    def __init__(self) -> None:
        self.sources: tuple[Source, Source] = (
            source(f"name=One&seconds=2&size={SIZE}"),
            source(f"name=Two&seconds=2&size={SIZE}"),
        )
        self.films = (mock_bytes(0, SIZE), mock_bytes(0, SIZE))
        self.broken: tuple[Source, ...] = (
            source("fail=nonsense"), source("size=x"), source("what=1"), source("seconds=-1"),
            source("seconds=nan"), source("seedSeconds=inf"), source(f"size={10**30}"),
            source("peers=-5"), source("failTimes=1.5"),
        )  # fmt: skip
        self._resume = MemoryResumeStore()
        self.driver: Driver = self._make()

    def _make(self) -> MockDriver:
        return MockDriver(resume_store=self._resume, sleep=no_wait)

    async def restart(self) -> None:
        """See `Bench`."""
        await self.driver.aclose()
        self.driver = self._make()


@pytest.fixture
def bench() -> Bench:
    return MockBench()


class TestMockDriver(DriverSuite):
    """The suite of all drivers."""


async def play(driver: MockDriver, job: Job, seen: list[Report] | None = None) -> list[Report]:
    """All reports of a run; they are in `seen` even if it fails."""
    seen = [] if seen is None else seen
    async with aclosing(driver.run(job)) as reports:
        async for report in reports:
            seen += [report]
    return seen


def job_of(query: str = "", **changes: Any) -> Job:
    return make_job("a", source=source(query), **changes)


async def test_a_script_decides_name_size_and_length() -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    driver = MockDriver(tick=0.5, sleep=note)
    query = "name=Film&size=1000&seconds=5&metadataSeconds=3&seedSeconds=2&peers=7"
    seen = await play(driver, job_of(query))
    assert waits == [3.0] + [0.5] * 10 + [0.5] * 4
    assert seen[0].progress.phase is Phase.METADATA
    assert seen[1].facts is not None
    assert [(f.path, f.size) for f in seen[1].facts.files] == [("Film.mkv", 1000)]
    assert [r.progress.bytes_downloaded for r in seen[1:12]] == list(range(0, 1001, 100))
    assert seen[-1].progress.ratio == 1.0
    assert seen[3].progress.peers == 7


async def test_a_film_that_is_not_seeded_ends_with_its_completion() -> None:
    seen = await play(MockDriver(sleep=no_wait), job_of("seedSeconds=0&seconds=1"))
    assert seen[-1].complete
    assert seen[-1].progress.phase is None


async def test_an_empty_film_completes_at_once() -> None:
    seen = await play(MockDriver(sleep=no_wait), job_of("size=0&seedSeconds=0"))
    assert [report.complete for report in seen] == [False, False, True]


@pytest.mark.parametrize("code", ["source_unavailable", "disk_error", "source_rejected",
                                  "driver_crashed"])  # fmt: skip
async def test_a_script_fails_with_the_error_it_names_where_it_says(code: str) -> None:
    seen: list[Report] = []
    job = job_of(f"fail={code}&failAt=40&seconds=5&size=1000")
    with pytest.raises(DownloadError) as failed:
        await play(MockDriver(sleep=no_wait), job, seen)
    assert failed.value.code == code
    assert type(failed.value) in vars(errors).values()
    assert seen[-1].progress.percent == 40


async def test_a_script_can_let_a_later_attempt_through() -> None:
    driver, job = MockDriver(sleep=no_wait), job_of("fail=disk_error&failTimes=2&seconds=1")
    for _ in range(2):
        with pytest.raises(errors.DiskError):
            await play(driver, job)
    assert any(report.complete for report in await play(driver, job))


async def test_the_file_the_caller_did_not_choose_is_unwanted() -> None:
    options = replace(make_job().options, files=(1,))
    seen = await play(MockDriver(sleep=no_wait), job_of("seconds=1", options=options))
    [facts] = [report.facts for report in seen if report.facts is not None]
    assert [file.wanted for file in facts.files] == [False]


@pytest.mark.parametrize(
    ("urn", "name"),
    [
        ("magnet:?xt=urn:btih:a&dn=My+Film", "My Film"), ("https://x.example/a%20b.mkv", "a b.mkv"),
        ("mock:?name=N", "N"), ("mock:?dn=D", "D"), ("mock:", "mock film"), ("x", "x"),
        ("mock:?dn=..%2F..%2Fx", ".._.._x"),
    ],
)  # fmt: skip
async def test_a_film_without_a_name_is_called_after_its_source(urn: str, name: str) -> None:
    job = make_job("a", source=Source(SourceType.TORRENT, urn))
    seen = await play(MockDriver(MockScript(seconds=1), sleep=no_wait), job)
    assert [report.facts.name for report in seen if report.facts is not None] == [name]


async def test_scripts_by_source_win_over_the_default() -> None:
    scripts = {"x": MockScript(name="Mine", seconds=1)}
    driver = MockDriver(MockScript(name="Default"), scripts=scripts, sleep=no_wait)
    job = make_job("a", source=Source(SourceType.HTTP, "x"))
    assert [r.facts.name for r in await play(driver, job) if r.facts is not None] == ["Mine"]


def test_a_broken_script_says_what_it_knows() -> None:
    with pytest.raises(InvalidSource, match="knows no 'speed'; it knows name, size"):
        MockDriver().identify(source("speed=5"))


def test_uploaded_torrents_are_told_apart_by_their_bytes() -> None:
    one, two = (
        MockDriver().identify(Source(SourceType.TORRENT, "", data)) for data in (b"1", b"2")
    )
    assert one != two


async def test_known_files_need_no_metadata_again(bench: Bench) -> None:
    job = accepted(bench)
    for report in await play(MockDriver(sleep=no_wait), job):
        job = after(job, report)
        if report.facts is not None:
            break
    first = (await play(MockDriver(sleep=no_wait), job))[0]
    assert first.progress.phase is Phase.DOWNLOADING


async def test_an_adopted_job_is_complete_at_once_and_stays_where_it_lies() -> None:
    driver = MockDriver(sleep=no_wait)
    seen = await play(driver, job_of("size=1000&seedSeconds=1", path="films/it", adopted=True))
    assert (seen[1].complete, seen[1].path) == (True, "films/it")
    assert all(report.progress.bytes_downloaded == 1000 for report in seen)
