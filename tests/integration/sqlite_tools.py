"""What the tests of the SQLite store share."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, insert, select

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import Job, Source, SourceType
from chilly_movies.storage.jobs import SqliteJobStore
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.sqlite.writer import THREAD_NAME
from chilly_movies.storage.tables import meta

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)


def make_job(name: str = "a", position: int = 0) -> Job:
    source = Source(SourceType.HTTP, f"https://films.example/{name}")
    return Job(name, f"key-{name}", source, position, created_at=NOON, updated_at=NOON)


known: WeakKeyDictionary[SqliteJobStore, set[str]] = WeakKeyDictionary()
"""The ids of the jobs that were added to each store."""


async def record(store: SqliteJobStore, seq: int, job: Job) -> None:
    """Add or change a job; `seq` is the number that this must get."""
    there = known.setdefault(store, set())
    write = store.record if job.id in there else store.add
    there.add(job.id)
    assert await write(job, Change.of(seq - 1, "queued", job)) == seq


def set_meta(name: str, value: str = "") -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(insert(meta), {"name": name, "value": value})

    return work


def meta_names(connection: Connection) -> set[str]:
    return set(connection.scalars(select(meta.c.name))) - {"reserved_seq"}


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def store_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def assert_is_plain(error: BaseException, path: Path) -> None:
    """One sentence for people: nothing of our folders, tables or statements."""
    text = str(error)
    assert text.endswith(".")
    for word in (str(path.parent), path.name, "SELECT", "INSERT", "PRAGMA", "sqlite", "jobs"):
        assert word not in text


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """An open database that does not wait for locks."""
    database = Database(path, busy_timeout=0.05)
    await database.open()
    yield database
    await database.aclose()
