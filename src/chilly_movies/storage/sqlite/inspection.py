"""Looks at a database from outside, without changing it: for `chilly doctor` and `chilly backup`.

Works beside a running server, which may write meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    LargeBinary,
    NullPool,
    cast,
    create_engine,
    func,
    inspect,
    select,
)

from chilly_movies.errors import StoreError
from chilly_movies.jobs.models import Job
from chilly_movies.storage import rows
from chilly_movies.storage.sqlite.faults import FOREIGN, translate
from chilly_movies.storage.sqlite.salvage import UNREADABLE, read_rows
from chilly_movies.storage.sqlite.upgrade import (
    JOBS,
    Schema,
    reading,
    refuse_unknown,
    revisions_of,
)
from chilly_movies.storage.tables import deliveries, jobs, meta, metadata, resume, webhooks

_RUN = "run"
_UNCLEAN = "open restored"
"""What the store reads as: whoever had it last did not close it, and on another machine."""
_DATA = cast(resume.c.data, LargeBinary)
"""SQLite keeps a value of any type in a column for bytes, if somebody puts it there."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a database holds.

    Attributes:
        revision: of its schema; "" if it has none yet.
        is_newest: whether that is what this program writes.
        damage: what SQLite's own check found and which parts are missing, a line each; nothing if
            all is well.
        jobs: those that can be read, in the order of the queue.
        unreadable: ids of those that cannot; `row <number>` of one whose id is damaged, too.
        resume: job key to bytes of its resume data.
        lost_resume: keys of the resume data that cannot be read.
    """

    revision: str
    is_newest: bool
    damage: tuple[str, ...]
    jobs: tuple[Job, ...]
    unreadable: tuple[str, ...]
    resume: dict[str, int]
    lost_resume: tuple[str, ...] = ()


def survey(path: Path) -> Survey:
    """Read all of it once.

    Raises:
        StoreFromTheFuture: a newer version of this program wrote it.
        StoreError: it cannot be read, or belongs to another program.
    """
    with connected(path) as connection:
        revision = "".join(sorted(revisions_of(connection)))
        newest = revision == JOBS.newest
        if not newest:
            return Survey(revision, newest, checked(connection), (), (), {})
        found, unreadable = read_rows(connection, jobs, rows.job_from_row)
        found.sort(key=lambda job: (job.place, job.created_at, job.id))
        sizes, lost = read_rows(
            connection,
            resume,
            lambda row: (str(row["key"]), int(row["size"] or 0)),
            (resume.c.key, func.length(_DATA).label("size")),
        )
        damage = (*_missing(connection), *checked(connection))
    return Survey(
        revision, newest, damage, tuple(found), tuple(unreadable), dict(sizes), tuple(lost)
    )


def has_jobs(path: Path) -> bool:
    """Whether there are jobs in a database; False if there is none, or it cannot be read."""
    try:
        with connected(path) as connection:
            return connection.execute(select(jobs.c.id).limit(1)).first() is not None
    except StoreError:
        return False


def _missing(connection: Connection) -> Iterator[str]:
    """Tables, columns and indexes that should be there and are not."""
    inspector = inspect(connection)
    names = set(inspector.get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in names:
            yield f"its table '{table.name}' is missing"
            continue
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                yield f"the column '{column.name}' of its table '{table.name}' is missing"
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in sorted(str(index.name) for index in table.indexes):
            if index not in indexes:
                yield f"its index '{index}' is missing"


def checked(connection: Connection) -> tuple[str, ...]:
    """What SQLite's own check of a database finds."""
    try:
        lines = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    except UNREADABLE:
        return ("SQLite cannot check it",)
    return tuple(str(line) for line in lines if line != "ok")


def resume_data(path: Path) -> Iterator[tuple[str, bytes]]:
    """The resume data of all jobs, one after the other, by job key.

    Raises:
        StoreError: the database cannot be read.
    """
    with connected(path) as connection:
        yield from read_rows(
            connection,
            resume,
            lambda row: (str(row["key"]), bytes(row["data"] or b"")),
            (resume.c.key, _DATA.label("data")),
        )[0]


def copy(path: Path, target: Path, schema: Schema = JOBS) -> None:
    """Write a consistent copy to a new file that only its owner can read, and flush it.

    Raises:
        StoreError: the database cannot be read, or the copy not be written.
    """
    try:
        refuse_absent(path)
        refuse_unknown(path, schema)
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
        _flush(target)
    except FOREIGN as error:
        raise translate(error) from None


def forget_secrets(path: Path) -> int:
    """Delete what the servers of sources want to know, and webhooks: no byte of it is left.

    Returns:
        Of how many jobs it was deleted.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        with connected(path) as connection:
            there = {column["name"] for column in inspect(connection).get_columns(jobs.name)}
        if jobs.c.secret.name not in there:  # of an older form
            return 0
        with closing(sqlite3.connect(path)) as database:
            with database:
                found = database.execute("UPDATE jobs SET secret = NULL WHERE secret IS NOT NULL")
                for table in (webhooks.name, deliveries.name):  # without its secret it is of no use
                    database.execute(f"DELETE FROM {table}")  # noqa: S608 (our own names)
                database.execute("DELETE FROM followers WHERE name LIKE 'webhook-%'")
            database.execute("VACUUM")  # deleted rows, too, stay readable in a file otherwise
        _flush(path)
    except FOREIGN as error:
        raise translate(error) from None
    return found.rowcount


def distrust(path: Path) -> None:
    """Let whoever opens the database next check unfinished data, as after a crash.

    Raises:
        StoreError: it cannot be written.
    """
    url = URL.create("sqlite", database=str(path))  # a path may hold what has a meaning in a URL
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            row = {"value": _UNCLEAN}
            changed = connection.execute(meta.update().where(meta.c.name == _RUN).values(row))
            if not changed.rowcount:
                connection.execute(meta.insert().values(name=_RUN, **row))
        _flush(path)
    except FOREIGN as error:
        raise translate(error) from None


def refuse_foreign_parts(path: Path) -> None:
    """Check that a database from outside holds our tables and nothing that acts by itself.

    Raises:
        StoreError: it has triggers, views or tables that are not ours.
    """
    with connected(path) as connection:
        kinds = connection.exec_driver_sql("SELECT DISTINCT type FROM sqlite_master").scalars()
        found = set(inspect(connection).get_table_names())
        if set(kinds) - {"table", "index"} or found - {*metadata.tables, "alembic_version"}:
            raise StoreError("The database in the archive holds things that are not ours.")


def refuse_absent(path: Path) -> None:
    """Check that there is a database this user may read.

    Raises:
        StoreError: there is none, or it may not be read.
    """
    effective = os.access in os.supports_effective_ids
    try:
        path.stat()
    except FileNotFoundError:
        raise StoreError("There is no database yet.") from None
    except OSError as error:
        raise StoreError(f"The database cannot be read: {error.strerror}.") from None
    if not path.is_file():
        raise StoreError("The database cannot be read: it is no file.")
    if not os.access(path, os.R_OK, effective_ids=effective):
        raise StoreError("The database cannot be read: this user has no right to.")


@contextmanager
def connected(path: Path, schema: Schema = JOBS) -> Iterator[Connection]:
    """A connection that reads a database and leaves it as it is.

    Raises:
        StoreFromTheFuture: a newer version of this program wrote it.
        StoreError: it cannot be read, or belongs to another program.
    """
    try:
        refuse_absent(path)
        refuse_unknown(path, schema)
        with reading(path).connect() as connection:
            yield connection
    except FOREIGN as error:
        raise translate(error) from None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
