"""What every driver promises. A test module per driver gives the suite a `bench` to work on.

It needs nothing but pytest, anyio and the installed package, so that drivers of other packages can
run it, too; docs/drivers.md tells how.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

import pytest

from chilly_movies.errors import FileNotFound, InvalidSource
from chilly_movies.jobs import events as e
from chilly_movies.jobs.lifecycle import apply
from chilly_movies.jobs.models import Job, Phase, Pool, Report, Source, Status
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.ports import Driver, FileReader
from chilly_movies.names import INCOMPLETE

_NOON = datetime(2030, 1, 2, 12, 0, tzinfo=UTC)
_PATIENCE = 60.0
"""Seconds until what should have ended long ago counts as hanging."""


class Bench(Protocol):
    """What the suite needs to know of a driver.

    Attributes:
        driver: the driver under test.
        sources: two different ones that complete in little time, in more than three reports.
        films: what the first file of each of them holds.
        broken: sources that `identify` refuses.
        hostile: small sources whose names are meant to do harm (`../x`, 300 signs, a reserved
            name); none if the driver takes no name from its sources.
        seeds: whether the driver gives back what it has, if the caller wants that.
    """

    driver: Driver
    sources: tuple[Source, Source]
    films: tuple[bytes, bytes]
    broken: tuple[Source, ...]
    hostile: tuple[Source, ...]
    seeds: bool

    @property
    def media_root(self) -> Path | None:
        """Where films go; None if nothing lies on a disk."""

    async def restart(self) -> None:
        """Close the driver and put another in its place, over the same disk and resume data."""


def accepted(bench: Bench, number: int = 0) -> Job:
    """A job as the core hands it to a driver for the first time."""
    return accepted_job(bench.driver, bench.sources[number], f"job-{number}")


def accepted_job(driver: Driver, source: Source, job_id: str) -> Job:
    """The same for a source of any kind."""
    facts = driver.identify(source)
    job = Job(
        id=job_id,
        key=f"key-{job_id}",
        source=source,
        position=0,
        created_at=_NOON,
        updated_at=_NOON,
        identities=facts.identities,
        name=facts.name,
    )
    return apply(job, e.Started(), _NOON)


def after(job: Job, report: Report) -> Job:
    """The job after a report, as the core keeps it."""
    if report.facts is not None and job.status is Status.ACTIVE:
        job = apply(job, e.MetadataReceived(report.facts), _NOON)
    if report.path is not None and report.path != job.path:
        job = apply(job, e.Publishing(report.path, report.progress), _NOON)
    if report.complete and job.status is Status.ACTIVE:
        return apply(
            job, e.Completed(report.progress, seeding=report.progress.phase is not None), _NOON
        )
    return apply(job, e.Progressed(report.progress, report.reason), _NOON)


async def run_until_complete(driver: Driver, job: Job) -> tuple[Job, list[Report]]:
    """Run a job until it is completed."""
    seen: list[Report] = []
    async with aclosing(driver.run(job)) as reports:
        async for report in reports:
            seen.append(report)
            job = after(job, report)
            if job.status is Status.COMPLETED:
                break
    return job, seen


async def run_some(driver: Driver, job: Job) -> tuple[Job, Report]:
    """Run a job until some bytes are there, then close the iterator."""
    async with aclosing(driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded:
                return job, report
    raise AssertionError("the job ended without a byte")


async def run_past(driver: Driver, job: Job, size: int) -> Job:
    """Run a job until more bytes than this are there, or all of it; then close the iterator."""
    async with aclosing(driver.run(job)) as reports:
        async for report in reports:
            job = after(job, report)
            if report.progress.bytes_downloaded > size or report.complete:
                return job
    return job


async def bytes_of(driver: Driver, job: Job) -> bytes:
    """What the first file of a job holds, as its readers get it."""
    async with aclosing(await driver.open_file(job, job.files[0].index)) as reader:
        found = b""
        while block := await reader.read(len(found), 1 << 20):
            found += block
    return found


def left_on(root: Path) -> list[str]:
    """Every file and folder below the media root, but for the folder of unfinished data itself."""
    there = sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))
    return [path for path in there if path != INCOMPLETE and "/." not in path]


def held() -> tuple[list[str], list[str], list[str]]:
    """The tasks, child processes, and open files and sockets of this process."""
    tasks = sorted(task.get_name() for task in asyncio.all_tasks())
    children, opened, proc = [], [], Path("/proc")
    for stat in proc.glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        if int(rest.split()[1]) == os.getpid():
            children.append(name)
    for descriptor in (proc / "self/fd").glob("*"):
        try:
            opened.append(str(descriptor.readlink()))
        except OSError:  # the one that lists them
            continue
    return tasks, children, opened


async def assert_nothing_more_is_held(before: tuple[Sequence[str], ...]) -> None:
    """Wait until no more is held than before: what is closed may take a moment to be gone."""
    try:
        async with asyncio.timeout(_PATIENCE / 4):
            while any(len(now) > len(was) for now, was in zip(held(), before, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # what the system closes tells nobody
    except TimeoutError:
        now = zip(("tasks", "processes", "descriptors"), held(), before, strict=True)
        left = {what: (is_, was) for what, is_, was in now if len(is_) > len(was)}
        raise AssertionError(f"the closed driver left: {left}") from None


class DriverSuite:
    """Inherit from it in a module that has a fixture `bench`."""

    def test_identifying_a_source_needs_no_loop_and_says_the_same_twice(self, bench: Bench) -> None:
        first, second = (bench.driver.identify(bench.sources[0]) for _ in range(2))
        assert first == second
        assert first.identities

    def test_it_says_whose_slots_its_jobs_take(self, bench: Bench) -> None:
        assert bench.driver.pool in Pool

    def test_different_films_have_no_identity_in_common(self, bench: Bench) -> None:
        one, other = (set(bench.driver.identify(source).identities) for source in bench.sources)
        assert not one & other

    def test_a_broken_source_is_refused_in_one_sentence(self, bench: Bench) -> None:
        for source in bench.broken:
            with pytest.raises(InvalidSource) as refused:
                bench.driver.identify(source)
            assert str(refused.value).endswith(".")
            assert "\n" not in str(refused.value)

    async def test_a_job_gets_facts_then_a_path_then_completes_once(self, bench: Bench) -> None:
        job, seen = await run_until_complete(bench.driver, accepted(bench))
        known = [i for i, report in enumerate(seen) if report.facts is not None]
        placed = [i for i, report in enumerate(seen) if report.path is not None]
        assert known
        assert placed
        assert known[0] < placed[0] <= len(seen) - 1
        assert [report.complete for report in seen] == [False] * (len(seen) - 1) + [True]
        assert job.name
        assert job.files
        assert job.path

    async def test_figures_make_sense_from_the_first_report_to_the_last(self, bench: Bench) -> None:
        _, seen = await run_until_complete(bench.driver, accepted(bench))
        figures = [report.progress for report in seen]
        assert all(0 <= p.percent < 100 for p in figures[:-1])
        assert all(p.download_speed >= 0 and p.peers >= p.seeds >= 0 for p in figures)
        downloading = [p for p in figures if p.phase is Phase.DOWNLOADING]
        arrived = [p.bytes_downloaded for p in downloading]
        assert arrived == sorted(arrived)
        assert {p.bytes_total for p in downloading} == {figures[-1].bytes_total}
        assert figures[-1].percent == 100
        assert all(report.needs is None or report.needs >= 0 for report in seen)
        assert figures[-1].bytes_downloaded == figures[-1].bytes_total

    async def test_before_the_metadata_no_size_is_claimed(self, bench: Bench) -> None:
        _, seen = await run_until_complete(bench.driver, accepted(bench))
        early = [r.progress for r in seen if r.progress.phase is Phase.METADATA]
        assert all(p.bytes_total is None and p.bytes_downloaded == 0 for p in early)

    async def test_a_closed_run_goes_on_from_what_was_there(self, bench: Bench) -> None:
        job, last = await run_some(bench.driver, accepted(bench))
        _, seen = await run_until_complete(bench.driver, job)
        again = [r.progress for r in seen if r.progress.phase is Phase.DOWNLOADING]
        assert again[0].bytes_downloaded >= last.progress.bytes_downloaded
        assert seen[-1].complete

    async def test_a_run_goes_on_after_a_restart(self, bench: Bench) -> None:
        job, last = await run_some(bench.driver, accepted(bench))
        await bench.restart()
        job, seen = await run_until_complete(bench.driver, job)
        again = [r.progress for r in seen if r.progress.phase is Phase.DOWNLOADING]
        assert again[0].bytes_downloaded >= last.progress.bytes_downloaded
        assert job.status is Status.COMPLETED

    async def test_a_cancelled_task_ends_the_run_and_it_can_go_on(self, bench: Bench) -> None:
        job, moving = accepted(bench), asyncio.Event()

        async def consume() -> None:
            async with aclosing(bench.driver.run(job)) as reports:
                async for report in reports:
                    if report.progress.bytes_downloaded:
                        moving.set()

        task, moves = asyncio.create_task(consume()), asyncio.create_task(moving.wait())
        await asyncio.wait([task, moves], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        moves.cancel()
        await asyncio.wait([task, moves])
        assert task.cancelled(), task
        again, _ = await run_until_complete(bench.driver, job)
        assert again.status is Status.COMPLETED

    async def test_a_completed_job_is_seeded_or_left_as_it_is_and_not_fetched_again(
        self, bench: Bench
    ) -> None:
        job, _ = await run_until_complete(bench.driver, accepted(bench))
        await bench.restart()
        async with aclosing(bench.driver.run(replace(job, seeding=bench.seeds))) as reports:
            report = await anext(reports)
            while report.progress.phase is Phase.CHECKING:
                report = await anext(reports)
        assert report.progress.percent == 100
        assert report.progress.phase is (Phase.SEEDING if bench.seeds else None)
        assert report.facts is None or report.facts.files
        assert report.path in (None, job.path)

    async def test_a_run_that_is_closed_before_its_first_report_leaves_nothing(
        self, bench: Bench
    ) -> None:
        await bench.driver.run(accepted(bench)).aclose()
        job, _ = await run_until_complete(bench.driver, accepted(bench))
        assert job.status is Status.COMPLETED

    async def test_two_jobs_run_at_once(self, bench: Bench) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(run_until_complete(bench.driver, accepted(bench, number)))
                for number in (0, 1)
            ]
        jobs = [task.result()[0] for task in tasks]
        assert [job.status for job in jobs] == [Status.COMPLETED] * 2
        assert jobs[0].path != jobs[1].path

    async def test_a_removed_job_begins_anew(self, bench: Bench) -> None:
        job, _ = await run_some(bench.driver, accepted(bench))
        await bench.driver.remove(job, delete_files=False)
        async with aclosing(bench.driver.run(accepted(bench))) as reports:
            first = await anext(reports)
        assert first.progress.bytes_downloaded == 0

    @pytest.mark.parametrize("delete_files", [True, False])
    async def test_removing_what_was_never_run_or_is_gone_is_fine(
        self, bench: Bench, delete_files: bool
    ) -> None:
        for _ in range(2):
            await bench.driver.remove(accepted(bench), delete_files=delete_files)

    async def test_a_file_can_be_read_from_the_facts_on_and_after_completion(
        self, bench: Bench
    ) -> None:
        job = accepted(bench)
        readers: list[FileReader] = []
        async with aclosing(bench.driver.run(job)) as reports:
            async for report in reports:
                job = after(job, report)
                if job.files and not readers:
                    readers = [await bench.driver.open_file(job, job.files[0].index)]
                if job.status is Status.COMPLETED:
                    break
        [reader] = readers
        late = await bench.driver.open_file(job, job.files[0].index)
        assert reader.size == late.size == job.files[0].size
        assert reader.name == late.name == job.files[0].path.split("/")[-1]
        for at in (0, 1, reader.size // 2, reader.size - 1):
            one, other = await reader.read(at, 100), await late.read(at, 100)
            assert one == other == bench.films[0][at : at + 100]
        assert await late.read(late.size, 1) == b""
        assert (late.available(0), late.available(late.size)) == (late.size, 0)
        for each in (reader, late, late):
            await each.aclose()

    async def test_a_read_of_what_is_missing_can_be_cancelled(self, bench: Bench) -> None:
        job, _ = await run_some(bench.driver, accepted(bench))
        reader = await bench.driver.open_file(job, job.files[0].index)
        reading = asyncio.ensure_future(reader.read(reader.size - 1, 1))
        await asyncio.wait([reading], timeout=0.05)
        reading.cancel()
        await asyncio.wait([reading])
        await reader.aclose()
        again, _ = await run_until_complete(bench.driver, job)
        assert again.status is Status.COMPLETED

    async def test_a_file_that_is_not_there_cannot_be_read(self, bench: Bench) -> None:
        job, _ = await run_some(bench.driver, accepted(bench))
        with pytest.raises(FileNotFound):
            await bench.driver.open_file(job, 9999)

    async def test_files_show_how_far_they_are(self, bench: Bench) -> None:
        job, _ = await run_some(bench.driver, accepted(bench))
        for file, standing in zip(job.files, await bench.driver.files(job), strict=True):
            assert (standing.index, standing.priority) == (file.index, 4)
            assert 0 <= standing.done <= file.size
        job, _ = await run_until_complete(bench.driver, job)
        assert [f.done for f in await bench.driver.files(job)] == [f.size for f in job.files]

    async def test_other_options_are_taken_over_while_a_job_runs(self, bench: Bench) -> None:
        job, changed = accepted(bench), False
        async with aclosing(bench.driver.run(job)) as reports:
            async for report in reports:
                job = after(job, report)
                if job.files and not changed:
                    options = Options(download_limit=50_000_000, upload_limit=0, seed_time=0)
                    job, changed = replace(job, options=options), True
                    await bench.driver.adjust(job)
        assert changed
        assert (job.status, job.seeding) == (Status.COMPLETED, False)

    async def test_a_goal_that_is_reached_already_ends_the_seeding(self, bench: Bench) -> None:
        job, _ = await run_until_complete(bench.driver, accepted(bench))
        if not bench.seeds:
            return
        async with aclosing(bench.driver.run(job)) as reports, asyncio.timeout(10):
            async for report in reports:
                if report.progress.phase is Phase.SEEDING:
                    await bench.driver.adjust(replace(job, options=Options(seed_ratio=0.0)))

    @pytest.mark.parametrize("number", [0, 1])
    async def test_options_of_a_job_that_does_not_run_are_nothing_to_take_over(
        self, bench: Bench, number: int
    ) -> None:
        job = accepted(bench)
        if number:
            job, _ = await run_some(bench.driver, job)
        await bench.driver.adjust(replace(job, options=Options(order="sequential", files=(0,))))
        job, _ = await run_until_complete(bench.driver, job)
        assert job.status is Status.COMPLETED

    async def test_closing_twice_is_fine(self, bench: Bench) -> None:
        await run_some(bench.driver, accepted(bench))
        await bench.driver.aclose()
        await bench.driver.aclose()

    async def test_a_film_is_right_at_the_end_wherever_its_runs_were_closed(
        self, bench: Bench
    ) -> None:
        job, film = accepted(bench), bench.films[0]
        for part in (0, 1, 3, 4):
            job = await run_past(bench.driver, job, len(film) * part // 5)
            if part == 3:
                await bench.restart()
        job, _ = await run_until_complete(bench.driver, job)
        assert await bytes_of(bench.driver, job) == film
        if bench.media_root is not None:
            assert (bench.media_root / job.files[0].path).read_bytes() == film

    async def test_a_storm_of_cancels_leaves_a_job_that_runs_to_the_right_film(
        self, bench: Bench
    ) -> None:
        job = accepted(bench)

        async def consume() -> None:
            async with aclosing(bench.driver.run(job)) as reports:
                async for _ in reports:
                    pass

        async with asyncio.timeout(_PATIENCE):
            for passes in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
                task = asyncio.create_task(consume())
                for _ in range(passes):
                    await asyncio.sleep(0)
                task.cancel()
                task.cancel()
                await asyncio.wait([task])
            job, _ = await run_until_complete(bench.driver, job)
        assert await bytes_of(bench.driver, job) == bench.films[0]

    async def test_a_removed_job_leaves_nothing_of_itself_on_the_disk(self, bench: Bench) -> None:
        if (root := bench.media_root) is None:
            pytest.skip("this driver keeps nothing on a disk")
        half, _ = await run_some(bench.driver, accepted(bench))
        whole, _ = await run_until_complete(bench.driver, accepted(bench, 1))
        await bench.driver.remove(half, delete_files=False)
        await bench.driver.remove(whole, delete_files=False)
        assert left_on(root) == [whole.files[0].path]
        await bench.driver.remove(whole, delete_files=True)
        assert left_on(root) == []

    async def test_what_a_crash_left_of_canceled_jobs_is_deleted_and_what_is_nobodys_stays(
        self, bench: Bench
    ) -> None:
        if (root := bench.media_root) is None:
            pytest.skip("this driver keeps nothing on a disk")
        half, _ = await run_some(bench.driver, accepted(bench))
        stray = root / INCOMPLETE / "nobodys"
        stray.mkdir(parents=True)
        await bench.restart()
        canceled = apply(half, e.Canceled(), _NOON)
        assert set(await bench.driver.reconcile([canceled])) <= {"nobodys"}
        assert left_on(root) == [f"{INCOMPLETE}/nobodys"]

    async def test_hostile_names_become_harmless_ones_in_the_media_root(self, bench: Bench) -> None:
        if (root := bench.media_root) is None or not bench.hostile:
            pytest.skip("this driver takes no names from its sources")
        root.mkdir(exist_ok=True)
        beside = {path for path in root.parent.iterdir() if path != root}
        for number, source in enumerate(bench.hostile):
            job = accepted_job(bench.driver, source, f"hostile-{number}")
            job, _ = await run_until_complete(bench.driver, job)
            for file in job.files:
                path = PurePosixPath(file.path)
                assert not path.is_absolute()
                assert not {"", ".", "..", INCOMPLETE} & set(path.parts), file.path
                assert file.path.isprintable()
                assert all(len(part.encode()) <= 255 for part in path.parts), file.path
                found = root / path
                assert found.is_file()
                assert found.resolve().is_relative_to(root.resolve())
        assert {path for path in root.parent.iterdir() if path != root} == beside

    async def test_a_closed_driver_leaves_no_task_process_socket_or_file(
        self, bench: Bench
    ) -> None:
        await run_until_complete(bench.driver, accepted(bench, 1))
        await bench.driver.aclose()
        before = held()
        await bench.restart()
        job, _ = await run_some(bench.driver, accepted(bench))
        async with aclosing(await bench.driver.open_file(job, job.files[0].index)) as reader:
            task = asyncio.create_task(run_until_complete(bench.driver, job))
            await asyncio.wait([task], timeout=0.05)
            task.cancel()
            await asyncio.wait([task])
            assert reader.available(0) >= 0
        await bench.driver.aclose()
        await assert_nothing_more_is_held(before)
