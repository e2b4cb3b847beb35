"""The SQLite file: how it is created, opened, guarded and closed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

from chilly_movies.errors import StoreError
from chilly_movies.storage.sqlite.faults import FOREIGN, lenient
from chilly_movies.storage.sqlite.upgrade import JOBS, Schema, refuse_unknown, upgrade
from chilly_movies.storage.sqlite.writer import Writer

T = TypeVar("T")


class Database:
    """One SQLite file behind one connection in one thread.

    A single connection also does all checkpoints, which keeps clear of a race that SQLite had
    before 3.51.3.

    Args:
        path: the file. It is created with mode 0600, its folder with mode 0700.
        schema: its form.
        busy_timeout: seconds to wait for another program that locks the file.
    """

    def __init__(self, path: Path, schema: Schema = JOBS, *, busy_timeout: float = 5.0) -> None:
        self._path = path
        self._schema = schema
        self._engine = _engine(path, busy_timeout)
        self._writer: Writer | None = None

    async def open(self) -> None:
        """Open the file and migrate it if it is older. Does nothing if it is open.

        Raises:
            StoreFromTheFuture: a newer version of this program wrote it; it is left unchanged.
            StoreError: it cannot be opened. Another try may follow.
        """
        if self._writer is None:
            self._writer = Writer(self._connect, _disconnect)
        writer = self._writer
        try:
            await writer.opened()
        except Exception:
            await self._stop(writer)
            raise

    async def call(self, work: Callable[[Connection], T]) -> T:
        """Run a closure in a transaction that it may share with others.

        The closure runs in another thread and in a savepoint. If it raises, only its own changes
        are undone. Cancelling the caller does not cancel the work.

        Args:
            work: gets the connection; must not commit.

        Returns:
            What `work` returned, once its changes are durable.

        Raises:
            StoreError: the database could not do it, or is not open.
        """
        if self._writer is None:
            raise StoreError("The database is not open.")
        return await self._writer.call(work)

    async def aclose(self) -> None:
        """Finish all calls and close the file. Idempotent; `open` may follow."""
        if self._writer is not None:
            await self._stop(self._writer)

    async def _stop(self, writer: Writer) -> None:
        await writer.stop()
        if self._writer is writer:
            self._writer = None

    def _connect(self) -> Connection:
        """Runs in the thread of the writer."""
        refuse_unknown(self._path, self._schema)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would create it readable for all; the files beside it get the mode of this one.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self._engine.connect()
        try:
            upgrade(connection, self._schema)
        except Exception:
            connection.close()
            raise
        return connection


def _engine(path: Path, busy_timeout: float) -> Engine:
    """An engine whose connections are durable and whose transactions are what they seem."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": busy_timeout},
        hide_parameters=True,  # they hold passkeys of trackers
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # The sqlite3 module begins transactions late and by rules of its own; `begin` does it.
        connection.isolation_level = None
        connection.text_factory = lenient
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Taking the write lock at once: a lock that is asked for later fails without waiting.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _disconnect(connection: Connection) -> None:
    """Fold the log into the file and close. What cannot be folded is read at the next start."""
    with suppress(*FOREIGN), closing(connection.connection.cursor()) as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with suppress(*FOREIGN):
        connection.close()
