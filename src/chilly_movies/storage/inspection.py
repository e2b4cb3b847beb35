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

from sqlalchemy import URL, Connection, NullPool, create_engine, func, inspect, select

from chilly_movies.errors import StoreError
from chilly_movies.models import Job
from chilly_movies.storage import rows
from chilly_movies.storage.faults import FOREIGN, translate
from chilly_movies.storage.tables import jobs, meta, metadata, resume
from chilly_movies.storage.upgrade import NEWEST, read_only, refuse_unknown, revisions_of

_RUN = "run"
_UNCLEAN = "open restored"
"""What the store reads as: whoever had it last did not close it, and on another machine."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a database holds.

    Attributes:
        revision: of its schema; "" if it has none yet.
        is_newest: whether that is what this program writes.
        damage: what SQLite's own check found, a line each; nothing if all is well.
        jobs: those that can be read.
        unreadable: ids of those that cannot.
        resume: job key to bytes of its resume data.
    """

    revision: str
    is_newest: bool
    damage: tuple[str, ...]
    jobs: tuple[Job, ...]
    unreadable: tuple[str, ...]
    resume: dict[str, int]


def survey(path: Path) -> Survey:
    """Read all of it once.

    Raises:
        StoreFromTheFuture: a newer version of this program wrote it.
        StoreError: it cannot be read, or belongs to another program.
    """
    with _connected(path) as connection:
        revision = "".join(sorted(revisions_of(connection)))
        found, unreadable = [], []
        newest = revision == NEWEST
        if newest:
            for row in connection.execute(select(jobs).order_by(jobs.c.position)).mappings():
                try:
                    found.append(rows.job_from_row(row))
                except (ValueError, TypeError):
                    unreadable.append(str(row["id"]))
        sizes = select(resume.c.key, func.length(resume.c.data))
        kept = {str(row[0]): int(row[1]) for row in connection.execute(sizes)} if newest else {}
        check = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        damage = tuple(str(line) for line in check if line != "ok")
    return Survey(revision, newest, damage, tuple(found), tuple(unreadable), kept)


def resume_data(path: Path) -> Iterator[tuple[str, bytes]]:
    """The resume data of all jobs, one after the other, by job key.

    Raises:
        StoreError: the database cannot be read.
    """
    with _connected(path) as connection:
        found = connection.execute(select(resume.c.key, resume.c.data))
        for key, data in found:
            # SQLite keeps text in a column for bytes, too, if somebody puts it there
            yield str(key), data.encode() if isinstance(data, str) else bytes(data)


def copy(path: Path, target: Path) -> None:
    """Write a consistent copy to a new file that only its owner can read, and flush it.

    Raises:
        StoreError: the database cannot be read, or the copy not be written.
    """
    try:
        refuse_unknown(path)
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
    with _connected(path) as connection:
        kinds = connection.exec_driver_sql("SELECT DISTINCT type FROM sqlite_master").scalars()
        found = set(inspect(connection).get_table_names())
        if set(kinds) - {"table", "index"} or found - {*metadata.tables, "alembic_version"}:
            raise StoreError("The database in the archive holds things that are not ours.")


@contextmanager
def _connected(path: Path) -> Iterator[Connection]:
    try:
        if not path.exists():
            raise StoreError("There is no database yet.")
        refuse_unknown(path)
        engine = create_engine(read_only(path), poolclass=NullPool, hide_parameters=True)
        with engine.connect() as connection:
            yield connection
    except FOREIGN as error:
        raise translate(error) from None


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
