"""Deletes what is on the disk of jobs that are removed, or that nobody knows any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import with_move_finished
from chilly_movies.disk.threads import on_disk
from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.torrent import adopted
from chilly_movies.drivers.torrent.belief import Beliefs
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.runtime import failpoints


class Removal:
    """Deletes the data of one driver's jobs.

    Of files that have other names, too, only ours is deleted: they are the user's.

    Args:
        place: where it lies.
        store: where claims are kept.
        beliefs: tells what is ours.
    """

    def __init__(self, place: Place, store: ResumeStore, beliefs: Beliefs) -> None:
        self._place = place
        self._store = store
        self._beliefs = beliefs

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`. The claim goes last: it tells what is ours if this is done again."""
        job = await on_disk(lambda: with_move_finished(job, self._place.root))
        claim = decode(await self._store.load_resume(job.key))
        files = job.files or (adopted.facts_of(job).files if job.adopted else ())
        ours = partial(self._beliefs.is_ours, claim)
        try:
            await asyncio.to_thread(
                self._place.delete, job, files, delete_files=delete_files, ours=ours
            )
        except OSError as error:
            sentence = f"The job's files cannot be deleted: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        failpoints.reach("remove.deleted")
        await self._store.drop_resume(job.key)

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """See `ports.Driver`."""
        by_key = {job.key: job for job in jobs}
        staged = await on_disk(lambda: set(self._place.staged_keys()))
        for job in jobs:
            if job.status is Status.CANCELED and (job.key in staged or job.path is not None):
                await self.remove(job, delete_files=False)
            elif job.status is Status.COMPLETED and job.key in staged:
                await asyncio.to_thread(self._place.clear_staging, job.key)
        return sorted(staged - by_key.keys())
