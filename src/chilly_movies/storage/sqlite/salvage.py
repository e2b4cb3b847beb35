"""Reads a damaged database row by row, and saves the good rows to a new one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    NullPool,
    RowMapping,
    Table,
    create_engine,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from chilly_movies.errors import StoreError
from chilly_movies.storage import rows
from chilly_movies.storage.sqlite.faults import FOREIGN, translate
from chilly_movies.storage.sqlite.upgrade import reading, upgrade
from chilly_movies.storage.tables import (
    PRUNED_SEQ,
    RESERVED_SEQ,
    deliveries,
    events,
    followers,
    jobs,
    meta,
    metadata,
    resume,
    webhooks,
)

T = TypeVar("T")

UNREADABLE: Final = (ValueError, TypeError, SQLAlchemyError, sqlite3.Error)
"""What reading a damaged row may raise."""
_MARGIN: Final = 10_000
"""More changes than are on the pages of a database that a single fault makes unreadable."""
_RESERVED: Final = select(meta.c.value).where(meta.c.name == RESERVED_SEQ)
_READERS: Final[dict[str, Callable[[RowMapping], object]]] = {
    jobs.name: rows.job_from_row,
    events.name: rows.change_from_row,
    resume.name: rows.resume_from_row,
    followers.name: rows.follower_from_row,
    meta.name: rows.meta_from_row,
    webhooks.name: rows.webhook_from_row,
    deliveries.name: rows.delivery_from_row,
}


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved of a damaged database.

    Attributes:
        jobs: how many.
        lost: ids of the jobs that were not; `row <number>` of one whose id is lost, too.
        resume: of how many jobs the resume data could not be saved.
    """

    jobs: int
    lost: tuple[str, ...]
    resume: int


def read_rows(
    connection: Connection,
    table: Table,
    read: Callable[[RowMapping], T],
    columns: Sequence[ColumnElement[Any]] = (),
) -> tuple[list[T], list[str]]:
    """Every row of a table that can be read, and what the others are called.

    Args:
        connection: to any database; a table that is missing has no rows.
        table: whose rows.
        read: makes a value of a row; raises `ValueError` or `TypeError` if it is damaged.
        columns: those that are read, all if none are given.

    Returns:
        The values, and the first column of the rows that are left out.
    """
    query = select(*columns) if columns else select(table)
    try:
        return [read(row) for row in connection.execute(query).mappings()], []
    except UNREADABLE:
        found, lost = [], []
    # SQLite's numbers of the rows: up to the first page that is damaged, and from the end
    numbers: set[int] = set()
    for order in ("ASC", "DESC"):
        with suppress(*UNREADABLE):
            by = f"SELECT rowid FROM {table.name} NOT INDEXED ORDER BY rowid {order}"  # noqa: S608 (our own names)
            for number in connection.exec_driver_sql(by).scalars():
                numbers.add(int(number))
            break
    for number in sorted(numbers):
        try:
            here = query.where(text("rowid = :number")).params(number=number)
            found.append(read(connection.execute(here).mappings().one()))
        except UNREADABLE:
            name = None
            with suppress(*UNREADABLE):  # the first column is a row's name for people
                first = select(next(iter(table.columns))).where(text("rowid = :number"))
                name = connection.scalar(first.params(number=number))
            lost.append(f"row {number}" if name is None else str(name))
    return found, lost


def salvage(path: Path, target: Path) -> Saved:
    """Write every row that can be read to a new database, which only its owner can read.

    Args:
        path: a database of the newest form; it is not changed.
        target: a file that is not there.

    Raises:
        StoreError: nothing of it can be read, or the new one cannot be written.
    """
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        url = URL.create("sqlite", database=str(target))
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
        with reading(path).connect() as old, engine.connect() as new:
            there = {column["name"] for column in inspect(old).get_columns(jobs.name)}
            if not there.issuperset(column.name for column in jobs.columns):
                sentence = "The database is damaged, and has no list of jobs of today's form."
                raise StoreError(sentence)
            upgrade(new)
            with new.begin():
                new.execute(meta.delete())
                counts = {t.name: _copy_rows(old, new, t) for t in metadata.sorted_tables}
                _use_numbers(new, counts[events.name][1])
    except FOREIGN as error:
        raise translate(error) from None
    return Saved(counts["jobs"][0], tuple(counts["jobs"][1]), len(counts["resume"][1]))


def _use_numbers(new: Connection, lost: list[str]) -> None:
    """Let the numbers of changes that are lost, and of some that nobody knows of, be used.

    Args:
        new: what was saved.
        lost: what the changes that were not are called: a number, with `row` before it or not.
    """
    highest = max(
        int(new.scalar(select(func.max(events.c.id))) or 0),
        *(_number(name.removeprefix("row ")) for name in lost),
        _number(str(new.scalar(_RESERVED))),
    )
    for name in (RESERVED_SEQ, PRUNED_SEQ):  # followers begin anew: they may have missed some
        new.execute(meta.delete().where(meta.c.name == name))
        new.execute(meta.insert().values(name=name, value=str(highest + _MARGIN)))


def _number(text: str) -> int:
    """A number that a change can have; 0 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _copy_rows(old: Connection, new: Connection, table: Table) -> tuple[int, list[str]]:
    """Copy the good rows of a table; how many, and what the others are called."""

    def checked(row: RowMapping) -> dict[str, Any]:
        _READERS[table.name](row)
        return dict(row)

    found, lost = read_rows(old, table, checked)
    first, count = next(iter(table.columns)).name, 0
    for row in found:
        try:
            new.execute(insert(table), row)
            count += 1
        except UNREADABLE:  # two rows with the same name, of which one is damaged
            lost.append(str(row[first]))
    return count, lost
