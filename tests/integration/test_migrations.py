"""A database of an earlier version goes on with all its jobs."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.sqlite import upgrade
from tests.integration.sqlite_tools import make_job, record

pytestmark = pytest.mark.anyio

_LATER = {
    "jobs": "adopted moving_to labels candidates mirrors active_source secret figures trackers "
    "owner epoch fraction",
    "events": "name labels news",
}
"""The columns the first version did not have."""


async def test_jobs_of_the_first_version_were_neither_adopted_nor_on_their_way_nor_counted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chilly.db"
    store, _ = open_stores(path)
    await store.load()
    await record(store, 1, make_job("a"))
    await store.aclose()
    with closing(sqlite3.connect(path)) as old, old:
        for table, columns in _LATER.items():
            for column in columns.split():
                old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in ("followers", "webhooks", "deliveries"):
            old.execute(f"DROP TABLE {table}")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
    store, _ = open_stores(path)
    [job] = (await store.load()).jobs
    await store.aclose()
    assert (job.id, job.adopted, job.moving_to, job.counted) == ("a", False, None, None)


async def test_migrations_are_found_in_a_folder_of_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "100% %(here)s %%" / "migrations"
    shutil.copytree(upgrade._MIGRATIONS, folder)
    monkeypatch.setattr(upgrade, "_MIGRATIONS", folder)
    store, _ = open_stores(tmp_path / "chilly.db")
    assert (await store.load()).jobs == ()
    await store.aclose()
