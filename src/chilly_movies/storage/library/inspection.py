"""Looks at a library's database from outside, copies it, and makes a new one of its good rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Integer,
    MetaData,
    NullPool,
    RowMapping,
    Table,
    Text,
    create_engine,
    select,
)

from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.library.exchange import check_item, leads_out
from chilly_movies.library.models import Filing, Item, Position
from chilly_movies.storage.library import rows, writing
from chilly_movies.storage.library.schema import LIBRARY_SCHEMA
from chilly_movies.storage.sqlite.faults import FOREIGN, translate
from chilly_movies.storage.sqlite.inspection import checked, connected, copy
from chilly_movies.storage.sqlite.salvage import UNREADABLE, read_rows
from chilly_movies.storage.sqlite.upgrade import revisions_of, upgrade

_META: Final = MetaData()
_BODIES: Final = Table("bodies", _META, Column("number", Integer), Column("body", Text))
_FILINGS: Final = Table("filings", _META, Column("item_id", Text), Column("body", Text))
_POSITIONS: Final = Table(
    "positions",
    _META,
    *(Column(name) for name in ("number", "viewer", "file_index", "seconds", "seen", "at")),
)
_MARKS: Final = Table("meta", _META, Column("name", Text), Column("value", Text))
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class LibraryTaken:
    """What a copy of a library has.

    Attributes:
        items: how many.
        lost: how many could not be read, or were none a library could have.
        damage: what is wrong with the file itself; "" if nothing is.
    """

    items: int
    lost: int = 0
    damage: str = ""


def survey_library(path: Path) -> LibraryTaken:
    """Reads every item once.

    Raises:
        StoreFromTheFuture: a newer version of this program wrote it.
        StoreError: it cannot be read, or belongs to another program.
    """
    with connected(path, LIBRARY_SCHEMA) as connection:
        if not revisions_of(connection):
            return LibraryTaken(0)
        damage = next(iter(checked(connection)), "")
        found = [item is not None for _, item in _items(connection)]
    return LibraryTaken(sum(found), len(found) - sum(found), damage)


def copy_library(path: Path, target: Path) -> LibraryTaken:
    """Writes a consistent copy, or a new database of the good rows if it is damaged.

    Raises:
        StoreFromTheFuture: a newer version of this program wrote it.
        StoreError: nothing of it can be read, or the copy cannot be written.
    """
    try:
        copy(path, target, LIBRARY_SCHEMA)
        found = survey_library(target)
    except StoreFromTheFuture:
        raise
    except StoreError as error:
        found = LibraryTaken(0, damage=str(error).rstrip("."))
    if not found.damage:
        return found
    for part in target.parent.glob(f"{target.name}*"):
        part.unlink()
    saved = rebuild(path, target)
    return LibraryTaken(saved.items, saved.lost, found.damage)


def rebuild(path: Path, target: Path) -> LibraryTaken:
    """Writes a new database of all that can be read and may be believed.

    Nothing but plain rows is taken: what words are found by is made anew.

    Args:
        path: any file that says it is a library; it is not changed.
        target: a file that is not there.

    Raises:
        StoreError: nothing of it can be read, or the new one cannot be written.
    """
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        url = URL.create("sqlite", database=str(target))
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        with connected(path, LIBRARY_SCHEMA) as old, engine.connect() as new:
            upgrade(new, LIBRARY_SCHEMA)
            with new.begin():
                if not revisions_of(old):
                    return LibraryTaken(0)
                _refuse_others(old)
                return _copy_rows(old, new)
    except FOREIGN as error:
        raise translate(error) from None


def _copy_rows(old: Connection, new: Connection) -> LibraryTaken:
    ids: dict[int, str] = {}
    lost, batch = 0, list[Item]()
    for number, item in _items(old):
        if item is None:
            lost += 1
            continue
        ids[number] = item.id
        batch.append(item)
        if len(batch) == _BATCH:
            writing.put(new, batch, (), None)
            batch.clear()
    marks = dict(read_rows(old, _MARKS, lambda row: (row["name"], row["value"]))[0])
    cursor = str(marks.get(writing.CURSOR))
    writing.put(new, batch, (), int(cursor) if cursor.isascii() and cursor.isdigit() else None)
    for position in read_rows(old, _POSITIONS, lambda row: _position(row, ids))[0]:
        writing.put_position(new, position)
    for filing in read_rows(old, _FILINGS, _filing)[0]:
        writing.keep_filing(new, filing)
    return LibraryTaken(len(ids), lost)


def _items(connection: Connection) -> Iterator[tuple[int, Item | None]]:
    """The number of each item, and the item; None if it cannot be read, or be of a library."""
    numbers = read_rows(connection, _BODIES, lambda row: int(row["number"]), (_BODIES.c.number,))[0]
    for number in sorted(numbers):
        try:
            query = select(_BODIES.c.body).where(_BODIES.c.number == number)
            item = rows.item_of(connection.execute(query).scalar_one())
            check_item(item)
        except UNREADABLE:
            yield number, None
        else:
            yield number, item


def _position(row: RowMapping, ids: dict[int, str]) -> Position:
    if row["number"] not in ids:
        raise ValueError("there is no such item")
    values: list[Any] = [row[name] for name in ("viewer", "file_index", "seconds", "seen", "at")]
    viewer, file_index, seconds, _, at = values
    if not isinstance(viewer, str) or not isinstance(file_index, int) or not isinstance(at, int):
        raise TypeError("a position has values of other types")
    values[2] = float(seconds)
    try:
        return rows.position_of([ids[row["number"]], *values])
    except OverflowError:
        raise ValueError("there is no such time") from None


def _filing(row: RowMapping) -> Filing:
    filing = rows.filing_of(row["body"])
    places = [*(file.place for file in (*filing.files, *filing.replaced)), *filing.folders]
    if filing.item_id != row["item_id"] or any(map(leads_out, places)):
        raise ValueError("a place of it leads out of the tree")
    return filing


def _refuse_others(connection: Connection) -> None:
    """Checks that what rows are taken from is what it says: plain tables.

    Raises:
        StoreError: one of them is not.
    """
    names = ", ".join(f"'{name}'" for name in _META.tables)
    query = (
        f"SELECT count(*) FROM sqlite_master WHERE name IN ({names})"
        " AND NOT (type = 'table' AND sql LIKE 'CREATE TABLE%')"
    )
    if connection.exec_driver_sql(query).scalar():
        raise StoreError("The library in the archive holds things that are not ours.")
