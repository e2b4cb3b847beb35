"""A connection that only reads, in a thread of its own, so that no import holds up a search."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from chilly_movies.errors import StoreError
from chilly_movies.storage.sqlite.faults import FOREIGN, lenient, translate

T = TypeVar("T")

THREAD_NAME: Final = "chilly-library"
_BUSY: Final = 5.0
_CACHE: Final = -16 * 1024
"""How much of the file is kept in memory: KiB, as a negative number."""


class Reader:
    """Reads a database that another connection of this process holds open.

    It cannot write, so it never takes part in moving SQLite's log into the file, which only one
    connection may do before SQLite 3.51.3.

    Args:
        path: the file. It is opened at the first call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=THREAD_NAME)
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a closure in the thread, on one unchanging state of the database.

        Raises:
            StoreError: the database cannot be read, or was closed.
        """
        if self._closed:
            raise StoreError("The database is not open.")

        def transaction() -> T:
            connection = self._opened()
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("COMMIT")

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)
        except (*FOREIGN, OverflowError, UnicodeEncodeError) as error:
            raise translate(error) from None

    async def aclose(self) -> None:
        """Closes the connection when the calls under way have ended. Idempotent."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        if not self._closed:
            self._closed = True
            closing = self._thread.submit(close)
            self._thread.shutdown(wait=False)
            await asyncio.shield(asyncio.wrap_future(closing))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            # The thread is always the same, except that a garbage collector may come from another.
            self._connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, timeout=_BUSY, check_same_thread=False
            )
            self._connection.text_factory = lenient
            self._connection.execute(f"PRAGMA cache_size = {_CACHE}")
        return self._connection
