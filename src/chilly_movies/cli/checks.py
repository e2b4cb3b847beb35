"""What `chilly doctor` looks at. Each check yields findings and changes nothing it looks at.

A probe file is written to the media folder and deleted, and free ports are bound for a moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chilly_movies.cli import render
from chilly_movies.cli.interruption import InOrder
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.disk_guard import amount
from chilly_movies.jobs.models import Job, Status
from chilly_movies.names import INCOMPLETE
from chilly_movies.runtime.state_folder import StateFolder

if TYPE_CHECKING:
    from chilly_movies.settings import Settings
    from chilly_movies.storage.sqlite.inspection import Survey

Level = Literal["ok", "remark", "problem"]
_SHOWN = 20
_ENGINE = "2.1.1"


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of one check.

    Attributes:
        area: what part of the installation.
        level: how bad; only a problem makes the doctor unhappy.
        message: one sentence.
        remedy: how to mend it.
    """

    area: str
    level: Level
    message: str
    remedy: str = ""


def check_state(state_dir: Path, *, running: bool) -> Iterator[Finding]:
    """Checks the state folder: whether a server uses it, and whether others may read it."""
    if running:
        yield Finding("server", "ok", "A server is running on this state folder.")
    else:
        yield Finding("server", "ok", "No server is running on this state folder.")
    if not state_dir.is_dir():
        yield Finding(
            "state",
            "remark",
            f"The state folder {state_dir} is not there yet.",
            "The first 'chilly serve' makes it.",
        )
        return
    if not os.access(state_dir, os.W_OK | os.X_OK):
        yield Finding(
            "state",
            "problem",
            f"The state folder {state_dir} cannot be written.",
            "Give this user the right to, or set CHILLY_STATE_DIR.",
        )
    for path in sorted(state_dir.iterdir()):
        if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            if path.suffix == ".json":
                continue
            yield Finding(
                "state",
                "remark",
                f"Others may read {path.name} in the state folder.",
                f"chmod 600 '{path}'",
            )
    free = os.statvfs(state_dir).f_bavail * os.statvfs(state_dir).f_frsize
    if free < 50_000_000:
        yield Finding(
            "state",
            "problem",
            f"The disk of the state folder has {amount(free)} free.",
            "Make room: without it nothing new can be stored.",
        )


def check_store(survey: Survey | None, error: ChillyError | None) -> Iterator[Finding]:
    """Checks the database."""
    if survey is None:
        yield _no_store(str(error))
        return
    if survey.damage:
        yield Finding(
            "store",
            "problem",
            f"The database is damaged: {survey.damage[0]}.",
            "Stop the server; 'chilly backup FILE' saves the good rows, and 'chilly restore FILE "
            "--force' puts them in the place of the damaged ones. An older backup may hold more.",
        )
    if not survey.revision and not survey.damage:
        yield Finding(
            "store",
            "remark",
            "The database is empty: it knows of no job.",
            "If there were jobs, restore a backup with 'chilly restore'.",
        )
    elif not survey.is_newest:
        yield Finding(
            "store",
            "remark",
            f"The database has an older form ({survey.revision}).",
            "The next 'chilly serve' brings it up to date.",
        )
    for job_id in survey.unreadable[:_SHOWN]:
        yield Finding(
            "store",
            "problem",
            f"The row of job '{job_id}' is damaged and left out.",
            "Restore a backup, or start the job again under another id.",
        )
    if len(survey.unreadable) > _SHOWN:
        yield Finding(
            "store", "problem", f"{len(survey.unreadable) - _SHOWN} more rows are damaged."
        )
    if not survey.damage and not survey.unreadable:
        count = len(survey.jobs)
        yield Finding(
            "store", "ok", f"The database is sound and holds {render.count(count, 'job')}."
        )


def _no_store(why: str) -> Finding:
    """Says why there is no database, or none that can be read."""
    if "no database yet" in why:
        return Finding("store", "remark", why)
    if "cannot be read" in why:
        return Finding("store", "problem", why, "Give this user the right to, or put a file back.")
    return Finding(
        "store",
        "problem",
        why,
        "Restore a backup with 'chilly restore', or move the file away to begin anew: films stay.",
    )


