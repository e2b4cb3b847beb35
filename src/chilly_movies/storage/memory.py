"""The stores that forget: for tests, demos and throw-away servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Moved
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.ports import Loaded


class MemoryResumeStore:
    """A `ResumeStore` without a disk."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def load_resume(self, key: str) -> bytes | None:
        """The blob last saved under the job key, None if there is none."""
        return self._blobs.get(key)

    async def save_resume(self, key: str, data: bytes) -> None:
        """Replace the blob."""
        self._blobs[key] = data

    async def drop_resume(self, key: str) -> None:
        """Delete the blob if there is one."""
        self._blobs.pop(key, None)


class MemoryJobStore:
    """A `JobStore` without a disk.

    Args:
        resume: where the resume data of deleted jobs is dropped.
    """

    def __init__(self, resume: MemoryResumeStore | None = None) -> None:
        self._resume = resume or MemoryResumeStore()
        self._jobs: dict[str, Job] = {}
        self._changes: dict[int, Change] = {}
        self._last_seq = 0
        self._totals: Moved | None = None
        self._is_open = False

    async def load(self) -> Loaded:
        """All jobs in queue order."""
        unclean, self._is_open = self._is_open, True
        jobs = sorted(self._jobs.values(), key=lambda job: (job.place, job.created_at, job.id))
        return Loaded(tuple(jobs), self._last_seq, unclean, totals=self._totals)

    async def record(self, job: Job, change: Change) -> None:
        """Keep the job and, if it is durable, its change."""
        self._jobs[job.id] = job
        if change.durable:
            self._changes[change.seq] = replace(change, job=None)
        self._reserve(change.seq)

    async def save_progress(self, jobs: Sequence[Job], reserved_seq: int) -> None:
        """Keep `progress`, `counted`, `reason` and `updated_at` of the jobs that are known."""
        for job in jobs:
            if known := self._jobs.get(job.id):
                self._jobs[job.id] = replace(
                    known,
                    progress=job.progress,
                    counted=job.counted,
                    reason=job.reason,
                    updated_at=job.updated_at,
                )
        self._reserve(reserved_seq)

    async def save_totals(self, totals: Moved) -> None:
        """Keep what all jobs together moved."""
        self._totals = totals

    async def changes_since(
        self, seq: int, job_id: str | None = None, *, limit: int = 1000
    ) -> list[Change]:
        """Durable changes with a higher number than `seq`, oldest first, at most `limit`."""
        wanted = (
            self._changes[number]
            for number in sorted(self._changes)
            if number > seq and job_id in (None, self._changes[number].id)
        )
        return list(islice(wanted, limit))

    async def delete(self, change: Change) -> None:
        """Forget the job `change.id` and its resume data, and keep the change."""
        if job := self._jobs.pop(change.id, None):
            await self._resume.drop_resume(job.key)
        self._changes[change.seq] = replace(change, job=None)
        self._reserve(change.seq)

    async def aclose(self) -> None:
        """Note that the run ended in order."""
        self._is_open = False

    def _reserve(self, seq: int) -> None:
        self._last_seq = max(self._last_seq, seq)
