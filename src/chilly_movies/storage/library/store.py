"""The library that survives: items, positions and filings in a SQLite file of their own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from chilly_movies.errors import StoreError
from chilly_movies.library.models import Filing, FilingState, Item, Position
from chilly_movies.library.ports import LibraryPage, LibraryQuery
from chilly_movies.runtime.state_folder import StateFolder
from chilly_movies.storage.library import rows, writing
from chilly_movies.storage.library.reader import Reader
from chilly_movies.storage.library.schema import LIBRARY_SCHEMA
from chilly_movies.storage.library.searching import Search
from chilly_movies.storage.sqlite.database import Database

T = TypeVar("T")

_CHUNK: Final = 200
_CACHE: Final = "PRAGMA cache_size = -32768"
"""KiB, as a negative number: an import comes back to all parts of the indexes."""
_POSITION: Final = """
    SELECT i.id, p.viewer, p.file_index, p.seconds, p.seen, p.at
    FROM positions AS p JOIN items AS i ON i.number = p.number
"""
_POSITIONS: Final = f"{_POSITION} WHERE i.id = ? AND p.viewer = ? ORDER BY p.file_index"
_WATCHING: Final = f"""{_POSITION} WHERE p.viewer = ? AND NOT p.seen AND p.seconds > 0
    ORDER BY p.at DESC, i.id DESC, p.file_index DESC LIMIT ?"""
_ALL_POSITIONS: Final = f"""{_POSITION} WHERE (i.id, p.viewer, p.file_index) > (?, ?, ?)
    ORDER BY i.id, p.viewer, p.file_index LIMIT ?"""
_BODY: Final = "SELECT b.body FROM items AS i JOIN bodies AS b ON b.number = i.number"


class SqliteLibraryStore:
    """A `LibraryStore`, `PositionStore` and `FilingJournal` in a file.

    What is written goes through one connection and one thread, what is read through others, so
    that many items being written hold nobody up who reads.

    Args:
        path: the file; it and its folder are created at the first call if they are missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(path, LIBRARY_SCHEMA)
        self._reader: Reader | None = None
        self._search: Search | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def open(self) -> None:
        """Opens the file, which every other method does, too.

        Raises:
            StoreFromTheFuture: a newer version of this program wrote it.
            StoreError: it cannot be opened, or was closed.
        """
        if self._reader is not None and not self._closed:
            return
        async with self._opening:
            if self._closed:
                raise StoreError("The library is closed.")
            if self._reader is None:
                await self._database.open()
                await self._database.call(lambda c: c.exec_driver_sql(_CACHE).close())
                self._reader = self._reader or Reader(self._path)

    async def get(self, item_id: str) -> Item | None:
        """See `LibraryStore`."""

        def get(connection: sqlite3.Connection) -> list[Item]:
            found = connection.execute(f"{_BODY} WHERE i.id = ?", (item_id,)).fetchall()
            return rows.items_of(body for (body,) in found)

        return next(iter(await self._read(get)), None)

    async def put(
        self, items: Sequence[Item], *, removed: Sequence[str] = (), cursor: int | None = None
    ) -> None:
        """See `LibraryStore`."""
        await self._write(lambda connection: writing.put(connection, items, removed, cursor))

    async def page(self, query: LibraryQuery) -> LibraryPage:
        """See `LibraryStore`."""

        def page(connection: sqlite3.Connection) -> LibraryPage:
            self._search = self._search or Search(connection)
            return self._search.page(query)

        return await self._read(page)

    async def all(self) -> AsyncIterator[Item]:
        """See `LibraryStore`."""
        last = ""
        query = f"SELECT i.id, b.body {_BODY.removeprefix('SELECT b.body')}"

        def more(connection: sqlite3.Connection) -> tuple[str | None, list[Item]]:
            values = (last, _CHUNK)
            found = connection.execute(f"{query} WHERE i.id > ? ORDER BY i.id LIMIT ?", values)
            pairs = found.fetchall()
            return pairs[-1][0] if pairs else None, rows.items_of(body for _, body in pairs)

        while True:
            end, items = await self._read(more)
            for item in items:
                yield item
            if end is None:
                return
            last = end

    async def cursor(self) -> int | None:
        """See `LibraryStore`."""

        def cursor(connection: sqlite3.Connection) -> int | None:
            query = "SELECT value FROM meta WHERE name = ?"
            found = connection.execute(query, (writing.CURSOR,)).fetchone()
            return int(found[0]) if found and found[0].isascii() and found[0].isdigit() else None

        return await self._read(cursor)

    async def positions(self, item_id: str, viewer: str) -> tuple[Position, ...]:
        """See `PositionStore`."""
        return await self._positions(_POSITIONS, item_id, viewer)

    async def watching(self, viewer: str, limit: int) -> tuple[Position, ...]:
        """See `PositionStore`."""
        return await self._positions(_WATCHING, viewer, limit)

    async def put_position(self, position: Position) -> None:
        """See `PositionStore`."""
        await self._write(lambda connection: writing.put_position(connection, position))

    async def all_positions(self) -> AsyncIterator[Position]:
        """See `PositionStore`."""
        last: tuple[str, str, int] = ("", "", 0)
        while found := await self._positions(_ALL_POSITIONS, *last, _CHUNK):
            for position in found:
                yield position
            last = (position.item_id, position.viewer, position.file_index)

    async def keep_filing(self, filing: Filing) -> None:
        """See `FilingJournal`."""
        await self._write(lambda connection: writing.keep_filing(connection, filing))

    async def drop_filing(self, item_id: str) -> None:
        """See `FilingJournal`."""
        await self._write(lambda connection: writing.drop_filing(connection, item_id))

    async def filing(self, item_id: str) -> Filing | None:
        """See `FilingJournal`."""
        found = await self._filings("SELECT body FROM filings WHERE item_id = ?", item_id)
        return next(iter(found), None)

    async def unfinished_filings(self) -> tuple[Filing, ...]:
        """See `FilingJournal`."""
        query = "SELECT body FROM filings WHERE state <> ? ORDER BY item_id"
        return await self._filings(query, FilingState.FILED)

    async def aclose(self) -> None:
        """Finishes what is under way and closes the file. Idempotent."""
        self._closed = True
        async with self._opening:
            if self._reader is not None:
                await self._reader.aclose()
            await self._database.aclose()

    async def _positions(self, query: str, *values: object) -> tuple[Position, ...]:
        def read(connection: sqlite3.Connection) -> tuple[Position, ...]:
            return tuple(map(rows.position_of, connection.execute(query, values).fetchall()))

        return await self._read(read)

    async def _filings(self, query: str, *values: object) -> tuple[Filing, ...]:
        def read(connection: sqlite3.Connection) -> tuple[Filing, ...]:
            found = connection.execute(query, values).fetchall()
            return tuple(rows.filing_of(body) for (body,) in found)

        return await self._read(read)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        await self.open()
        if self._reader is None:
            raise StoreError("The library is closed.")
        return await self._reader.call(work)

    async def _write(self, work: Callable[[Connection], None]) -> None:
        await self.open()
        await self._database.call(work)


def library_db(state: StateFolder) -> SqliteLibraryStore:
    """The library of a state folder, which the first call opens."""
    return SqliteLibraryStore(state.library)
