"""Tells how far the files of running jobs are, and when one is complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chilly_movies.jobs import events as e
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import FileStanding, Job, MediaFile, Status
from chilly_movies.runtime.tasks import every

_INTERVAL = 2.0
_MOST = 50
"""Files of one job that are told of at once, besides those that became complete."""


class FileWatch:
    """Looks at files now and then. The Downloader is its only user.

    Args:
        ledger: where the jobs are.
        files: how far a job's files are.
    """

    def __init__(
        self, ledger: Ledger, files: Callable[[Job], Awaitable[Sequence[FileStanding]]]
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._told: dict[str, dict[int, int]] = {}

    async def run(self) -> None:
        """Look again and again until cancelled."""
        await every(_INTERVAL, self.scan, "looking at files")

    async def scan(self) -> None:
        """Tell what changed since the last look. Jobs at rest cost nothing, however many."""
        for job in self._ledger.running():
            if job.status is Status.ACTIVE and job.files:
                self._tell(job, await self._files(job))
        for job_id in tuple(self._told):
            if job_id not in self._ledger or self._is_told(self._ledger.get(job_id)):
                del self._told[job_id]

    def _is_told(self, job: Job) -> bool:
        """Whether the job is complete, and so are its files for all who listen."""
        if job.status is not Status.COMPLETED:
            return False
        return self._tell(job, [FileStanding(f.index, f.size, 4) for f in job.files if f.wanted])

    def _tell(self, job: Job, standings: Sequence[FileStanding]) -> bool:
        """Whether all that became complete could be told."""
        told, known = self._told.setdefault(job.id, {}), {file.index: file for file in job.files}
        moved = [s for s in standings if s.priority and told.get(s.index, 0) != s.done]
        whole = [s for s in moved if s.done == known[s.index].size]
        part = [s for s in moved if s.done != known[s.index].size]
        for standing in [*whole, *part[:_MOST]]:
            news = _news(known[standing.index], standing.done)
            if self._ledger.tell(job.id, e.FILE, news):
                told[standing.index] = standing.done
        return all(told.get(standing.index) == standing.done for standing in whole)


def _news(file: MediaFile, done: int) -> dict[str, Any]:
    complete = done == file.size
    percent = 100.0 if complete else min(99.99, 100 * done / file.size)
    return {
        "index": file.index,
        "path": file.path,
        "size": file.size,
        "bytesDownloaded": done,
        "percent": round(percent, 2),
        "complete": complete,
    }
