"""The file under the SQLite store: its schema, its permissions, and files that are not ours."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.sqlite import upgrade
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import metadata
from tests.integration.sqlite_tools import (
    assert_is_plain,
    folder_bytes,
    make_job,
    meta_names,
    opened,
    record,
    store_threads,
)

pytestmark = pytest.mark.anyio

NOBODY = 65534


@contextmanager
def without_privileges() -> Iterator[None]:
    """Permissions do not stop root, so step down."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "chilly.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with opened(path) as database:
        yield database


# --- the schema ---------------------------------------------------------------------------------


async def test_the_migrations_build_exactly_the_tables_the_code_uses(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await database.call(differences) == []


def test_the_newest_revision_is_the_one_the_code_expects() -> None:
    assert ScriptDirectory(upgrade.JOBS.folder).get_heads() == [upgrade.JOBS.newest]


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    store, _ = open_stores(path)
    assert (await store.load()).jobs == ()
    await store.aclose()


async def test_a_database_without_tables_becomes_ours(tmp_path: Path) -> None:
    path = tmp_path / "blank.db"
    with closing(sqlite3.connect(path)) as blank:
        blank.execute("PRAGMA user_version = 1")
    store, _ = open_stores(path)
    assert (await store.load()).jobs == ()
    await store.aclose()


async def test_paths_may_contain_anything(tmp_path: Path) -> None:
    path = tmp_path / "a %20b?mode=ro#ü&" / "%(here)s 100% ?.db"
    for _ in range(2):
        store, _resume = open_stores(path)
        await store.load()
        await store.aclose()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


async def test_two_new_databases_can_be_opened_at_once(tmp_path: Path) -> None:
    databases = [Database(tmp_path / f"{number}.db") for number in range(4)]
    await asyncio.gather(*(database.open() for database in databases))
    for database in databases:
        assert await database.call(meta_names) == set()
        await database.aclose()


async def test_folders_that_are_missing_are_made_however_many(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "three" / "chilly.db"
    store, _ = open_stores(path)
    await store.load()
    await store.aclose()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# --- files that are not ours --------------------------------------------------------------------


async def _from_the_future(path: Path) -> None:
    """A database with a revision that nobody knows yet."""
    store, _ = open_stores(path)
    await store.load()
    await record(store, 1, make_job())
    await store.aclose()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()


async def test_a_database_from_the_future_is_refused_and_left_unchanged(path: Path) -> None:
    await _from_the_future(path)
    before = folder_bytes(path.parent)
    store, _ = open_stores(path)
    sentence = (
        "The database was written by a newer version of Chilly Movies: start that version, "
        "or choose another database file."
    )
    with pytest.raises(StoreFromTheFuture, match=f"^{re.escape(sentence)}$") as caught:
        await store.load()
    await store.aclose()
    assert_is_plain(caught.value, path)
    assert folder_bytes(path.parent) == before
    assert store_threads() == []


async def test_the_log_of_a_crashed_newer_version_is_left_alone(path: Path) -> None:
    await _from_the_future(path)
    crashed = path.parent.parent / "crashed"
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE meta SET value = '77'")
        newer.commit()
        shutil.copytree(path.parent, crashed, ignore=shutil.ignore_patterns("*-shm"))
    before = folder_bytes(crashed)
    assert len(before[f"{path.name}-wal"]) > 0
    store, _ = open_stores(crashed / path.name)
    with pytest.raises(StoreFromTheFuture):
        await store.load()
    after = folder_bytes(crashed)
    assert {name: after[name] for name in before} == before


async def test_a_database_of_another_program_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "films.db"
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE films (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=r"^The database file belongs to another program\.$"
    ) as caught:
        await Database(path).open()
    assert_is_plain(caught.value, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"This is no database. " * 500, b"SQLite format 3\0" * 99])
async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        await Database(path).open()
    assert_is_plain(caught.value, path)
    assert path.read_bytes() == content


async def test_a_failed_open_can_be_repeated(path: Path) -> None:
    path.mkdir(parents=True)
    database = Database(path)
    with pytest.raises(StoreError):
        await database.open()
    with pytest.raises(StoreError, match="not open"):
        await database.call(meta_names)
    assert store_threads() == []
    path.rmdir()
    await database.open()
    assert await database.call(meta_names) == set()
    await database.aclose()


# --- permissions --------------------------------------------------------------------------------


async def test_folder_and_files_are_closed_to_others(path: Path) -> None:
    old_mask = os.umask(0)
    try:
        store, _ = open_stores(path)
        await store.load()
        await record(store, 1, make_job())
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
        await store.aclose()
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(["chilly.db", "chilly.db-wal", "chilly.db-shm"], 0o600)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.parametrize("exists", [False, True], ids=["new file", "old file"])
async def test_a_read_only_folder_is_a_store_error(public_folder: Path, exists: bool) -> None:
    path = public_folder / "chilly.db"
    if exists:
        store, _ = open_stores(path)
        await store.load()
        await store.aclose()
        path.chmod(0o444)
    public_folder.chmod(0o555)
    with without_privileges():
        with pytest.raises(StoreError, match="cannot be opened") as caught:
            await Database(path).open()
        with pytest.raises(StoreError, match="cannot be opened"):
            await Database(public_folder / "new" / "chilly.db").open()
    assert_is_plain(caught.value, path)
    assert store_threads() == []
