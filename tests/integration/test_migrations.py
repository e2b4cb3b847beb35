"""A database of an earlier version goes on with all its jobs."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.secrets import Secret
from chilly_movies.storage.jobs import SqliteJobStore, open_stores
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.sqlite.upgrade import JOBS, Schema
from tests.integration.sqlite_tools import make_job, record

pytestmark = pytest.mark.anyio

_LATER = {
    "jobs": "adopted moving_to labels candidates mirrors active_source secret figures trackers "
    "owner epoch fraction generation",
    "events": "name labels news",
}
"""The columns the first version did not have."""


def back_to_first(path: Path) -> None:
    """Make of a database one that the first version wrote."""
    with closing(sqlite3.connect(path)) as old, old:
        for table, columns in _LATER.items():
            for column in columns.split():
                old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        for table in ("followers", "webhooks", "deliveries"):
            old.execute(f"DROP TABLE {table}")
        old.execute("UPDATE alembic_version SET version_num = '0001'")


async def test_jobs_of_the_first_version_were_neither_adopted_nor_on_their_way_nor_counted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chilly.db"
    store, _ = open_stores(path)
    await store.load()
    await record(store, 1, make_job("a"))
    await store.aclose()
    back_to_first(path)
    store, _ = open_stores(path)
    [job] = (await store.load()).jobs
    await store.aclose()
    assert (job.id, job.adopted, job.moving_to, job.counted) == ("a", False, None, None)


async def test_migrations_are_found_in_a_folder_of_any_name(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "100% %(here)s %%" / "migrations"
    shutil.copytree(JOBS.folder, folder)
    database = Database(tmp_path / "chilly.db", Schema(folder, JOBS.newest))
    store = SqliteJobStore(database)
    assert (await store.load()).jobs == ()
    await store.aclose()


async def test_a_user_in_a_link_of_an_older_database_goes_to_the_column_for_secrets(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chilly.db"
    store, _ = open_stores(path)
    await store.load()
    link = "http://canary-user:canary%22pass@h/f.torrent"
    source = Source(SourceType.TORRENT, link)
    await record(store, 1, replace(make_job("a"), source=source, identities=(f"url:{link}",)))
    await record(store, 2, replace(make_job("b"), source=Source(SourceType.HTTP, "http://h/a@b")))
    await store.aclose()
    back_to_first(path)
    store, _ = open_stores(path)
    known = {job.id: job for job in (await store.load()).jobs}
    await store.aclose()
    first, second = known["a"], known["b"]
    assert first.source.urn == "http://h/f.torrent"
    assert first.identities == ("url:http://h/f.torrent",)
    assert first.source.secret == Secret("canary-user", 'canary"pass')
    assert (second.source.urn, second.source.secret) == ("http://h/a@b", None)
    with closing(sqlite3.connect(path)) as new:
        rows = new.execute("SELECT * FROM jobs WHERE id = 'a'")
        names = [column[0] for column in rows.description]
        row = dict(zip(names, rows.fetchone(), strict=True))
    assert [name for name, value in row.items() if "canary" in str(value)] == ["secret"]
