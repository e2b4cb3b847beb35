"""A library's database looked at, copied and rebuilt from outside."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.library.models import FiledFile, Filing, FilingState, Item, ItemFile
from chilly_movies.library.ports import LibraryQuery
from chilly_movies.storage.library.inspection import (
    LibraryTaken,
    copy_library,
    rebuild,
    survey_library,
)
from chilly_movies.storage.library.schema import LIBRARY_SCHEMA
from chilly_movies.storage.library.store import SqliteLibraryStore
from tests.library_items import film, item_id, titles, watched

pytestmark = pytest.mark.anyio

FILING = Filing(item_id("a"), FilingState.FILED, files=(FiledFile("Films/a.mkv", 0),))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A library of three films, of which one was watched and one is filed."""
    path = tmp_path / "from ?#%" / "library.db"
    store = SqliteLibraryStore(path)
    await store.put([film("a"), film("b", files=(ItemFile(0, "b.mkv", 1),)), film("c")], cursor=7)
    await store.put_position(watched("b", seen=True))
    await store.keep_filing(FILING)
    await store.aclose()
    return path


async def check_whole(path: Path) -> None:
    store = SqliteLibraryStore(path)
    assert titles(await store.page(LibraryQuery())) == ["a", "b", "c"]
    assert titles(await store.page(LibraryQuery(text="b"))) == ["b"]
    assert titles(await store.page(LibraryQuery(seen=True, viewer="ann"))) == ["b"]
    assert await store.positions(item_id("b"), "ann") == (watched("b", seen=True),)
    assert (await store.filing(item_id("a")), await store.cursor()) == (FILING, 7)
    await store.aclose()


def run(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql, values)


def spoil(path: Path, item: Item, **members: object) -> None:
    """Change what the body of an item says."""
    with closing(sqlite3.connect(path)) as database, database:
        where = "WHERE number = (SELECT number FROM items WHERE id = ?)"
        [(body,)] = database.execute(f"SELECT body FROM bodies {where}", (item.id,))
        changed = json.dumps(json.loads(body) | members)
        database.execute(f"UPDATE bodies SET body = ? {where}", (changed, item.id))


@pytest.mark.parametrize("take", [copy_library, rebuild])
async def test_a_copy_has_everything_and_belongs_to_its_owner_alone(
    path: Path, tmp_path: Path, take: object
) -> None:
    before = path.read_bytes()
    target = tmp_path / "copy.db"
    assert take(path, target) == LibraryTaken(3)  # type: ignore[operator]
    assert target.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == before
    await check_whole(target)


async def test_a_copy_is_made_beside_a_store_that_is_open(path: Path, tmp_path: Path) -> None:
    store = SqliteLibraryStore(path)
    await store.put([film("new")])
    assert survey_library(path) == LibraryTaken(4)
    assert copy_library(path, tmp_path / "copy.db") == LibraryTaken(4)
    await store.aclose()


async def test_a_damaged_item_costs_itself(path: Path, tmp_path: Path) -> None:
    spoil(path, film("c"), kind="song")
    assert survey_library(path) == LibraryTaken(2, 1)
    assert rebuild(path, tmp_path / "new.db") == LibraryTaken(2, 1)
    store = SqliteLibraryStore(path)
    page = await store.page(LibraryQuery())
    assert (titles(page), page.total) == (["a", "b"], 3)
    await store.aclose()


