"""Runs jobs: one task each, which asks the job's driver for reports and records what they say."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from chilly_movies.errors import (
    ChillyError,
    DiskError,
    DiskFull,
    DriverCrashed,
    DuplicateDownload,
    EngineError,
    FilmDamaged,
    InvalidRequest,
    JobLost,
    OutOfDescriptors,
    SourceRejected,
    SourceUnavailable,
    StoreError,
)
from chilly_movies.jobs import events as e
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.meter import Meter
from chilly_movies.jobs.models import (
    Job,
    JobError,
    Pool,
    Report,
    Source,
    SourceFacts,
    Status,
)
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.retry import Patience, RetryPolicy, hint_of, next_delay, patience_with
from chilly_movies.jobs.source_rules import FETCHING, SourceWatch, own_limit, why_no_film
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.descriptors import shortage
from chilly_movies.runtime.tasks import to_the_end

log = structlog.get_logger(__name__)

_STORE_PAUSE = 1.0
"""Seconds until something about a job that could not be stored is stored again."""
DISK_PAUSES = RetryPolicy(base=2.0, cap=60.0)
"""How long a job waits after trouble with the disk that nobody but the job itself would see."""
_PATIENCE = 4.0
"""Seconds that running jobs get to save what they have when the program ends."""
_LOOK_AGAIN = 2.0
"""Seconds between two looks at a media folder that is not well."""
_LONGEST_HINT = 4
"""A server may ask to wait so many times longer than we would at most."""
_HALTED_PAUSE = 0.5
"""Seconds between two looks at a network over which nothing may be sent."""


@dataclass(frozen=True, slots=True)
class Network:
    """What may be sent and received at the moment.

    Attributes:
        halted: says why nothing may be, None if it may.
        limit: says how many bytes per second all jobs together may download, 0 = unlimited.
    """

    halted: Callable[[], str | None]
    limit: Callable[[], int]


class _HaltedError(Exception):
    """Nothing may be sent, and the driver does not wait for that by itself."""


class Runner:
    """The tasks of all running jobs. The Downloader is its only user.

    Args:
        drivers: who runs which kind of source.
        ledger: where what happens is recorded.
        retry: how often and when a failed attempt is repeated.
        clock: the present time, aware.
        on_slot: called when a job may have left its slot.
        guard: who knows whether the disk is well.
        network: what may be sent and received at the moment.
    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        ledger: Ledger,
        retry: RetryPolicy,
        clock: Callable[[], datetime],
        on_slot: Callable[[], None],
        guard: DiskGuard,
        network: Network,
    ) -> None:
        self._drivers = drivers
        self._ledger = ledger
        self._retry = retry
        self._clock = clock
        self._on_slot = on_slot
        self._guard = guard
        self._network = network
        self._watches: dict[str, tuple[str, SourceWatch]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._disk_trouble: dict[str, int] = {}
        self._to_check: set[str] = set()
        self._stopped = False

    def spawn(self, job: Job, *, check: bool = False, asked: bool = True) -> None:
        """Run the job until it is done, fails, or `stop` is called; not after `stop_all`.

        Args:
            job: the job.
            check: what is on the disk is compared with its hashes first; if the job does not
                run, that is all.
            asked: somebody waits for what the check finds.
        """
        if self._stopped:
            return  # its start was being stored; it goes on when the program runs again
        check = check or job.id in self._to_check
        self._to_check.discard(job.id)
        work = self._run(job, check=check, asked=check and asked)
        self._tasks[job.id] = asyncio.create_task(work, name=f"job {job.id}")

    def has(self, job_id: str) -> bool:
        """Whether the job has a task."""
        return job_id in self._tasks

    def check_later(self, job_id: str) -> None:
        """Check the job when it is run the next time."""
        self._to_check.add(job_id)

    async def stop(self, job_id: str) -> None:
        """End the job's task; when this returns the driver has let go of the job."""
        self._watches.pop(job_id, None)
        task = self._tasks.pop(job_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def stop_all(self) -> None:
        """End all tasks at once, begin none any more, and wait for them for a while only.

        What else there is must be saved.
        """
        self._stopped = True
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_PATIENCE)
            if late:
                log.error("jobs did not stop in time", jobs=[task.get_name() for task in late])

    async def _run(self, job: Job, *, check: bool, asked: bool) -> None:
        try:
            await self._run_to_its_end(job, check=check, asked=asked)
        except JobLost as error:  # nothing of it is ours to touch
            log.warning("a job is let go", job=job.id, problem=str(error))
        finally:
            if self._tasks.get(job.id) is asyncio.current_task():
                del self._tasks[job.id]
            self._on_slot()

    async def _run_to_its_end(self, job: Job, *, check: bool, asked: bool) -> None:
        try:
            while not await self._attempt(job, check=check, asked=asked):
                job = self._ledger.get(job.id)
            self._disk_trouble.pop(job.id, None)
        except FilmDamaged as error:
            await self._found_damage(job.id, error, asked=check)
        except JobLost:
            raise
        except ChillyError as error:
            await self._went_wrong(job.id, error)
        except Exception as error:
            log.exception("a driver crashed", job=job.id)
            crash = DriverCrashed(f"The driver stopped unexpectedly ({type(error).__name__}).")
            await self._went_wrong(job.id, crash)

    async def _attempt(self, job: Job, *, check: bool, asked: bool) -> bool:
        """Run the job once; False if it only seeds, and what stopped it is over."""
        try:
            last = await self._consume(job, check=check)
        except _HaltedError:
            await self._outlast_halt(job.id)
            return False
        except SourceUnavailable:
            if not await self._outlast_halt(job.id):
                raise
            return False
        except (EngineError, OutOfDescriptors) as error:
            if not self._only_seeds(job.id):
                raise
            self._say(job.id, str(error))
            await asyncio.sleep(_LOOK_AGAIN)
            return False
        except DiskError as error:
            if self._is_current(job.id) and self._ledger.get(job.id).moving_to is not None:
                return await self._stays(job.id, error, check=check)
            if not self._only_seeds(job.id) or not await self._outlast(job.id):
                raise
            return False
        except FilmDamaged as error:
            if not (error.is_gone and await self._may_come_back(job.id, asked=asked)):
                raise
            return False
        if self._must_move(job):
            return False
        await self._ended(job.id, last if check and not job.is_running else None)
        return True

    def _must_move(self, job: Job) -> bool:
        """Whether its film was to be moved since the attempt began."""
        now = self._ledger.get(job.id)
        return self._is_current(job.id) and now.moving_to is not None and job.moving_to is None

    def _only_seeds(self, job_id: str) -> bool:
        return self._is_current(job_id) and self._ledger.get(job_id).status is Status.COMPLETED

    async def _outlast(self, job_id: str) -> bool:
        """Wait until the media folder is well again; False if it is nothing to wait for."""
        waited = False
        while (problem := (await self._guard.measure()).problem) is not None:
            waited = True
            self._say(job_id, problem)
            await asyncio.sleep(_LOOK_AGAIN)
        return waited

    async def _outlast_halt(self, job_id: str) -> bool:
        """Wait until something may be sent again; False if that is not what the job waits for."""
        waited = False
        while (why := self._network.halted()) is not None and self._fetches(job_id):
            waited = True
            job = self._ledger.get(job_id)
            still = replace(job.progress, download_speed=0, upload_speed=0, time_remaining=None)
            if (still, why) != (job.progress, job.reason):
                self._ledger.note(job_id, e.Progressed(still, why))
            await asyncio.sleep(_HALTED_PAUSE)
        return waited

    def _fetches(self, job_id: str) -> bool:
        """Whether this task is to fetch the job's film over the network."""
        if not self._is_current(job_id):
            return False
        job = self._ledger.get(job_id)
        driver = self._drivers.get(job.running_source.type)
        networked = driver is not None and driver.pool is Pool.NETWORK
        return networked and job.status is Status.ACTIVE

    async def _may_come_back(self, job_id: str, *, asked: bool) -> bool:
        """Wait for a film that is not there; False if that is to be told instead.

        Its disk may not be mounted, and who asked for nothing has time until it is.
        """
        if not self._only_seeds(job_id):
            return False
        if not await self._outlast(job_id):
            if asked or not self._ledger.get(job_id).seeding:
                return False
            self._say(job_id, "a file of the film is not there; seeding goes on when it is back")
            await asyncio.sleep(_LOOK_AGAIN)
        return True

    async def _consume(self, job: Job, *, check: bool) -> Report:
        job = job.as_run
        if (driver := self._drivers.get(job.source.type)) is None:
            another = self._another(self._ledger.get(job.id))
            raise _without_driver(job.source, has_another=another)
        report, watch = Report(job.progress), self._watch_of(job)
        meter = Meter(job, counts=driver.pool is Pool.NETWORK)
        try:
            async with aclosing(driver.run(job, check=check)) as reports:
                async for report in reports:
                    if not self._is_current(job.id):
                        break  # a driver that goes on after it was told to stop
                    await self._take(job.id, report, meter)
                    if self._must_move(job):
                        break
                    self._refuse_halt(job.id, report)
                    self._refuse_dead(job.id, watch, report)
        except OSError as error:  # may come from whatever opens something
            if (short := shortage(error.errno)) is None:
                raise
            raise OutOfDescriptors(short) from None
        return report

    def _watch_of(self, job: Job) -> SourceWatch:
        """The watch over the source that is run; over several attempts it is the same."""
        key, watch = self._watches.get(job.id, ("", None))
        if watch is None or key != job.key or not job.attempts:
            watch = SourceWatch(self._retry.rules, time.monotonic())
            self._watches[job.id] = (job.key, watch)
        else:
            watch.go_on(time.monotonic())
        return watch

    def _refuse_halt(self, job_id: str, report: Report) -> None:
        """Stop a run that fetches while nothing may be sent, unless it says itself that it waits.

        Raises:
            _HaltedError: it is to run again later.
        """
        why = self._network.halted()
        fetches = report.progress.phase in FETCHING and self._fetches(job_id)
        if why is not None and why != report.reason and fetches and not report.complete:
            raise _HaltedError(why)

    def _refuse_dead(self, job_id: str, watch: SourceWatch, report: Report) -> None:
        """Give up a source that is silent or slow, if there is another one.

        Raises:
            SourceUnavailable: it is given up.
        """
        job = self._ledger.get(job_id)
        if job.status is not Status.ACTIVE or not job.next_sources:
            return
        active = sum(1 for other in self._ledger.running() if other.status is Status.ACTIVE)
        most = own_limit(job.options.download_limit, self._network.limit(), active)
        halted = self._network.halted() is not None
        why = watch.verdict(report, time.monotonic(), halted=halted, most=most)
        if why is not None and self._another(job) is not None:
            raise SourceUnavailable(why, is_final=True)

    def _is_current(self, job_id: str) -> bool:
        """Whether this task still runs the job.

        Once `stop` was called, whoever called it decides what becomes of the job. It may hold the
        job's lock and wait for this task, which therefore must not wait for the lock.
        """
        return self._tasks.get(job_id) is asyncio.current_task()

    async def _take(self, job_id: str, report: Report, meter: Meter) -> None:
        """Record what a report says, in the order facts, path, completion, figures."""
        job = self._ledger.get(job_id)
        figures = meter.figures(job, report, self._clock())
        if report.anew and job.status is Status.ACTIVE:
            why = report.reason or "The file changed where it comes from."
            await self._insist(job_id, e.BegunAnew(job.running_source, why))
        if report.facts is not None and job.status is Status.ACTIVE:
            if report.needs is not None:  # before it is asked whether there is room
                self._ledger.note(job_id, e.Progressed(report.progress_now, report.reason))
            await self._learn(job, report.facts)
        if report.path is not None:
            await self._place(job, report.path, report)
        if report.complete and self._ledger.get(job_id).status is Status.ACTIVE:
            seeds = report.progress.phase is not None
            done = e.Completed(report.progress_now, seeding=seeds, figures=figures)
            await self._insist(job_id, done)
            self._on_slot()
            if (target := self._ledger.get(job_id).goes_to) is not None:
                await self._insist(job_id, e.Moving(target))
        elif self._ledger.get(job_id).status is not Status.CANCELED:
            moved = e.Progressed(report.progress_now, report.reason, figures)
            self._ledger.note(job_id, moved)

    async def _place(self, job: Job, path: str, report: Report) -> None:
        """Record where the driver is about to put the film, or that a move is done."""
        if job.moving_to is None:
            if path != job.path:
                await self._insist(job.id, e.Publishing(path, report.progress_now))
        elif report.complete:
            await self._insist(job.id, e.Moved(path))
        elif path != job.moving_to:
            await self._insist(job.id, e.Moving(path))

    async def _stays(self, job_id: str, error: ChillyError, *, check: bool) -> bool:
        """A film could not be moved: say so; True if there is nothing else to do for its job."""
        await self._insist(job_id, e.NotMoved(f"The film was not moved: {error}"))
        return not (self._ledger.get(job_id).seeding or check)

    async def _learn(self, job: Job, facts: SourceFacts) -> None:
        """Record new facts. Only they show that the film of a URL, say, is downloaded already."""
        known = [(file.index, file.size, file.wanted) for file in job.files]
        is_new = known != [(file.index, file.size, file.wanted) for file in facts.files]
        try:
            self._ledger.refuse_duplicate(job.id, facts.identities)
            self._refuse_fake(job, facts)
            if is_new:
                await self._insist(job.id, e.MetadataReceived(facts))
        except DuplicateDownload as error:
            raise SourceRejected(str(error)) from None
        if is_new:
            await self._fit(job.id)

    def _refuse_fake(self, job: Job, facts: SourceFacts) -> None:
        """Give up a source that has no film, if there is another one and nobody chose its files.

        Raises:
            SourceRejected: it is given up.
        """
        if not job.next_sources or job.options.files is not None:
            return
        size = None if job.announced is None else job.announced.size
        why = why_no_film(facts.files, size)
        if why is not None and self._another(job) is not None:
            raise SourceRejected(why)

    async def _fit(self, job_id: str) -> None:
        """Now that the size is known: let the job wait before it writes what has no room."""
        job = self._ledger.get(job_id)
        others = [j for j in self._ledger.running() if j.status is Status.ACTIVE and j.id != job_id]
        problem = await self._guard.refusal(await self._guard.measure(), job, others)
        if problem is not None:
            raise problem

    async def _ended(self, job_id: str, checked: Report | None) -> None:
        if not self._is_current(job_id):
            return
        job = self._ledger.get(job_id)
        if job.status is Status.ACTIVE:
            await self._insist(job_id, e.Completed(job.progress))
        elif job.seeding:
            await self._insist(job_id, e.SeedingStopped(job.reason))
        elif checked is not None and job.status is not Status.QUEUED:
            await self._insist(job_id, e.Checked(checked.progress, checked.reason))

    async def _found_damage(self, job_id: str, error: FilmDamaged, *, asked: bool) -> None:
        """Who asked gets a failed job that `resume` mends; else the film only seeds no more."""
        if not asked or self._ledger.get(job_id).status is not Status.COMPLETED:
            await self._went_wrong(job_id, error)
        elif self._is_current(job_id):
            log.warning("a film is damaged", job=job_id, problem=str(error))
            await self._insist(job_id, e.Damaged(JobError(error.code, str(error))))

    async def _went_wrong(self, job_id: str, error: ChillyError) -> None:
        log.warning("an attempt failed", job=job_id, code=error.code, problem=str(error))
        if not self._is_current(job_id):
            return
        job = self._ledger.get(job_id)
        problem = JobError(error.code, str(error))
        if job.status is Status.COMPLETED:
            await self._insist(job_id, e.SeedingStopped(str(error)))
        elif job.status is Status.ACTIVE:
            try:
                await self._insist_on_verdict(job, error, problem)
            except DuplicateDownload:  # another job got the next source's film meanwhile
                await self._went_wrong(job_id, error)
        elif job.status in (Status.PAUSED, Status.FAILED):
            await self._insist(job_id, e.Checked(job.progress, str(error)))

    async def _insist_on_verdict(self, job: Job, error: ChillyError, problem: JobError) -> None:
        """Record what becomes of a job whose attempt failed.

        Raises:
            DuplicateDownload: another job has the film of the source that was to be taken.
        """
        verdict, another = self._verdict(job, error, problem), self._another(job)
        if isinstance(verdict, e.Failed) and another is not None:
            returns = isinstance(error, SourceUnavailable)
            work = self._next_source(job, another, problem, may_return=returns)
            verdict = await to_the_end(work)
        await self._insist(job.id, verdict)
        if isinstance(verdict, e.SourceChanged):
            failpoints.reach("source.changed")

    def _another(self, job: Job) -> Source | None:
        """The source that is taken when this one is given up, None if there is none.

        One whose film another job has is passed over.
        """
        for source in job.next_sources:
            with suppress(DuplicateDownload):
                self._ledger.refuse_duplicate(job.id, self._facts_of(source).identities)
                return source
        return None

    def _facts_of(self, source: Source) -> SourceFacts:
        """What the source's text says; nothing if it is broken: its run will say how."""
        driver = self._drivers.get(source.type)
        with suppress(InvalidRequest):
            return SourceFacts() if driver is None else driver.identify(source)
        return SourceFacts()

    async def _next_source(
        self, job: Job, source: Source, problem: JobError, *, may_return: bool
    ) -> e.SourceChanged | e.Waiting:
        """Delete what there is of the source that is given up, and only then take another.

        After a crash in between the one before is tried anew, from nothing. The next one gets a
        key of its own, so that none of its data is ever taken for data of another.
        """
        before, driver = job.as_run, self._drivers.get(job.running_source.type)
        try:
            if driver is not None:
                await driver.remove(before, delete_files=False)
        except ChillyError as error:
            pause = self._clock() + self._disk_pause(job.id, error)
            return e.Waiting(JobError(error.code, str(error)), pause)
        failpoints.reach("source.removed")
        return e.SourceChanged(
            before.source, source, self._facts_of(source), uuid.uuid4().hex, problem, may_return
        )

    async def _insist(self, job_id: str, event: e.Event) -> None:
        """Record something, however long the store fails: what is there is not given up."""
        while True:
            try:
                await self._ledger.record_soon(job_id, event)
            except StoreError as error:
                log.error("a change was not stored", job=job_id, problem=str(error))
                self._say(job_id, str(error))
                await asyncio.sleep(_STORE_PAUSE)
            else:
                return

    def _say(self, job_id: str, reason: str) -> None:
        job = self._ledger.get(job_id)
        if job.is_running and job.reason != reason:
            self._ledger.note(job_id, e.Progressed(job.progress, reason))

    def _verdict(self, job: Job, error: ChillyError, problem: JobError) -> e.Event:
        """Go on at once, try again later, wait for the disk, or give up."""
        patience = patience_with(error, has_another=self._another(job) is not None)
        if patience is Patience.AT_ONCE:
            return e.Waiting(problem)
        if patience is Patience.UNTIL_WELL:
            return e.Waiting(problem, self._clock() + self._disk_pause(job.id, error))
        attempt = job.attempts + 1
        if attempt >= self._retry.attempts(patience):
            return e.Failed(_given_up(problem, attempt))
        asked = min(hint_of(error) or 0.0, _LONGEST_HINT * self._retry.cap)
        delay = max(asked, next_delay(attempt, self._retry, random.random))
        if patience is Patience.SHORT and self._is_overdue(job, delay):
            return e.Failed(problem)
        return e.Retrying(problem, self._clock() + timedelta(seconds=delay))

    def _is_overdue(self, job: Job, delay: float) -> bool:
        """Whether its source will have been silent for too long when it is tried again."""
        watch = self._watches.get(job.id)
        return watch is not None and watch[1].pause(time.monotonic(), delay)

    def _disk_pause(self, job_id: str, error: ChillyError) -> timedelta:
        """A full disk is looked at all the time; other trouble is seen by trying again only."""
        if isinstance(error, DiskFull):
            return timedelta(seconds=DISK_PAUSES.base)
        times = self._disk_trouble[job_id] = self._disk_trouble.get(job_id, 0) + 1
        return timedelta(seconds=next_delay(times, DISK_PAUSES, lambda: 1.0))

    def forget(self, job_id: str) -> None:
        """The job is gone from the list."""
        self._disk_trouble.pop(job_id, None)
        self._watches.pop(job_id, None)


def _without_driver(source: Source, *, has_another: object) -> ChillyError:
    """A job that was stored is kept until its driver is there again, unless it has more sources."""
    sentence = f"This server has no driver for the source type '{source.type}'"
    if has_another:
        return SourceRejected(f"{sentence}.")
    return EngineError(f"{sentence}: the download is kept, and goes on when there is one.")


def _given_up(problem: JobError, attempts: int) -> JobError:
    if attempts == 1:  # trying again would not change it
        return problem
    what = problem.message.removesuffix(".")
    return replace(problem, message=f"{what}; given up after {attempts} tries, resume tries again.")
