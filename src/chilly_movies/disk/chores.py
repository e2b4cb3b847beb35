"""What most drivers do alike with films on the disk: confirm, remove, clean up after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import with_move_finished
from chilly_movies.disk.threads import on_disk
from chilly_movies.errors import FilmDamaged
from chilly_movies.jobs.models import Job, Progress, Report, Status
from chilly_movies.runtime.stages import say


async def confirm(job: Job, place: Place) -> None:
    """Compare a published film with the names and sizes of its files: all there is without hashes.

    A stage: it says one report, which is `complete`.

    Raises:
        FilmDamaged: a file is gone, or has another size.
        DiskError: the disk refused.
    """
    why = await on_disk(lambda: place.why_missing(job.files))
    if why or (why := await on_disk(lambda: place.why_unlike(job.files))):
        raise FilmDamaged(f"The film is not what it was: {why}.")
    size = sum(file.size for file in job.files if file.wanted)
    await say(Report(Progress(100.0, size, size), path=job.path, complete=True))


async def remove(job: Job, place: Place, *, delete_files: bool) -> None:
    """Delete a job's unfinished data, and its film if that is wanted; see `ports.Driver.remove`.

    A film that a crash left between its publishing and the note of it stays: without hashes nobody
    knows whose it is.

    Raises:
        DiskError: the disk refused.
    """
    job = await on_disk(lambda: with_move_finished(job, place.root))
    delete = partial(place.delete, job, job.files, delete_files=delete_files)
    await on_disk(lambda: delete(ours=lambda _job: False))


async def reconcile(jobs: Sequence[Job], place: Place) -> Sequence[str]:
    """Delete what a crash left of canceled jobs; see `ports.Driver.reconcile`.

    Returns:
        The staging folders that belong to no job.

    Raises:
        DiskError: the disk refused.
    """
    staged = await on_disk(lambda: set(place.staged_keys()))
    for job in jobs:
        if job.status is Status.CANCELED and job.key in staged:
            await remove(job, place, delete_files=False)
    return sorted(staged - {job.key for job in jobs})
