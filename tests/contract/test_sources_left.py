"""What the core makes of a driver's reports: sources that are left, a halted network, new data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from chilly_movies.errors import NotReadable, SourceUnavailable
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.models import (
    Job,
    MediaFile,
    Phase,
    Progress,
    Report,
    SourceFacts,
    SourceType,
    Status,
)
from chilly_movies.jobs.source_rules import SourceRules
from tests.contract.rig import SCRIPT, NotingDriver, Rig, reach, reach_when
from tests.contract.web import Api, api
from tests.doubles import until

pytestmark = pytest.mark.anyio
QUICK = SourceRules(silence=0.3, slow=0.6, min_speed=30_000)
OWN, NEXT, LAST = (f"mock:?name={name}" for name in ("own", "next", "last"))

Run = Callable[[Job], AsyncGenerator[Report, None]]


class Scripted(NotingDriver):
    """Runs sources as the test says, and as the mock driver does if it says nothing.

    Attributes:
        scripts: for each source its runs, one after the other.
        closed_runs: how many of these were closed before their end.
    """

    def __init__(self, scripts: dict[str, list[Run]]) -> None:
        super().__init__(SCRIPT, tick=1.0, sleep=lambda _: asyncio.sleep(0))
        self.scripts = scripts
        self.closed_runs = 0

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """See `MockDriver`."""
        runs = self.scripts.get(job.source.urn)
        running = runs.pop(0)(job) if runs else super().run(job, check=check)
        try:
            async with aclosing(running) as reports:
                async for report in reports:
                    yield report
        except GeneratorExit:
            self.closed_runs += 1
            raise


def sends(speed: int, until_bytes: int = 10**12) -> Run:
    """A source that sends so many bytes per second, and stands still in the end."""

    async def run(job: Job) -> AsyncGenerator[Report, None]:
        done = 0
        yield Report(Progress(phase=Phase.DOWNLOADING), facts=facts_of("film.mkv"))
        while True:
            progress = Progress(bytes_downloaded=done, phase=Phase.DOWNLOADING)
            yield Report(progress, figures=Figures(downloaded=done))
            await asyncio.sleep(0.01)
            done = min(until_bytes, done + speed // 100)

    return run


def facts_of(*names: str, size: int = 1000) -> SourceFacts:
    return SourceFacts((), "film", tuple(MediaFile(i, n, size) for i, n in enumerate(names)))


def has(facts: SourceFacts) -> Run:
    async def run(job: Job) -> AsyncGenerator[Report, None]:
        yield Report(Progress(phase=Phase.DOWNLOADING), facts=facts)
        await asyncio.sleep(60)

    return run


async def left(downloader: Downloader, job_id: str = "a") -> list[tuple[str, str]]:
    """Which sources were left, and why."""
    changes = await downloader.changes_since(0, job_id)
    told = [change.news for change in changes if change.event == "source" and change.news]
    return [(news["from"]["sourceUrn"].rpartition("=")[2], news["reason"]) for news in told]


async def driven(rig: Rig, scripts: dict[str, list[Run]], **wishes: Any) -> Job:
    """A job of three sources, once it is completed."""
    driver = Scripted(scripts)
    downloader = rig.make(drivers=dict.fromkeys(SourceType, driver), rules=QUICK)
    candidates = [{"sourceUrn": NEXT, "size": 1000}, {"sourceUrn": LAST}]
    await rig.add("a", **{"source_urn": OWN, "candidates": candidates, **wishes})
    return await reach(downloader, "a", Status.COMPLETED, Status.FAILED)


async def test_silent_and_slow_sources_are_left_with_words_and_what_they_sent_is_waste(
    rig: Rig,
) -> None:
    job = await driven(rig, {OWN: [sends(0)], NEXT: [sends(20_000)]})
    (own, silent), (slow, why) = await left(rig.downloader)
    assert (own, silent) == ("own", "Nothing came for 0 s: nothing was sent.")
    assert slow == "next"
    assert why.endswith("a second came for 1 s, less than 30 kB.")
    assert (job.status, job.running_source.urn, job.attempts) == (Status.COMPLETED, LAST, 0)
    wasted = job.figures.wasted
    assert 5_000 < wasted < 60_000
    assert job.figures.downloaded == wasted + 1000 * 501 // 500 - 2
    assert (await rig.downloader.stats()).session.wasted == wasted


async def test_sources_without_a_film_or_of_another_size_are_left_before_a_byte_is_fetched(
    rig: Rig,
) -> None:
    fake, lying = has(facts_of("film.rar", "password.txt")), has(facts_of("film.mkv", size=400))
    job = await driven(rig, {OWN: [fake], NEXT: [lying]})
    assert await left(rig.downloader) == [
        ("own", "It holds no film; its largest file is 'film.rar'."),
        ("next", "It has 400 B, but 1 kB were announced."),
    ]
    assert job.running_source.urn == LAST


async def test_files_that_somebody_chose_by_hand_are_a_wish_and_no_fake(rig: Rig) -> None:
    async def subtitles(job: Job) -> AsyncGenerator[Report, None]:
        done = Progress(100.0, 1000, 1000)
        yield Report(Progress(phase=Phase.DOWNLOADING), facts=facts_of("film.srt"))
        yield Report(done, path="film.srt", complete=True)

    job = await driven(rig, {OWN: [subtitles]}, files=[0])
    assert (job.path, await left(rig.downloader)) == ("film.srt", [])


async def test_when_no_other_is_left_a_silent_source_is_tried_once_more_and_one_that_sent_last(
    rig: Rig,
) -> None:
    fake = has(facts_of("a.zip"))
    slow = [sends(20_000, 5_000), sends(0)]
    scripts = {OWN: slow, NEXT: [sends(0), fake], LAST: [fake]}
    driver = Scripted(scripts)
    downloader = rig.make(drivers=dict.fromkeys(SourceType, driver), rules=QUICK)
    candidates = [{"sourceUrn": NEXT}, {"sourceUrn": LAST}]
    await rig.add("a", source_urn=OWN, candidates=candidates)
    await until(lambda: not any(scripts.values()))
    job = await reach(downloader, "a", Status.ACTIVE)
    assert [source for source, _ in await left(downloader)] == ["own", "next", "last", "next"]
    assert (job.running_source.urn, job.next_source) == (OWN, None)
    before = job.spent, job.again, job.left
    await downloader.pause("a")
    job = await (await rig.restart()).status("a")
    assert (job.spent, job.again, job.left, job.generation) == (*before, 4)


class Bound(Downloader):
    """A downloader whose network a test halts."""

    problem: str | None = None

    @property
    def network_problem(self) -> str | None:
        """See `Downloader`."""
        return self.problem


async def test_while_the_network_is_halted_a_run_is_closed_and_counts_no_failure(rig: Rig) -> None:
    broken = asyncio.Event()

    async def fails(job: Job) -> AsyncGenerator[Report, None]:
        yield Report(Progress(phase=Phase.DOWNLOADING))
        await broken.wait()
        raise SourceUnavailable("No route to host.")

    driver = Scripted({OWN: [sends(50_000)]})
    rig.make()
    downloader = Bound(dict.fromkeys(SourceType, driver), rig.stores()[0])
    async with downloader:
        await downloader.start(id="a", source_urn=OWN, candidates=[{"sourceUrn": NEXT}])
        await reach_when(downloader, "a", lambda job: job.progress.bytes_downloaded > 1000)
        downloader.problem = "the interface is down"
        job = await reach_when(downloader, "a", lambda job: job.reason == "the interface is down")
        assert (job.status, job.attempts, driver.closed_runs) == (Status.ACTIVE, 0, 1)
        assert job.progress.bytes_downloaded > 1000
        driver.scripts[OWN] = [fails]
        downloader.problem = None
        await until(lambda: not driver.scripts[OWN])
        downloader.problem = "it is down again"
        broken.set()
        await reach_when(downloader, "a", lambda job: job.reason == "it is down again")
        downloader.problem = None
        job = await downloader.wait("a")
        assert (job.status, job.attempts, job.running_source.urn) == (Status.COMPLETED, 0, OWN)
        assert "retrying" not in [c.event for c in await downloader.changes_since(0)]


async def test_a_driver_that_says_itself_why_it_waits_is_left_alone(rig: Rig) -> None:
    async def waits(job: Job) -> AsyncGenerator[Report, None]:
        while True:
            yield Report(Progress(phase=Phase.DOWNLOADING), downloader.problem)
            await asyncio.sleep(0.01)

    driver = Scripted({OWN: [waits]})
    rig.make()
    downloader = Bound(dict.fromkeys(SourceType, driver), rig.stores()[0])
    async with downloader:
        await downloader.start(id="a", source_urn=OWN)
        await reach(downloader, "a", Status.ACTIVE)
        downloader.problem = "it is down"
        await reach_when(downloader, "a", lambda job: job.reason == "it is down")
        await asyncio.sleep(0.1)
        assert driver.closed_runs == 0


async def test_a_file_that_changed_at_its_origin_ends_readers_and_has_another_etag() -> None:
    changed = asyncio.Event()

    async def anew(job: Job) -> AsyncGenerator[Report, None]:
        progress = Progress(10.0, 100, 1000, phase=Phase.DOWNLOADING)
        yield Report(progress, facts=facts_of("own.mkv"))
        await changed.wait()
        yield Report(Progress(phase=Phase.DOWNLOADING), "The file changed.", anew=True)
        yield Report(Progress(phase=Phase.DOWNLOADING))
        while True:
            await asyncio.sleep(0.01)
            yield Report(progress)

    async with api() as web:
        driver = Scripted({OWN: [anew]})
        web.downloader._drivers.update(dict.fromkeys(SourceType, driver))
        before = await _etag(web)
        async with web.downloader.open_file("a", 0) as reader:
            reading = asyncio.ensure_future(reader.read(900, 10))
            await asyncio.sleep(0.01)
            changed.set()
            with pytest.raises(NotReadable, match="open it again"):
                await reading
        job = await reach_when(web.downloader, "a", lambda job: job.generation)
        assert (job.generation, job.attempts, job.status) == (1, 0, Status.ACTIVE)
        assert job.figures.wasted == 100
        assert await left(web.downloader) == [("own", "The file changed.")]
        await reach_when(web.downloader, "a", lambda job: job.progress.bytes_downloaded)
        assert await _etag(web) != before


async def _etag(web: Api) -> str:
    if "a" not in [job.id for job in await web.downloader.list()]:
        await web.downloader.start(id="a", source_urn=OWN)
        await reach_when(web.downloader, "a", lambda job: job.files)
    answer = await web.client.head("/stream/a/0")
    return str(answer.headers["etag"])


async def test_what_arrives_is_counted_where_a_driver_does_not_count(rig: Rig) -> None:
    async def plain(job: Job) -> AsyncGenerator[Report, None]:
        yield Report(Progress(phase=Phase.METADATA))
        for done in (300, 700):
            progress = Progress(bytes_downloaded=done, phase=Phase.DOWNLOADING)
            yield Report(progress, facts=facts_of("film.mkv"))
        yield Report(Progress(bytes_downloaded=900, phase=Phase.CHECKING))
        yield Report(Progress(phase=Phase.DOWNLOADING), "It changed.", anew=True)
        yield Report(Progress(bytes_downloaded=1000, phase=Phase.DOWNLOADING))
        yield Report(Progress(100.0, 1000, 1000), path="film.mkv", complete=True)

    job = await driven(rig, {OWN: [plain]})
    assert (job.figures.downloaded, job.figures.wasted) == (1700, 700)
    stats = await rig.downloader.stats()
    assert (stats.session.downloaded, stats.session.wasted) == (1700, 700)
