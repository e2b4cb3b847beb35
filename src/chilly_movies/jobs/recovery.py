"""What is done at the start after a crash, and what keeps films as they were promised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from chilly_movies.errors import ChillyError, IllegalTransition
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.ports import Driver, Loaded
from chilly_movies.jobs.runner import Runner

log = structlog.get_logger(__name__)

_DOUBTED = timedelta(minutes=30)
"""After a power cut, films that were completed so shortly before are compared once more."""


class Upkeep:
    """Goes on after a start, and cleans up. The Downloader is its only user.

    Args:
        drivers: who runs which kind of source.
        ledger: where the jobs are.
        runner: what runs them.
    """

    def __init__(self, drivers: Mapping[str, Driver], ledger: Ledger, runner: Runner) -> None:
        self._drivers = drivers
        self._ledger = ledger
        self._runner = runner
        self.orphans: tuple[str, ...] = ()

    def go_on(self, loaded: Loaded) -> None:
        """Run what was running.

        Jobs that are unfinished are compared with the disk by their driver if the run before did
        not end in order; after a power cut so are films that had just been completed.
        """
        doubted = set(self._doubted(loaded)) if loaded.rebooted else set()
        if loaded.unclean:
            log.warning(
                "the last run did not end in order",
                power_cut=loaded.rebooted,
                checked_again=len(doubted),
            )
        running = {job.id for job in self._ledger.running()}
        for job_id in running | doubted:
            self._runner.spawn(self._ledger.get(job_id), check=job_id in doubted, asked=False)

    def _doubted(self, loaded: Loaded) -> list[str]:
        last = max((job.updated_at for job in loaded.jobs), default=None)
        return [
            job.id
            for job in loaded.jobs
            if last is not None
            and job.status is Status.COMPLETED
            and job.completed_at is not None
            and self._ledger.is_ours(job)
            and job.completed_at >= last - _DOUBTED
        ]

    async def recheck(self, job: Job) -> Job:
        """See `Downloader.recheck`; the caller holds the job's lock."""
        if job.status is Status.CANCELED:
            raise IllegalTransition(f"Job '{job.id}' is canceled: nothing is left to be checked.")
        if job.status is Status.QUEUED:
            self._runner.check_later(job.id)
            return job
        await self._runner.stop(job.id)
        self._runner.spawn(self._ledger.get(job.id), check=True)
        return self._ledger.get(job.id)

    async def reconcile(self) -> None:
        """Compare jobs and disk: delete what canceled jobs left, report what belongs to nobody."""
        found: list[str] = []
        for driver in {id(d): d for d in self._drivers.values()}.values():
            jobs: list[Job] = [
                job.as_run
                for job in self._ledger
                if self._drivers.get(job.running_source.type) is driver
            ]
            try:
                found += await driver.reconcile(jobs)
            except ChillyError as error:
                log.error("the disk could not be compared with the jobs", problem=str(error))
        known = {job.key for job in self._ledger}  # of jobs, too, that were added meanwhile
        self.orphans = tuple(name for name in found if name not in known)
        if self.orphans:
            log.warning(
                "unfinished data belongs to no job, and is left alone", folders=list(self.orphans)
            )
