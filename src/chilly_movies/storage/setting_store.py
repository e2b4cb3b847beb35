"""The store of settings that are changed while the server runs: a row of `meta` for each name."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import meta

_PREFIX: Final = "setting."
"""What the names of rows of `meta` begin with that hold a setting."""
_LOAD: Final = select(meta.c.value).where(meta.c.name == bindparam("which"))
_DROP: Final = delete(meta).where(meta.c.name == bindparam("which"))
_ADD: Final = insert(meta)


class SqliteSettingStore:
    """A `SettingStore` in a database that somebody else closes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load_setting(self, name: str) -> str | None:
        """What was saved last under the name; None if nothing was. Opens the database.

        Raises:
            StoreFromTheFuture: a newer version of this program wrote it.
            StoreError: it cannot be opened or read.
        """
        await self._database.open()
        row = {"which": _PREFIX + name}
        found = await self._database.call(lambda connection: connection.scalar(_LOAD, row))
        return None if found is None else str(found)

    async def save_setting(self, name: str, text: str) -> None:
        """Replace it. Returns when it is durable.

        Raises:
            StoreError: the old one, if any, is still there.
        """

        def save(connection: Connection) -> None:
            connection.execute(_DROP, {"which": _PREFIX + name})
            connection.execute(_ADD, {"name": _PREFIX + name, "value": text})

        await self._database.call(save)
