"""Stores of several files, one for each job, behind one: for commands whose jobs are shared out.

`chilly get A B` and `chilly get A` meet in the file of A, whatever else either of them downloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Moved
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.ports import Loaded
from chilly_movies.storage.jobs import open_stores


class SpreadStores:
    """A `JobStore` and a `ResumeStore` for jobs whose ids are known before.

    Changes are written one after the other, so that a number is higher than any in all files.

    Args:
        files: the database of each job, by the job's id.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        stores = {job_id: open_stores(path) for job_id, path in files.items()}
        self._jobs = {job_id: jobs for job_id, (jobs, _) in stores.items()}
        self._resume = {job_id: resume for job_id, (_, resume) in stores.items()}
        self._ids: dict[str, str] = {}
        self._seq = 0
        self._turn = asyncio.Lock()

    async def load(self) -> Loaded:
        """See `JobStore`. A job that is not the one of its file is left out."""
        loaded = {job_id: await store.load() for job_id, store in self._jobs.items()}
        found = [job for job_id, one in loaded.items() for job in one.jobs if job.id == job_id]
        self._ids = {job.key: job.id for job in found}
        self._seq = max((one.last_seq for one in loaded.values()), default=0)
        return Loaded(
            tuple(found),
            self._seq,
            any(one.unclean for one in loaded.values()),
            any(one.rebooted for one in loaded.values()),
        )

    async def add(self, job: Job, change: Change) -> int:
        """See `JobStore`."""
        self._ids[job.key] = job.id
        return await self._numbered(self._jobs[job.id].add, job, change)

    async def record(self, job: Job, change: Change) -> int:
        """See `JobStore`."""
        return await self._numbered(self._jobs[job.id].record, job, change)

    async def _numbered(
        self, write: Callable[[Job, Change], Awaitable[int]], job: Job, change: Change
    ) -> int:
        async with self._turn:
            self._seq = await write(job, replace(change, seq=max(change.seq, self._seq)))
            return self._seq

    async def save_progress(self, moved: Sequence[Job]) -> frozenset[str]:
        """See `JobStore`."""
        lost = [await self._jobs[job.id].save_progress([job]) for job in moved]
        return frozenset().union(*lost)

    async def save_totals(self, totals: Moved) -> None:
        """See `JobStore`. No file is about all jobs, so nothing is kept."""

    async def changes_since(
        self, seq: int, job_id: str | None = None, *, limit: int = 1000
    ) -> list[Change]:
        """See `JobStore`."""
        found = [
            change
            for known, store in self._jobs.items()
            if job_id in (None, known)
            for change in await store.changes_since(seq, job_id, limit=limit)
        ]
        return sorted(found, key=lambda change: change.seq)[:limit]

    async def delete(self, job: Job, change: Change) -> int:
        """See `JobStore`."""
        return await self._numbered(self._jobs[job.id].delete, job, change)

    async def aclose(self) -> None:
        """See `JobStore`."""
        for store in self._jobs.values():
            await store.aclose()

    async def load_resume(self, key: str) -> bytes | None:
        """See `ResumeStore`."""
        job_id = self._ids.get(key)
        return None if job_id is None else await self._resume[job_id].load_resume(key)

    async def save_resume(self, key: str, data: bytes) -> None:
        """See `ResumeStore`."""
        await self._resume[self._ids[key]].save_resume(key, data)

    async def drop_resume(self, key: str) -> None:
        """See `ResumeStore`."""
        if (job_id := self._ids.get(key)) is not None:
            await self._resume[job_id].drop_resume(key)
