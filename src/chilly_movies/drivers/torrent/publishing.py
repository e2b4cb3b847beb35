"""Brings a job's film to where it belongs: into the media root, and from folder to folder there."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

from chilly_movies.disk import files as disk
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.moving import Mover, make_folder
from chilly_movies.disk.threads import on_disk, to_the_end
from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.torrent.reading.readers import Library
from chilly_movies.drivers.torrent.run import Run
from chilly_movies.jobs.models import Job, Phase, Progress, Report
from chilly_movies.runtime import failpoints


async def publish(
    run: Run, place: Place, library: Library, progress: Progress
) -> AsyncGenerator[Report, None]:
    """Flush the verified data and rename it into the media root; the name is told before.

    What is renamed lies in the very folder that the engine was given, and its files look as they
    did when they were compared with their hashes. A folder on another disk is left to the core:
    it moves the film there once it is published.

    Raises:
        DiskError: that folder was replaced, or a file was changed; both are checked anew.
    """
    staged = run.folder / run.top
    await on_disk(lambda: disk.flush_tree(staged))
    failpoints.reach("publish.flushed")
    folder = run.job.options.folder
    while True:
        wanted = "/".join(filter(None, (folder, run.top)))
        path = run.path = await on_disk(lambda: disk.free_name(place.root, wanted))  # noqa: B023
        yield Report(progress, path=path)
        failpoints.reach("publish.told")
        target = place.root / path
        try:
            await on_disk(lambda: make_folder(place.root, target.parent))  # noqa: B023
            await to_the_end(partial(_put, run, staged, target))
        except FileExistsError:
            continue  # somebody took the name meanwhile: the next one
        except OSError as error:
            if error.errno == errno.EXDEV and folder:
                folder = ""
                continue
            sentence = f"The film cannot be published: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        failpoints.reach("publish.renamed")
        run.published = True
        run.take(place.root)
        library.place(run.job.key, place.root, run.published_paths())
        await on_disk(lambda: place.clear_staging(run.job.key))
        return


def _put(run: Run, staged: Path, target: Path) -> None:
    run.refuse_changed()
    disk.publish(staged, target)


async def move(run: Run, root: Path) -> AsyncGenerator[Report, None]:
    """Bring a finished film to `moving_to`; the run goes on with it there.

    Raises:
        DiskError: it cannot be moved, and is where it was.
    """
    total = sum(file.size for file in run.job.files if file.wanted)
    progress = replace(run.job.progress, phase=Phase.POST_PROCESSING)
    yield Report(progress, "the film is being moved")
    path = run.job.moving_to or ""
    async with aclosing(Mover(root, run.job).go()) as steps:
        async for step in steps:
            if isinstance(step, str):
                path = step
                yield Report(progress, path=path)
            elif step:
                reason = f"the film is being moved: {step:.0%} of {total / 1e6:.0f} MB are copied"
                yield Report(progress, reason)
    run.path = path
    phase = Phase.SEEDING if run.job.seeding else None
    yield Report(replace(progress, phase=phase), path=path, complete=True)
    run.job = _at(run.job, path)


def settled(job: Job, root: Path) -> Job:
    """The job where its film is, after a move that is not gone on with. Blocks."""
    if job.moving_to is None:
        return job
    return _at(job, Mover(root, job).settle().as_posix())


def _at(job: Job, path: str) -> Job:
    return replace(job, path=path, files=job.files_at(path), moving_to=None)