def check_files(survey: Survey, media_root: Path) -> Iterator[Finding]:
    """Checks whether what was published is still there, as long as it was."""
    bad = 0
    for job in survey.jobs:
        if job.status is not Status.COMPLETED:
            continue
        problem = _missing(job, media_root)
        if problem is not None:
            bad += 1
            if bad <= _SHOWN:
                yield Finding(
                    "files",
                    "problem",
                    f"The film of job '{job.id}': {problem}.",
                    "Put it back, or remove the job with 'chilly remove'.",
                )
    if bad > _SHOWN:
        yield Finding("files", "problem", f"{bad - _SHOWN} more films are not as they were.")
    if not bad:
        count = sum(job.status is Status.COMPLETED for job in survey.jobs)
        yield Finding("files", "ok", f"All {count} finished films are there in full length.")


def _missing(job: Job, media_root: Path) -> str | None:
    for file in job.files:
        if not file.wanted:
            continue
        path = media_root / file.path
        try:
            size = path.stat().st_size
        except OSError:
            return f"'{file.path}' is not there"
        if size != file.size:
            return f"'{file.path}' has {size} bytes instead of {file.size}"
    return None


def check_hashes(survey: Survey, database: Path, media_root: Path) -> Iterator[Finding]:
    """Checks whether every byte of what was published has the right hash; a second per GB."""
    from chilly_movies.drivers.torrent.checkup import FilmCheck
    from chilly_movies.storage.sqlite.inspection import resume_data

    known, engine = dict(resume_data(database)), FilmCheck(media_root)
    right = bad = 0
    for job in survey.jobs:
        if job.status is not Status.COMPLETED or _missing(job, media_root) is not None:
            continue  # `check_files` tells of those that are not there
        differing = engine.differing(job, known.get(job.key))
        if differing is None:
            yield Finding(
                "hashes",
                "remark",
                f"The hashes of job '{job.id}' are not known here.",
                "Start the job again if you doubt its film.",
            )
        elif differing:
            bad += 1
            what = f"The film of job '{job.id}' is damaged: {amount(differing)} are not right."
            yield Finding(
                "hashes",
                "problem",
                what,
                "Let the server recheck and then resume it, or remove it.",
            )
        else:
            right += 1
    if not bad:
        yield Finding("hashes", "ok", f"{right} finished films have the right hashes.")


def check_strangers(jobs: Sequence[Job], media_root: Path) -> Iterator[Finding]:
    """Lists what lies in the media folder and belongs to no job; it may well be somebody's own."""
    tops = {job.path.split("/")[0] for job in jobs if job.path}
    tops |= {file.path.split("/")[0] for job in jobs if job.adopted for file in job.files}
    found = sorted(path.name for path in media_root.iterdir()) if media_root.is_dir() else []
    strangers = [name for name in found if name[:1] != "." and name not in tops]
    if strangers:
        shown = ", ".join(f"'{name}'" for name in strangers[:_SHOWN])
        more = f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
        yield Finding(
            "media",
            "remark",
            f"These belong to no job: {shown}{more}.",
            "Nothing touches them. Delete what you do not want.",
        )
    else:
        yield Finding("media", "ok", "All in the media folder belongs to a job.")


def check_staging(jobs: Sequence[Job], media_root: Path) -> Iterator[Finding]:
    """Lists unfinished data that no job will go on with."""
    folder = media_root / INCOMPLETE
    known = {job.key: job for job in jobs}
    done = (Status.COMPLETED, Status.CANCELED)
    found = 0
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        owner = known.get(path.name)
        if owner is not None and (owner.status not in done or not any(path.iterdir())):
            continue
        found += 1
        if found <= _SHOWN:
            yield Finding(
                "staging",
                "remark",
                f"No job goes on with what is in {path}.",
                "Delete the folder if you do not need it.",
            )
    if not found:
        yield Finding("staging", "ok", "All unfinished data belongs to a job.")


