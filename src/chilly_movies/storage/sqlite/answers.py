"""Answers of the film catalogue, kept over restarts in a SQLite file of their own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

from chilly_movies.catalogue.ports import KeptAnswer
from chilly_movies.errors import StoreError
from chilly_movies.storage.sqlite.faults import FOREIGN, translate

T = TypeVar("T")

LARGEST: Final = 64 * 1024 * 1024
_TOUCH_AFTER: Final = 3600.0
"""Seconds after which a use is noted anew: not each reading has to write."""
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS answers (
        url TEXT PRIMARY KEY, body BLOB NOT NULL, until REAL NOT NULL, etag TEXT, used REAL NOT NULL
    )
"""
_FORMER: Final = {"entries", "streams"}
"""The tables of the cache that was in this file before."""
_FORMER_COLUMNS: Final = {"id", "cache_key", "chunk_count", "ttl_deadline"}
_KEEP: Final = (
    "INSERT OR REPLACE INTO answers (url, body, until, etag, used) VALUES (?, ?, ?, ?, ?)"
)
_DROP_OLDEST: Final = """
    DELETE FROM answers WHERE url IN (
        SELECT url FROM (
            SELECT url, sum(length(body)) OVER (ORDER BY used DESC, url) AS bytes FROM answers
        ) WHERE bytes > ?
    )
"""


class SqliteAnswers:
    """Keeps answers by their URL; nothing is opened before the first call.

    Implements `catalogue.ports.AnswerCache`. One thread has the connection and does one whole call
    after the other, so that a cancelled caller leaves nothing half done.

    Args:
        path: the file; its folder is made. The database of another program is left alone.
        largest: bytes of all bodies; beyond it the answers used longest ago are dropped.
        clock: seconds since the epoch.
    """

    def __init__(
        self, path: Path, *, largest: int = LARGEST, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._largest = largest
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="answers")
        self._opened: sqlite3.Connection | None = None
        self._closed = False

    async def get(self, url: str) -> KeptAnswer | None:
        """The kept answer, however old."""

        def get(connection: sqlite3.Connection) -> KeptAnswer | None:
            found = connection.execute(
                "SELECT body, until, etag, used FROM answers WHERE url = ?", (url,)
            ).fetchone()
            if found is None:
                return None
            body, until, etag, used = found
            now = self._clock()
            if abs(now - used) > _TOUCH_AFTER:
                connection.execute("UPDATE answers SET used = ? WHERE url = ?", (now, url))
            return KeptAnswer(body, until, etag)

        return await self._run(get)

    async def put(self, url: str, answer: KeptAnswer) -> None:
        """Keep an answer in place of the one before."""

        def put(connection: sqlite3.Connection) -> None:
            row = (url, answer.body, answer.until, answer.etag, self._clock())
            connection.execute(_KEEP, row)
            connection.execute(_DROP_OLDEST, (self._largest,))

        await self._run(put)

    async def aclose(self) -> None:
        """Close the file when the calls under way have ended. Idempotent."""

        def close() -> None:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

        if not self._closed:
            self._closed = True
            closing = self._thread.submit(close)
            self._thread.shutdown(wait=False)
            await asyncio.shield(asyncio.wrap_future(closing))

    async def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError("The catalogue's cache is closed.")

        def work() -> T:
            if self._opened is None:
                self._opened = _open(self._path)
            return call(self._opened)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except FOREIGN as error:
            raise translate(error) from None


def _open(path: Path) -> sqlite3.Connection:
    """Opens the file, and makes the table.

    Raises:
        StoreError: the file belongs to another program.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite's further files get the rights of this one: what people look for is their own
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    # The thread is always the same, except that a garbage collector may come from another.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with ExitStack() as failing:
        failing.callback(connection.close)
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        tables = {name for (name,) in connection.execute(names)}
        columns = {row[1] for row in connection.execute("PRAGMA table_info(entries)")}
        if tables == _FORMER and columns >= _FORMER_COLUMNS:
            connection.execute("DROP TABLE streams")
            connection.execute("DROP TABLE entries")
            connection.execute("VACUUM")
        elif tables - {"answers"}:
            raise StoreError("The file of the catalogue's cache belongs to another program.")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # the last answers may be lost, no more
        connection.execute(_TABLE)
        failing.pop_all()
    return connection
