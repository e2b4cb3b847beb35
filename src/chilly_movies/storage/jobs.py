"""The stores that survive: jobs, their changes and resume data in one SQLite file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Insert,
    LargeBinary,
    Update,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from chilly_movies.errors import JobLost, StoreError
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Moved
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.ports import Loaded
from chilly_movies.storage import rows
from chilly_movies.storage.followers import prune
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import RESERVED_SEQ, RUN, TOTALS, events, jobs, meta, resume

# Statements that run often are built once: building one costs more than running it.
_ADD_JOB: Final = insert(jobs)
_HELD: Final = (jobs.c.id == bindparam("which"), jobs.c.epoch == bindparam("held"))
"""The fence: the job, while the writer's epoch is the newest."""
_CHANGE_JOB: Final = update(jobs).where(*_HELD)
_REPLACE_JOB: Final = update(jobs).where(jobs.c.id == bindparam("which"))
_ADD_EVENT: Final = insert(events)
_ADD_RESUME: Final = insert(resume)
_CHANGE_RESUME: Final = update(resume).where(resume.c.key == bindparam("which"))
_SAVE_PROGRESS: Final = (
    update(jobs)
    .where(*_HELD)
    .values(
        progress=bindparam("progress"),
        figures=bindparam("figures"),
        reason=bindparam("reason"),
        updated_at=bindparam("updated_at"),
    )
)
_ADD_META: Final = insert(meta)
_CHANGE_META: Final = update(meta).where(meta.c.name == bindparam("which"))
_NEWEST: Final = select(func.max(events.c.id))
_OPEN, _CLOSED = "open ", "closed "


def open_stores(path: Path) -> tuple[SqliteJobStore, SqliteResumeStore]:
    """Both stores of one file. Nothing is opened before `load` of the job store.

    Closing the job store closes the file; the resume store has nothing to close.

    Args:
        path: the file; it and its folder are created if they are missing.
    """
    database = Database(path)
    return SqliteJobStore(database), SqliteResumeStore(database)


class SqliteJobStore:
    """A `JobStore` in a database. Owns the database: closing the store closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_open = False
        self._used = 0
        """The number up to which all counted as used when the store was opened."""

    async def load(self) -> Loaded:
        """Open the database and read all jobs in queue order.

        Also forgets what nobody can ask for: old changes, and resume data without a job. A row
        that cannot be read is left alone and logged: it costs one job, not the start.

        Raises:
            StoreFromTheFuture: a newer version of this program wrote it.
            StoreError: the database cannot be opened or read.
        """

        def load(connection: Connection) -> Loaded:
            prune(connection)
            connection.execute(delete(resume).where(resume.c.key.not_in(select(jobs.c.key))))
            order = (jobs.c.position, jobs.c.fraction, jobs.c.created_at, jobs.c.id)
            found = connection.execute(select(jobs).order_by(*order))
            self._used = last_seq = _last_seq(connection)
            readable = tuple(rows.readable(found, rows.job_from_row))
            last_run = str(connection.scalar(select(meta.c.value).where(meta.c.name == RUN)) or "")
            _note_run(connection, is_open=True)
            return Loaded(
                jobs=readable,
                last_seq=last_seq,
                unclean=last_run.startswith(_OPEN),
                rebooted=last_run.startswith(_OPEN) and last_run != _OPEN + boot_id(),
                totals=rows.totals_from_text(
                    connection.scalar(select(meta.c.value).where(meta.c.name == TOTALS))
                ),
            )

        await self._database.open()
        loaded = await self._database.call(load)
        self._is_open = True
        return loaded

    async def add(self, job: Job, change: Change) -> int:
        """Save a new job and its change in one transaction; see `ports.JobStore`.

        Raises:
            JobLost: there is a job with this id.
            StoreError: neither of them is saved.
        """

        def add(connection: Connection) -> int:
            row = rows.job_to_row(job) | {"which": job.id}
            found = connection.execute(select(jobs).where(jobs.c.id == job.id))
            if any(rows.readable(found, rows.job_from_row)):
                raise JobLost.of(job.id)
            _upsert(connection, row, change=_REPLACE_JOB, add=_ADD_JOB)
            return self._number(connection, change)

        return await self._database.call(add)

    async def record(self, job: Job, change: Change) -> int:
        """Save the job and its change in one transaction; see `ports.JobStore`.

        Raises:
            JobLost: somebody else holds the job, or it is gone; neither of them is saved.
            StoreError: neither of them is saved.
        """

        def record(connection: Connection) -> int:
            row = rows.job_to_row(job) | {"which": job.id, "held": job.epoch}
            if not connection.execute(_CHANGE_JOB, row).rowcount:
                raise JobLost.of(job.id)
            return self._number(connection, change)

        return await self._database.call(record)

    def _number(self, connection: Connection, change: Change) -> int:
        """Add the change under the next number. Nobody else writes until this is committed."""
        seq = max(connection.scalar(_NEWEST) or 0, self._used, change.seq) + 1
        connection.execute(_ADD_EVENT, rows.change_to_row(change) | {"id": seq})
        return seq

    async def save_progress(self, moved: Sequence[Job]) -> frozenset[str]:
        """Save the progress of many jobs in one statement; see `ports.JobStore`.

        Raises:
            StoreError: nothing of it is saved.
        """
        given = {job.id: rows.progress_to_row(job) for job in moved}

        def save(connection: Connection) -> frozenset[str]:
            if connection.execute(_SAVE_PROGRESS, [*given.values()]).rowcount == len(given):
                return frozenset()
            there = connection.execute(select(jobs.c.id, jobs.c.epoch))
            held = {row.id for row in there if given.get(row.id, {}).get("held") == row.epoch}
            return frozenset(given.keys() - held)

        return await self._database.call(save) if given else frozenset()

    async def save_totals(self, totals: Moved) -> None:
        """Keep what all jobs together moved, beyond the life of each.

        Raises:
            StoreError: what was kept before still is.
        """
        row = {"name": TOTALS, "value": rows.totals_to_text(totals), "which": TOTALS}
        await self._database.call(partial(_upsert, row=row, change=_CHANGE_META, add=_ADD_META))

    async def changes_since(
        self, seq: int, job_id: str | None = None, *, limit: int = 1000
    ) -> list[Change]:
        """Durable changes with a higher number than `seq`, oldest first.

        Args:
            seq: exclusive lower bound.
            job_id: only this job's changes.
            limit: at most so many.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(events).where(events.c.id > seq).order_by(events.c.id).limit(limit)
        if job_id is not None:
            query = query.where(events.c.job_id == job_id)
        return await self._database.call(
            lambda connection: list(rows.readable(connection.execute(query), rows.change_from_row))
        )

    async def delete(self, job: Job, change: Change) -> int:
        """Delete the job and its resume data, and record the change. All or nothing.

        Raises:
            JobLost: somebody else holds the job; nothing is deleted.
            StoreError: nothing is deleted.
        """

        def forget(connection: Connection) -> int:
            which = jobs.c.id == job.id
            found = connection.execute(select(jobs.c.key, jobs.c.epoch).where(which)).first()
            if found is not None and found.epoch != job.epoch:
                raise JobLost.of(job.id)
            if found is not None:
                connection.execute(delete(resume).where(resume.c.key == found.key))
                connection.execute(delete(jobs).where(which))
            return self._number(connection, change)

        return await self._database.call(forget)

    async def aclose(self) -> None:
        """Finish all writes, note that the run ended in order, and close the database. Idempotent.

        A note that cannot be written costs a check at the next start, no more.
        """
        if self._is_open:
            self._is_open = False
            with suppress(StoreError):
                await self._database.call(partial(_note_run, is_open=False))
        await self._database.aclose()


