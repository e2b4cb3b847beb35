"""What is set while the server runs, in the database: a row for each name, replaced as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from chilly_movies.errors import StoreError
from chilly_movies.net.limits import SpeedLimits
from chilly_movies.storage.opened import open_all
from chilly_movies.storage.setting_store import SqliteSettingStore
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import meta

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "chilly.db")
    yield database
    await database.aclose()


async def test_a_setting_is_what_was_saved_last_under_its_name(database: Database) -> None:
    store = SqliteSettingStore(database)
    assert await store.load_setting("a") is None
    await store.save_setting("a", "one")
    await store.save_setting("b", "other")
    await store.save_setting("a", "two 'ü' \N{CHECK MARK}")
    await database.aclose()
    again = SqliteSettingStore(database)
    assert await again.load_setting("a") == "two 'ü' \N{CHECK MARK}"
    assert await again.load_setting("b") == "other"


async def test_a_setting_is_no_other_row_of_its_table(tmp_path: Path) -> None:
    stores = open_all(tmp_path / "chilly.db")
    assert stores.settings is not None
    assert await stores.settings.load_setting("run") is None
    await stores.settings.save_setting("run", "x")
    assert (await stores.jobs.load()).unclean is False
    await stores.jobs.aclose()


async def test_without_an_open_database_nothing_is_saved(database: Database) -> None:
    with pytest.raises(StoreError):
        await SqliteSettingStore(database).save_setting("a", "one")


@pytest.mark.parametrize("value", [b"\xff\x00", 7, 1.5, ""])
async def test_a_row_that_is_damaged_costs_the_limits_alone(
    database: Database, value: object
) -> None:
    limits = SpeedLimits(store=SqliteSettingStore(database))
    await limits.change({"download_limit": 5})

    def damage(connection: Connection) -> int:
        row = update(meta).where(meta.c.name == "setting.limits").values(value=value)
        return connection.execute(row).rowcount

    assert await database.call(damage) == 1
    again = SpeedLimits(store=SqliteSettingStore(database))
    await again.open()
    assert again.now().download_limit == 0
    assert (await again.change({"upload_limit": 6})).upload_limit == 6
