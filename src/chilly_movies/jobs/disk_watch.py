"""Looks at the disk while jobs run, and lets those wait for which there is no room."""

from __future__ import annotations

import structlog

from chilly_movies.errors import ChillyError, DiskError
from chilly_movies.jobs import events as e
from chilly_movies.jobs.disk_guard import DiskGuard
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, JobError, Status
from chilly_movies.jobs.runner import Runner
from chilly_movies.runtime.tasks import every

log = structlog.get_logger(__name__)

_INTERVAL = 1.0


class DiskWatch:
    """The guard's eyes. The Downloader is its only user.

    Args:
        ledger: where the jobs are.
        runner: what runs them.
        guard: who decides.
    """

    def __init__(
        self,
        ledger: Ledger,
        runner: Runner,
        guard: DiskGuard,
    ) -> None:
        self._ledger = ledger
        self._runner = runner
        self._guard = guard

    async def run(self) -> None:
        """Look again and again until cancelled."""
        await every(_INTERVAL, self.check, "looking at the disk")

    async def check(self) -> None:
        """Look once, and stop the jobs that must wait. One that cannot be is for the next look."""
        try:
            await self._check()
        except ChillyError as error:
            log.error("a job could not be stopped", code=error.code, problem=str(error))

    async def _check(self) -> None:
        running = [job for job in self._ledger.running() if job.status is Status.ACTIVE]
        if not running:
            return
        for job, problem in await self._guard.overdue(await self._guard.measure(), running):
            await self._ledger.shielded(self._stop(job, problem))

    async def _stop(self, job: Job, problem: DiskError) -> None:
        async with self._ledger.lock(job.id):
            if job.id not in self._ledger or self._ledger.get(job.id).status is not Status.ACTIVE:
                return
            log.warning("a job waits for the disk", job=job.id, problem=str(problem))
            await self._ledger.record(job.id, e.Waiting(JobError(problem.code, str(problem))))
            await self._runner.stop(job.id)
