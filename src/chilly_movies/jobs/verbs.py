"""What a verb does to one job, in the order a crash may part it. The caller holds its lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from chilly_movies.errors import IllegalTransition, StoreError
from chilly_movies.jobs import events as e
from chilly_movies.jobs.adjustments import AdjustRequest, adjusted, destination
from chilly_movies.jobs.admission import check_candidates
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.queue import IN_LINE, To, no_position
from chilly_movies.jobs.runner import Runner
from chilly_movies.runtime import failpoints


class Verbs:
    """The bodies of `Downloader`'s verbs for a job that is there. It is their only user.

    Args:
        drivers: who runs which kind of source.
        ledger: where the jobs are.
        runner: what runs them.
    """

    def __init__(self, drivers: Mapping[str, Driver], ledger: Ledger, runner: Runner) -> None:
        self._drivers = drivers
        self._ledger = ledger
        self._runner = runner

    async def pause(self, job: Job) -> Job:
        """See `Downloader.pause`."""
        if job.status is Status.PAUSED:
            await self._runner.stop(job.id)  # it may be compared with its hashes
            return job
        if job.status is Status.COMPLETED:
            return await self._stop_seeding(job, "seeding was stopped by the user")
        await self._ledger.record(job.id, e.Paused())
        await self._runner.stop(job.id)
        return self._ledger.get(job.id)

    async def resume(self, job: Job) -> Job:
        """See `Downloader.resume`."""
        if job.status is Status.ACTIVE:
            return job
        if job.status is Status.QUEUED and job.next_attempt_at is None:
            return job
        if job.status is Status.QUEUED:  # waits for a retry: the user does not want to wait
            await self._ledger.record(job.id, e.Paused())
        if not job.is_running:  # a seeding one goes on: what follows refuses it
            await self._runner.stop(job.id)  # it may be compared with its hashes
        return await self._ledger.record(job.id, e.Resumed())

    async def cancel(self, job: Job) -> Job:
        """See `Downloader.cancel`."""
        if job.status is Status.CANCELED:
            return job
        if job.status is Status.COMPLETED:
            return await self._stop_seeding(job, "seeding was stopped by the user")
        await self._ledger.record(job.id, e.Canceled())
        failpoints.reach("canceled.stored")
        await self._runner.stop(job.id)
        await self._forget(self._ledger.get(job.id), delete_files=False)
        return self._ledger.get(job.id)

    async def _forget(self, job: Job, *, delete_files: bool) -> None:
        """Let the driver delete what it keeps; a job whose driver is gone has nothing left."""
        job = job.as_run
        driver = self._drivers.get(job.source.type)
        if driver is not None:
            await driver.remove(job, delete_files=delete_files)

    async def _stop_seeding(self, job: Job, reason: str) -> Job:
        if job.seeding:
            await self._ledger.record(job.id, e.SeedingStopped(reason))
        await self._runner.stop(job.id)
        job = self._ledger.get(job.id)
        if job.moving_to is not None:
            self._runner.spawn(job)
        return job

    async def move(self, job: Job, folder: str) -> Job:
        """See `Downloader.move`."""
        if job.completed_at is None and not job.adopted:
            if job.status is Status.CANCELED:
                raise IllegalTransition(f"Job '{job.id}' is canceled: it has no film to move.")
            if job.options.folder == folder:
                return job
            return await self._ledger.record(job.id, e.FolderChosen(folder))
        target = destination(job, folder)
        if target is None:
            return job
        if job.moving_to is None:
            await self._ledger.record(job.id, e.Moving(target))
        return await self._set_off(job)

    async def _set_off(self, before: Job) -> Job:
        """Let a finished film's run move it, which may have been on its way already."""
        if before.moving_to is None:
            await self._runner.stop(before.id)
        if not self._runner.has(before.id):
            self._runner.spawn(self._ledger.get(before.id))
        return self._ledger.get(before.id)

    async def adjust(self, job: Job, wanted: AdjustRequest) -> Job:
        """See `Downloader.adjust`."""
        change = adjusted(job, wanted)
        if change is not None and change.candidates != job.candidates:
            candidates = check_candidates(self._drivers, change.candidates)
            change = replace(change, candidates=candidates)
        if change is None:
            return job
        changed = await self._ledger.record(job.id, change)
        if changed.moving_to is not None:
            await self._set_off(job)
        driver = self._drivers.get(changed.running_source.type)
        if changed.is_running and driver is not None:
            await driver.adjust(changed.as_run)
        return self._ledger.get(job.id)

    async def place(self, job: Job, to: To | None, before: str | None) -> Job:
        """See `Downloader.place`."""
        if job.status not in IN_LINE:
            raise no_position(job)
        return await self._ledger.place(job.id, to, before)

    async def remove(self, job: Job, *, delete_files: bool) -> Job:
        """See `Downloader.remove`."""
        if not job.status.is_final or job.status is Status.FAILED:
            # the row first: a failed one, too, must not be tried again once its data is gone
            await self._ledger.record(job.id, e.Canceled())
        elif job.seeding:  # the row first: if it cannot be removed it does not seed either
            await self._ledger.record(job.id, e.SeedingStopped("the download was removed"))
        await self._runner.stop(job.id)
        # what its task recorded until it stopped counts: the film's path, say
        await self._forget(self._ledger.get(job.id), delete_files=delete_files)
        try:
            await self._ledger.remove(job.id)
        except StoreError:
            if self._ledger.get(job.id).moving_to is not None:
                self._runner.spawn(self._ledger.get(job.id))
            raise
        self._runner.forget(job.id)
        return job
