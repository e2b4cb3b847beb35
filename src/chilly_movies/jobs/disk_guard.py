"""Whether there is room for a job: what is decided, not when.

A running job's missing bytes count as taken, so that several jobs together never promise the
same room twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from chilly_movies.errors import DiskError, DiskFull
from chilly_movies.jobs.models import Job, Status
from chilly_movies.jobs.ports import Room, Volume
from chilly_movies.jobs.queue import in_order

_PLENTY = Room(free=2**62)


def amount(count: int) -> str:
    """Bytes for people: `120 MB`, `1.4 GB`."""
    value, units = float(max(0, count)), ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    digits = 1 if value < 10 and units[0] != "B" else 0
    return f"{value:.{digits}f}".removesuffix(".0") + f" {units[0]}"


def bytes_left(job: Job) -> int | None:
    """Bytes the job still has to write; None = nobody knows before its metadata is there."""
    if job.progress.needs is not None:
        return job.progress.needs
    mends = job.completed_at is not None and job.status is not Status.COMPLETED
    if job.adopted or (job.path is not None and not mends):  # it lies where it belongs already
        return 0
    total = job.progress.bytes_total
    if total is None and job.files:
        total = sum(file.size for file in job.files if file.wanted)
    return None if total is None else max(0, total - job.progress.bytes_downloaded)


def _film_of(job: Job) -> str | None:
    """Where the largest file of a finished job lies; None if nothing is known of it."""
    wanted = [file for file in job.files if file.wanted]
    return max(wanted, key=lambda file: file.size).path if wanted else job.path


class DiskGuard:
    """Says who must wait for room, or for the media folder itself.

    Args:
        volume: where films are written; None = there is always room.
        reserve: bytes that stay free.
    """

    def __init__(self, volume: Volume | None = None, reserve: int = 0) -> None:
        self._volume = volume
        self._reserve = reserve

    async def measure(self) -> Room:
        """How the volume is at this moment."""
        return _PLENTY if self._volume is None else await self._volume.measure()

    async def free(self) -> int | None:
        """Bytes that may be written at this moment; None if nobody knows."""
        room = await self.measure()
        return None if self._volume is None or room.problem is not None else room.free

    async def missing(self, jobs: Sequence[Job]) -> frozenset[str]:
        """The ids of the finished jobs whose film is not where it was put.

        Of each job only its largest file is looked for.
        """
        if self._volume is None:
            return frozenset()
        places = {job.id: _film_of(job) for job in jobs if job.status is Status.COMPLETED}
        gone = await self._volume.missing(list(filter(None, places.values())))
        return frozenset(job_id for job_id, place in places.items() if place in gone)

    async def refusal(self, room: Room, job: Job, running: Sequence[Job]) -> DiskError | None:
        """Why a job must not begin now, None if it may.

        Args:
            room: what `look` said a moment ago.
            job: it has no slot yet.
            running: the jobs that have one.
        """
        return await self._verdict(room, job, running, self._reserve)

    async def overdue(self, room: Room, running: Sequence[Job]) -> list[tuple[Job, DiskError]]:
        """The running jobs that must give way, with the reason; earlier ones in the queue stay.

        A job that runs may use a quarter of the reserve before it has to stop: figures of what
        arrived lag behind what is on the disk, and one at the edge would come and go.
        """
        floor = self._reserve - self._reserve // 4
        everything = sum(bytes_left(job) or 0 for job in running)
        if room.problem is None and self._fits(room, None, everything, floor):
            return []  # as nearly always; with a thousand jobs the rest takes long
        stay: list[Job] = []
        leave: list[tuple[Job, DiskError]] = []
        for job in in_order(running):
            problem = await self._verdict(room, job, stay, floor)
            if problem is None:
                stay.append(job)
            else:
                leave.append((job, problem))
        return leave

    async def _verdict(
        self, room: Room, job: Job, others: Sequence[Job], floor: int
    ) -> DiskError | None:
        if room.problem is not None:
            return DiskError(room.problem)
        need = bytes_left(job)
        if need == 0:
            return None
        promised = sum(bytes_left(other) or 0 for other in others)
        if self._fits(room, need, promised, floor):
            return None
        # The figures know only of checked pieces; what lies on the disk needs no more room.
        need = need and await self._exactly(job, need)
        promised = sum([await self._exactly(j, n) for j in others if (n := bytes_left(j))])
        if need == 0 or self._fits(room, need, promised, floor):
            return None
        return DiskFull(self._sentence(room, need, promised))

    def _fits(self, room: Room, need: int | None, promised: int, floor: int) -> bool:
        budget = room.free - floor - promised
        return budget > 0 if need is None else budget >= need

    async def _exactly(self, job: Job, need: int) -> int:
        """The bytes that are not on the disk yet, whatever the figures say."""
        if self._volume is None or job.progress.needs is not None:
            return need  # its driver knows
        total = need + job.progress.bytes_downloaded
        return min(need, max(0, total - await self._volume.held(job.key)))

    def _sentence(self, room: Room, need: int | None, promised: int) -> str:
        parts = [f"{amount(room.free)} free"]
        if need is not None:
            parts.append(f"{amount(need)} needed")
        if promised:
            parts.append(f"{amount(promised)} promised to other downloads")
        if self._reserve:
            parts.append(f"{amount(self._reserve)} kept free")
        return "disk full: " + ", ".join(parts)
