"""A database of an earlier version goes on with all its jobs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chilly_movies.storage.jobs import open_stores
from tests.integration.sqlite_tools import make_job, record

pytestmark = pytest.mark.anyio


async def test_jobs_of_before_adoption_were_not_adopted(tmp_path: Path) -> None:
    path = tmp_path / "chilly.db"
    store, _ = open_stores(path)
    await store.load()
    await record(store, 1, make_job("a"))
    await store.aclose()
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("ALTER TABLE jobs DROP COLUMN adopted")
        old.execute("UPDATE alembic_version SET version_num = '0001'")
    store, _ = open_stores(path)
    [job] = (await store.load()).jobs
    await store.aclose()
    assert (job.id, job.adopted) == ("a", False)
