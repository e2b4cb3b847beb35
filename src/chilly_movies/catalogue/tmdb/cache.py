"""Where the HTTP cache keeps its answers: one SQLite file, used by one thread.

hishel's own connection hands each statement to any free thread. Cancelling the task that waits
for one frees the connection while the statement still runs, and the next statement, or the
close, then crashes the interpreter. One thread cannot overtake itself.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

from hishel import AsyncSqliteStorage

T = TypeVar("T")


def open_storage(path: Path, *, largest_file: int, largest_answer: int) -> AsyncSqliteStorage:
    """A store for hishel's cache; nothing is opened before the first request.

    Args:
        path: the SQLite file; its folder is made.
        largest_file: bytes; beyond it the answers used longest ago are dropped.
        largest_answer: bytes; larger ones are not kept.
    """
    # Ours has the part of anysqlite's connection that hishel uses, and no common base with it.
    connection = cast(Any, _Connection(path))
    return AsyncSqliteStorage(
        connection=connection, max_size=largest_file, max_stream_size=largest_answer
    )


class _Connection:
    """Opens the file at the first statement. Errors are those of `sqlite3`, and OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tmdb-cache")
        self._opened: sqlite3.Connection | None = None

    async def cursor(self) -> _Cursor:
        return _Cursor(self, await self.run(lambda: self._open().cursor()))

    async def commit(self) -> None:
        await self.run(lambda: self._open().commit())

    async def close(self) -> None:
        # Statements nobody waits for any more come first; then the thread ends.
        await asyncio.shield(self.run(self._close))
        self._thread.shutdown(wait=False)

    async def run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite's further files get the rights of this one: what people look for is their own
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            # The thread is always the same, except that a garbage collector may come from another.
            self._opened = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False
            )
        return self._opened

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class _Cursor:
    def __init__(self, connection: _Connection, cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    async def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        await self._connection.run(lambda: self._cursor.execute(sql, parameters))

    async def fetchone(self) -> Any:
        return await self._connection.run(self._cursor.fetchone)

    async def fetchall(self) -> list[Any]:
        return await self._connection.run(self._cursor.fetchall)