class SqliteResumeStore:
    """A `ResumeStore` in a database that somebody else opens and closes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_resume(self, key: str) -> bytes | None:
        """The blob last saved under the job key, None if there is none.

        Raises:
            StoreError: the database cannot be read.
        """
        # SQLite keeps a value of any type there, if somebody puts it there
        query = select(cast(resume.c.data, LargeBinary)).where(resume.c.key == key)
        return await self._database.call(lambda connection: connection.scalar(query))

    async def save_resume(self, key: str, data: bytes) -> None:
        """Replace the blob. Returns when it is durable.

        Raises:
            StoreError: the old blob, if any, is still there.
        """
        row = {"key": key, "data": data, "saved_at": datetime.now(UTC), "which": key}
        await self._database.call(partial(_upsert, row=row, change=_CHANGE_RESUME, add=_ADD_RESUME))

    async def drop_resume(self, key: str) -> None:
        """Delete the blob if there is one.

        Raises:
            StoreError: it is still there.
        """
        statement = delete(resume).where(resume.c.key == key)
        await self._database.call(lambda connection: connection.execute(statement).rowcount)


def _last_seq(connection: Connection) -> int:
    """The highest number that counts as used, and a note of it.

    Versions before schema 0004 told progress under numbers of its own, up to the one noted.
    """
    reserved = connection.scalar(select(meta.c.value).where(meta.c.name == RESERVED_SEQ))
    highest = int(connection.scalar(_NEWEST) or 0)
    with suppress(ValueError, TypeError):  # damaged
        highest = max(int(reserved or ""), highest)
    row = {"name": RESERVED_SEQ, "value": str(highest), "which": RESERVED_SEQ}
    _upsert(connection, row, change=_CHANGE_META, add=_ADD_META)
    return highest


def _note_run(connection: Connection, *, is_open: bool) -> None:
    row = {"name": RUN, "value": (_OPEN if is_open else _CLOSED) + boot_id(), "which": RUN}
    _upsert(connection, row, change=_CHANGE_META, add=_ADD_META)


def boot_id() -> str:
    """Which start of the machine this is; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _upsert(connection: Connection, row: dict[str, Any], *, change: Update, add: Insert) -> None:
    """Update the row that `which` names, add it if there is none.

    Databases spell a combined statement differently. Two are safe as nobody else writes.
    """
    if not connection.execute(change, row).rowcount:
        connection.execute(add, {name: row[name] for name in row if name != "which"})
