"""How many bytes were sent twice: the seeders' counters against what lies on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.crash import store

if TYPE_CHECKING:
    from lab.crash.fire import Fire
    from lab.crash.model import Wanted

LIMIT = 16 * 1024 * 1024
"""More than this may not be sent twice for a job because of one kill."""


@dataclass(frozen=True, slots=True)
class _Before:
    """A download at the beginning of a life."""

    job: str
    good: frozenset[int]


class Accounts:
    """Counts life by life.

    Args:
        fire: whose jobs.
    """

    def __init__(self, fire: Fire) -> None:
        self._fire = fire
        self._before: dict[int, _Before] = {}

    async def begin(self) -> None:
        """Before a start: what is there, and the counters at zero."""
        stored = store.read(self._fire.state, after=self._fire.last_id)
        self._before = {
            job.film.number: _Before(job.id, self._good(job, stored))
            for job in self._fire.jobs.values()
            if job.id in stored.jobs and stored.jobs[job.id].status != "canceled"
        }
        for film in self._fire.films:
            await self._fire.swarm.sent(film.name)

    async def check(self, stored: store.Stored) -> None:
        """After an end: what was sent, and what is there now."""
        jobs = {job.id: job for job in self._fire.jobs.values()}
        for film in self._fire.films:
            sent = await self._fire.swarm.sent(film.name)
            before = self._before.get(film.number)
            if before is None or before.job not in jobs or not sent.payload:
                continue
            found = stored.jobs.get(before.job)
            if found is None or found.status == "canceled" or jobs[before.job].doomed:
                continue  # its file may be gone as it should
            good = self._good(jobs[before.job], stored)
            self._judge(jobs[before.job], before.good, good, sent.payload, sent.pieces)

    def _judge(
        self,
        job: Wanted,
        before: frozenset[int],
        after: frozenset[int],
        payload: int,
        pieces: frozenset[int],
    ) -> None:
        tally, film = self._fire.tally, job.film
        wasted = payload - film.bytes_of(after - before)
        repeated = film.bytes_of(pieces & before)
        tally.wasted.append(max(0, wasted))
        tally.repeated.append(repeated)
        if before - after:
            tally.breaks(f"{len(before - after)} good pieces of {job.id} are gone from the disk")
        if wasted > LIMIT or repeated > LIMIT:
            tally.breaks(
                f"{wasted} bytes of {job.id} were sent twice, {repeated} had been finished"
            )

    def _good(self, job: Wanted, stored: store.Stored) -> frozenset[int]:
        path = data_of(stored.jobs[job.id], self._fire.media)
        return job.film.good(path) if path else frozenset()


def data_of(job: store.StoredJob, media: Path) -> Path | None:
    """Where the data of a job of one file lies: published, or still unfinished."""
    staging = media / ".incomplete" / job.key
    if staging.is_dir():
        files = [entry for entry in staging.iterdir() if entry.name[:1] != "." and entry.is_file()]
        if files:
            return files[0]
    return media / job.path if job.path else None