def check_resume(survey: Survey, database: Path) -> Iterator[Finding]:
    """Checks resume data: readable, and of a job that is there."""
    from chilly_movies.drivers.torrent.checkup import resume_problem
    from chilly_movies.storage.sqlite.inspection import resume_data

    jobs = {job.key: job for job in survey.jobs}
    bad = len(survey.lost_resume)
    if bad:
        yield Finding(
            "resume",
            "problem",
            f"The resume data of {bad} jobs cannot be read.",
            "Mend the database; they check their data anew then.",
        )
    for key, data in resume_data(database):
        job = jobs.get(key)
        if job is None:
            yield Finding(
                "resume", "remark", "There is resume data of no job.", "The next start forgets it."
            )
        elif job.source.type == "torrent" and (problem := resume_problem(data)):
            bad += 1
            what = f"The resume data of job '{job.id}' is not readable: {problem}."
            yield Finding("resume", "remark", what, "What is on the disk is checked anew.")
    if not bad:
        yield Finding("resume", "ok", f"The resume data of {len(survey.resume)} jobs is readable.")


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Checks the media folder: there, ours, writable, flushes, and with room above the reserve."""
    from chilly_movies.disk.server_note import ServerNote
    from chilly_movies.disk.volume import MediaVolume

    root = settings.media_root.absolute()
    state = StateFolder(settings.state_dir)
    volume = MediaVolume(root, state)
    if not root.exists() and not volume.is_remembered:
        yield Finding(
            "disk",
            "remark",
            f"The media folder {root} is not there yet.",
            "The first 'chilly serve' makes it.",
        )
        return
    problem = volume.problem()
    if problem is not None:
        yield Finding("disk", "problem", problem, "Mount its disk or set CHILLY_MEDIA_ROOT.")
        return
    if (other := ServerNote(root, state).other()) is not None:
        yield Finding(
            "disk",
            "remark",
            f"A server with the state folder {other} uses this media folder.",
            "What belongs to its jobs is shown here as of no job.",
        )
    found = os.statvfs(root)
    free = found.f_bavail * found.f_frsize
    if free < settings.jobs.min_free_space:
        yield Finding(
            "disk",
            "problem",
            f"{amount(free)} are free in the media folder, "
            f"{amount(settings.jobs.min_free_space)} are to stay free, so downloads wait.",
            "Make room, or lower CHILLY_MIN_FREE_SPACE.",
        )
    staging = root / INCOMPLETE
    if staging.is_dir() and staging.stat().st_dev != root.stat().st_dev:
        yield Finding(
            "disk",
            "problem",
            f"The folder {INCOMPLETE} is on another disk.",
            "Let both be on one disk: films are published by renaming.",
        )
    refused = _try_write(staging if staging.is_dir() else root)
    if refused is not None:
        yield Finding(
            "disk",
            "problem",
            f"The media folder cannot be written: {refused}.",
            "Mend the disk or give this user the right to.",
        )
    else:
        yield Finding("disk", "ok", f"The media folder can be written; {amount(free)} are free.")


def _try_write(folder: Path) -> str | None:
    """Says why a file cannot be written and flushed there; None if it can."""
    probe = folder / f".doctor-{os.getpid()}"
    try:
        with InOrder():
            handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, b"x" * 4096)
                os.fsync(handle)
            finally:
                os.close(handle)
                probe.unlink(missing_ok=True)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def check_engine() -> Iterator[Finding]:
    """Checks the torrent engine."""
    try:
        from chilly_movies.drivers.torrent.built import openssl_inside
        from chilly_movies.drivers.torrent.checkup import engine_version

        found, openssl = engine_version(), openssl_inside() or "none of its own"
    except ImportError as error:
        yield Finding(
            "engine",
            "problem",
            f"The torrent engine cannot be loaded: {error}.",
            "Install Chilly Movies anew.",
        )
        return
    if found.startswith(_ENGINE):
        what = f"The torrent engine is libtorrent {found} (OpenSSL inside: {openssl})."
        yield Finding("engine", "ok", what)
    else:
        what = f"The torrent engine is libtorrent {found}, and was tested as {_ENGINE} only."
        yield Finding("engine", "problem", what, f"pip install libtorrent=={_ENGINE}")
