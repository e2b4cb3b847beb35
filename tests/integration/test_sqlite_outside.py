"""What the machine around the SQLite store must not change: time zones, other programs, Alembic."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from chilly_movies.storage import jobs
from chilly_movies.storage.jobs import SqliteJobStore, open_stores
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import UtcDateTime
from tests.integration.sqlite_tools import NOON, make_job, record, store_threads

pytestmark = pytest.mark.anyio


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time is nine hours ahead."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chilly.db"


@pytest.mark.usefixtures("far_east")
async def test_times_come_back_right_whatever_the_zone_of_the_machine(path: Path) -> None:
    store, _ = open_stores(path)
    await store.load()
    await record(store, 1, make_job("a"))
    [job] = (await store.load()).jobs
    await store.aclose()
    assert job.created_at == NOON
    assert job.created_at.tzinfo is UTC


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize(
    "stored",
    [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=2)))],
    ids=["without a zone, as from SQLite", "with another zone, as from other databases"],
)
def test_a_time_from_any_database_is_read_as_utc(stored: datetime) -> None:
    read = UtcDateTime().process_result_value(stored, sqlite.dialect())
    assert read == NOON
    assert read is not None
    assert read.tzinfo is UTC


def test_a_time_without_a_zone_is_not_stored() -> None:
    with pytest.raises(ValueError, match=r"^a stored time needs a time zone$"):
        UtcDateTime().process_bind_param(NOON.replace(tzinfo=None), sqlite.dialect())


async def test_closing_folds_the_log_into_the_file_even_if_another_program_has_it_open(
    path: Path,
) -> None:
    store, _ = open_stores(path)
    await store.load()
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT 1 FROM jobs").fetchall()
        await record(store, 1, make_job("a"))
        await store.aclose()
        assert path.with_name("chilly.db-wal").stat().st_size == 0
        assert other.execute("SELECT id FROM jobs").fetchall() == [("a",)]


async def test_closing_a_database_that_another_program_has_locked_costs_only_the_note(
    path: Path,
) -> None:
    store = SqliteJobStore(Database(path, busy_timeout=0.05))
    await store.load()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.aclose()
        other.rollback()
    assert not store_threads()
    assert (await store.load()).unclean
    await store.aclose()


def test_a_start_of_this_machine_has_the_name_that_linux_gives_it() -> None:
    names = Path("/proc/sys/kernel/random/boot_id")
    assert jobs.boot_id() == (names.read_text().strip() if names.exists() else "")


@pytest.mark.parametrize(("given", "milliseconds"), [({}, 5000), ({"busy_timeout": 0.25}, 250)])
async def test_a_lock_of_another_program_is_waited_for_as_long_as_was_asked(
    path: Path, given: dict[str, Any], milliseconds: int
) -> None:
    database = Database(path, **given)
    await database.open()
    waits = await database.call(lambda c: c.exec_driver_sql("PRAGMA busy_timeout").scalar())
    await database.aclose()
    assert waits == milliseconds


async def test_a_system_that_does_not_name_its_starts_was_never_started_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "Path", lambda _: path.with_name("missing"))
    assert jobs.boot_id() == ""
    store, _ = open_stores(path)
    await store.load()
    left_open = await store.load()
    await store.aclose()
    assert (left_open.unclean, left_open.rebooted) == (True, False)


async def test_a_database_that_is_up_to_date_is_opened_without_alembic(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = open_stores(path)
    await store.load()
    await store.aclose()
    for name in ("alembic", "alembic.script", "alembic.config", "alembic.command"):
        monkeypatch.setitem(sys.modules, name, None)
    assert (await store.load()).jobs == ()
    await store.aclose()