async def test_the_good_rows_of_a_damaged_file_are_copied(path: Path, tmp_path: Path) -> None:
    store = SqliteLibraryStore(path)
    await store.put([film(f"film {number}") for number in range(2000)])
    await store.aclose()
    content = bytearray(path.read_bytes())
    at = content.rindex(b'"title":"film 1000"') // 4096 * 4096
    content[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    taken = copy_library(path, tmp_path / "copy.db")
    assert taken.damage
    assert 1900 < taken.items < 2003
    store = SqliteLibraryStore(tmp_path / "copy.db")
    assert (await store.page(LibraryQuery())).total == taken.items
    assert await store.cursor() == 7
    await store.aclose()


@pytest.mark.parametrize(
    "members",
    [
        {"id": "../a"},
        {"files": [{"index": 0, "path": "../../etc/passwd", "size": 1}]},
        {"files": [{"index": 0, "path": "a", "size": 1, "filed": "/etc/passwd"}]},
    ],
)
async def test_an_item_that_no_library_could_have_is_left_out(
    path: Path, tmp_path: Path, members: dict[str, object]
) -> None:
    spoil(path, film("b"), **members)
    assert rebuild(path, tmp_path / "new.db") == LibraryTaken(2, 1)
    store = SqliteLibraryStore(tmp_path / "new.db")
    assert [p async for p in store.all_positions()] == []
    await store.aclose()


async def test_a_filing_that_leads_out_of_the_tree_is_left_out(path: Path, tmp_path: Path) -> None:
    store = SqliteLibraryStore(path)
    await store.keep_filing(replace(FILING, files=(FiledFile("../../a"),)))
    await store.aclose()
    rebuild(path, tmp_path / "new.db")
    store = SqliteLibraryStore(tmp_path / "new.db")
    assert await store.filing(item_id("a")) is None
    await store.aclose()


@pytest.mark.parametrize("name", ["bodies", "positions", "filings", "meta"])
async def test_a_library_with_a_view_in_the_place_of_a_table_is_refused(
    path: Path, tmp_path: Path, name: str
) -> None:
    run(path, f"ALTER TABLE {name} RENAME TO other")
    run(path, f"CREATE VIEW {name} AS SELECT * FROM other")
    with pytest.raises(StoreError, match="not ours"):
        rebuild(path, tmp_path / "new.db")


async def test_a_trigger_of_an_archive_is_not_taken_over(path: Path, tmp_path: Path) -> None:
    run(path, "CREATE TRIGGER evil AFTER INSERT ON items BEGIN DELETE FROM bodies; END")
    rebuild(path, tmp_path / "new.db")
    with closing(sqlite3.connect(tmp_path / "new.db")) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        assert found.fetchall() == []
    await check_whole(tmp_path / "new.db")


async def test_a_library_of_a_later_version_and_foreign_files_are_refused(
    path: Path, tmp_path: Path
) -> None:
    run(path, "UPDATE alembic_version SET version_num = '9999'")
    for look in (survey_library, lambda path: copy_library(path, tmp_path / "copy.db")):
        with pytest.raises(StoreFromTheFuture):
            look(path)
    (tmp_path / "other.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(StoreError):
        survey_library(tmp_path / "other.db")
    with pytest.raises(StoreError):
        copy_library(tmp_path / "other.db", tmp_path / "copy.db")
    with pytest.raises(StoreError):
        await SqliteLibraryStore(path).open()


async def test_a_closed_library_is_a_store_error_and_closing_twice_is_fine(path: Path) -> None:
    store = SqliteLibraryStore(path)
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreError):
        await store.get(item_id("a"))
    with pytest.raises(StoreError):
        await store.put([film("a")])


async def test_a_library_that_is_closed_while_it_is_opened_stays_closed(path: Path) -> None:
    store = SqliteLibraryStore(path)
    results = await asyncio.gather(
        store.get(item_id("a")), store.aclose(), store.get(item_id("b")), return_exceptions=True
    )
    assert results[0] in (film("a"),) or isinstance(results[0], StoreError)
    assert isinstance(results[2], StoreError)
    assert not path.with_name("library.db-wal").exists()


async def test_what_was_put_is_there_after_a_new_start(path: Path) -> None:
    await check_whole(path)
    await check_whole(path)
    assert {part.name for part in path.parent.iterdir()} == {"library.db"}


def test_the_newest_revision_is_the_one_the_code_expects() -> None:
    assert ScriptDirectory(LIBRARY_SCHEMA.folder).get_heads() == [LIBRARY_SCHEMA.newest]
