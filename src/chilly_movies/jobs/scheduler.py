"""The queue: which job gets the next free slot, and when a retry is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from chilly_movies.errors import ChillyError
from chilly_movies.jobs import events as e
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Status
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


class Scheduler:
    """Gives slots to queued jobs, lowest position first. The Downloader is its only user.

    Args:
        ledger: where the jobs are.
        runner: what runs a job that got a slot.
        max_active: how many jobs may download at once; seeding ones do not count.
        waits: how long jobs wait for their next attempt.
        wake: set by whoever changed something that may let a job start.
        guard: who knows whether there is room for a job.
        is_read: whether somebody reads a job's film right now: it need not wait for a slot.
    """

    def __init__(
        self,
        ledger: Ledger,
        runner: Runner,
        max_active: int,
        waits: Waits,
        wake: asyncio.Event,
        guard: DiskGuard,
        is_read: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._max_active = max_active
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
        queued = sorted(
            (job for job in self._ledger if job.status is Status.QUEUED), key=lambda j: j.position
        )
        left = self._waits.left(queued)
        held = await self._start([job for job in queued if not left.get(job.id)])
        waits = [wait for wait in left.values() if wait]
        return min([*waits, _DISK_PAUSE] if held else waits, default=None)

    async def _start(self, due: Sequence[Job]) -> bool:
        """Give the free slots to jobs there is room for; whether one waits for room."""
        active = [job for job in self._ledger.running() if job.status is Status.ACTIVE]
        held, room = 0, None
        for job in sorted(due, key=lambda job: not self._is_read(job.id)):
            full = len(active) >= self._max_active and not self._is_read(job.id)
            if full or held >= _LOOK_AHEAD:
                there = f"{len(active)} of {self._max_active} active"
                self._say(job, f"waiting for a free slot ({there})")
                continue
            room = room or await self._guard.measure()
            problem = await self._guard.refusal(room, job, active)
            if problem is not None:
                held += 1
                self._say(job, str(problem))
            elif await self._begin(job.id):
                active.append(job)
        return held > 0

    def _say(self, job: Job, reason: str) -> None:
        known = job.id in self._ledger and self._ledger.get(job.id).status is Status.QUEUED
        if known and job.reason != reason:
            self._ledger.note(job.id, e.Progressed(job.progress, reason))

    async def _begin(self, job_id: str) -> bool:
        """Give the job a slot, unless the user changed its state meanwhile.

        To its end even if the scheduler is stopped: a start that was stored must be told.
        """
        return await self._ledger.shielded(self._begin_now(job_id))

    async def _begin_now(self, job_id: str) -> bool:
        async with self._ledger.lock(job_id):
            if job_id not in self._ledger or self._ledger.get(job_id).status is not Status.QUEUED:
                return False
            self._runner.spawn(await self._ledger.record(job_id, e.Started()))
            return True
