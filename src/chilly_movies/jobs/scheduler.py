"""The queue: which job gets the next free slot, and when a retry is due."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import structlog

from chilly_movies.errors import ChillyError, JobLost
from chilly_movies.jobs import events as e
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Pool, Status
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.queue import in_order
from chilly_movies.jobs.runner import Runner

log = structlog.get_logger(__name__)

_STORE_PAUSE = 5.0
"""Seconds until the queue is looked at again when the store refused a change."""
_DISK_PAUSE = 2.0
"""Seconds until the disk is looked at again for jobs that wait for room."""
_LOOK_AHEAD = 50
"""How many jobs there is no room for may be passed over: a later one may fit."""


class Waits:
    """How long jobs still wait for their next attempt, whatever leaps the time of day makes.

    Args:
        clock: the time of day, aware.
        steady: seconds that only grow.
        longest: no wait is longer; the time of day may be another than when it was stored.
    """

    def __init__(
        self, clock: Callable[[], datetime], steady: Callable[[], float], longest: float
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._longest = longest
        self._ends: dict[str, tuple[datetime, float]] = {}

    def left(self, jobs: Sequence[Job]) -> dict[str, float]:
        """Seconds by job id; who waits for no attempt is not in it, who is due has 0."""
        ends, steady = {}, self._steady()
        for job in jobs:
            if job.next_attempt_at is None:
                continue
            known = self._ends.get(job.id)
            if known is None or known[0] != job.next_attempt_at:
                wait = (job.next_attempt_at - self._clock()).total_seconds()
                known = (job.next_attempt_at, steady + min(wait, self._longest))
            ends[job.id] = known
        self._ends = ends
        return {job_id: max(0.0, end - steady) for job_id, (_, end) in ends.items()}


class Slots:
    """How many jobs may be active at once in each pool; forced ones do not count.

    Args:
        drivers: who runs which kind of source.
        limits: the slots of each pool.
    """

    def __init__(self, drivers: Mapping[str, Driver], limits: Mapping[Pool, int]) -> None:
        self._drivers = drivers
        self._limits = limits
        self._taken: Counter[Pool] = Counter()

    def count(self, active: Iterable[Job]) -> None:
        """Note which slots are taken, by the jobs that are active now."""
        self._taken.clear()
        for job in active:
            self.take(job)

    def take(self, job: Job) -> None:
        """Note that a job became active."""
        if not job.options.forced:
            self._taken[self._pool_of(job)] += 1

    def shortage(self, job: Job) -> str | None:
        """Why there is no slot for a job, in one clause; None if there is one."""
        pool = self._pool_of(job)
        taken, limit = self._taken[pool], self._limits[pool]
        return None if taken < limit else f"waiting for a free slot ({taken} of {limit} active)"

    def _pool_of(self, job: Job) -> Pool:
        """A job whose driver is gone waits with the most, and will be told so."""
        driver = self._drivers.get(job.running_source.type)
        return Pool.NETWORK if driver is None else driver.pool


class Scheduler:
    """Gives slots to queued jobs, the first in the queue first. The Downloader is its only user.

    Args:
        ledger: where the jobs are.
        runner: what runs a job that got a slot.
        slots: how many jobs may be active at once; seeding ones do not count.
        waits: how long jobs wait for their next attempt.
        wake: set by whoever changed something that may let a job start.
        guard: who knows whether there is room for a job.
        is_read: whether somebody reads a job's film right now: it need not wait for a slot.
    """

    def __init__(
        self,
        ledger: Ledger,
        runner: Runner,
        slots: Slots,
        waits: Waits,
        wake: asyncio.Event,
        guard: DiskGuard,
        is_read: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._slots = slots
        self._waits = waits
        self._wake = wake
        self._guard = guard
        self._is_read = is_read

    async def run(self) -> None:
        """Keep the slots filled until cancelled."""
        while True:
            self._wake.clear()
            try:
                due = await self._fill()
            except ChillyError as error:
                log.error("the queue could not move", code=error.code, problem=str(error))
                due = _STORE_PAUSE
            try:
                async with asyncio.timeout(due):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _fill(self) -> float | None:
        """Start what may start; seconds until it has to be looked at again, None = when woken."""
        ours = self._ledger.is_ours
        queued = in_order(j for j in self._ledger if j.status is Status.QUEUED and ours(j))
        left = self._waits.left(queued)
        held = await self._start([job for job in queued if not left.get(job.id)])
        waits = [wait for wait in left.values() if wait]
        return min([*waits, _DISK_PAUSE] if held else waits, default=None)

    async def _start(self, due: Sequence[Job]) -> bool:
        """Give the free slots to jobs there is room for; whether one waits for room."""
        active = [job for job in self._ledger.running() if job.status is Status.ACTIVE]
        self._slots.count(active)
        held, room = 0, None
        for job in sorted(due, key=lambda job: not self._goes_first(job)):
            shortage = None if self._goes_first(job) else self._slots.shortage(job)
            if shortage is not None or held >= _LOOK_AHEAD:
                self._say(job, shortage or "waiting for room on the disk, as others before it")
                continue
            room = room or await self._guard.measure()
            problem = await self._guard.refusal(room, job, active)
            if problem is not None:
                held += 1
                self._say(job, str(problem))
            elif await self._begin(job):
                active.append(job)
                self._slots.take(job)
        return held > 0

    def _goes_first(self, job: Job) -> bool:
        """Whether a job needs no slot: somebody reads its film, or it is forced."""
        return job.options.forced or self._is_read(job.id)

    def _say(self, job: Job, reason: str) -> None:
        known = job.id in self._ledger and self._ledger.get(job.id).status is Status.QUEUED
        if known and job.reason != reason:
            self._ledger.note(job.id, e.Progressed(job.progress, reason))

    async def _begin(self, job: Job) -> bool:
        """Give the job a slot, unless the user changed its state or its place meanwhile.

        To its end even if the scheduler is stopped: a start that was stored must be told.
        """
        return await self._ledger.shielded(self._begin_now(job))

    async def _begin_now(self, job: Job) -> bool:
        async with self._ledger.lock(job.id):
            if job.id not in self._ledger:
                return False
            now = self._ledger.get(job.id)
            moved = now.place != job.place or now.options.forced is not job.options.forced
            if moved or now.status is not Status.QUEUED:
                return False
            try:
                started = await self._ledger.record(job.id, e.Started())
            except JobLost:
                return False
            self._runner.spawn(started)
            return True
