"""Brings a job's film to where it belongs: into the media root, and from folder to folder there."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from chilly_movies.disk import files as disk
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.moving import Mover, make_folder
from chilly_movies.disk.threads import on_disk, to_the_end
from chilly_movies.disk.volume import disk_error
from chilly_movies.jobs.models import Job, Phase, Progress, Report
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.stages import say


async def publish(
    staged: Path,
    place: Place,
    progress: Progress,
    *,
    folder: str,
    check: Callable[[], None],
    flush: Callable[[Path], None] = disk.flush_tree,
) -> str:
    """Flush verified data and rename it into the media root; the name is told before.

    A stage: it says a report with the film's path for each name that is tried.

    A folder on another disk is left to the core: it moves the film there once it is published.
    The staging folder is left to the driver, which may have told readers of it.

    Args:
        staged: the file or folder that becomes the film, named as it is to be called.
        place: where it goes.
        progress: the figures of each report.
        folder: of the media root; "" = the media root itself.
        check: called in a thread just before the rename; it raises a `DiskError` if what is
            staged is no longer what was verified.
        flush: makes what is staged survive a power cut; another than the usual one for links to
            files that are not ours alone.

    Returns:
        Where the film is, relative to the media root.

    Raises:
        DiskError: the disk refused, or `check` did.
    """

    def put(target: Path) -> None:
        check()
        disk.publish(staged, target)

    await on_disk(lambda: flush(staged))
    failpoints.reach("publish.flushed")
    while True:
        wanted = "/".join(filter(None, (folder, staged.name)))
        path = await on_disk(lambda: disk.free_name(place.root, wanted))  # noqa: B023
        await say(Report(progress, path=path))
        failpoints.reach("publish.told")
        target = place.root / path
        try:
            await on_disk(lambda: make_folder(place.root, target.parent))  # noqa: B023
            await to_the_end(lambda: put(target))  # noqa: B023
        except FileExistsError:
            continue  # somebody took the name meanwhile: the next one
        except OSError as error:
            if error.errno == errno.EXDEV and folder:
                folder = ""
                continue
            sentence = f"The film cannot be published: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        failpoints.reach("publish.renamed")
        return path


async def move(job: Job, root: Path) -> str:
    """Bring a finished film to the job's `moving_to`.

    A stage: it says reports, of which the last one is `complete` and has the film's path.

    Args:
        job: the job.
        root: the media root.

    Returns:
        Where the film is, relative to the media root (`job_at`).

    Raises:
        DiskError: it cannot be moved, and is where it was.
    """
    total = sum(file.size for file in job.files if file.wanted)
    progress = replace(job.progress, phase=Phase.POST_PROCESSING)
    await say(Report(progress, "the film is being moved"))
    path = job.moving_to or ""
    async with aclosing(Mover(root, job).go()) as steps:
        async for step in steps:
            if isinstance(step, str):
                path = step
                await say(Report(progress, path=path))
            elif step:
                reason = f"the film is being moved: {step:.0%} of {total / 1e6:.0f} MB are copied"
                await say(Report(progress, reason))
    phase = Phase.SEEDING if job.seeding else None
    await say(Report(replace(progress, phase=phase), path=path, complete=True))
    return path


def with_move_finished(job: Job, root: Path) -> Job:
    """The job where its film is, after a move that is not gone on with. Blocks."""
    if job.moving_to is None:
        return job
    return job_at(job, Mover(root, job).finish_move().as_posix())


def job_at(job: Job, path: str) -> Job:
    """The job after its film was moved to a path of the media root."""
    return replace(job, path=path, files=job.files_at(path), moving_to=None)
