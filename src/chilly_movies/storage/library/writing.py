"""What is written to the library's database; all of it within transactions of others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from chilly_movies.errors import ItemNotFound
from chilly_movies.library.models import Filing, Item, Position
from chilly_movies.storage.library import rows
from chilly_movies.storage.library.paging import moment

CURSOR: Final = "cursor"
"""The row of `meta` with the number of the change up to which all is done."""

_ITEM: Final = f"INSERT OR REPLACE INTO items VALUES ({', '.join('?' * 11)})"
_OF_ITEM: Final = ("bodies", "genres", "item_jobs", "positions", "viewings")
"""The tables with rows of an item that do not find it by its words."""
_THESE: Final = "(SELECT value FROM json_each(?))"
_VIEWING: Final = """
    INSERT OR REPLACE INTO viewings (viewer, number, last, seen)
    SELECT p.viewer, i.number, max(p.at), json_array_length(i.main) > 0 AND NOT EXISTS (
        SELECT 1 FROM json_each(i.main) AS main WHERE main.value NOT IN (
            SELECT q.file_index FROM positions AS q
            WHERE q.number = i.number AND q.viewer = p.viewer AND q.seen
        )
    )
    FROM items AS i JOIN positions AS p ON p.number = i.number
    WHERE i.number IN (SELECT value FROM json_each(?)) GROUP BY i.number, p.viewer
"""


def put(
    connection: Connection, items: Iterable[Item], removed: Sequence[str], cursor: int | None
) -> None:
    """Keeps items, removes others, and notes how far that is; see `LibraryStore.put`."""
    if gone := [*_numbers(connection, removed).values()]:
        _forget(connection, gone)
        run(connection, f"DELETE FROM items WHERE number IN {_THESE}", (json.dumps(gone),))
    if newest := {item.id: item for item in items}:
        _keep(connection, newest)
    if cursor is not None:
        run(connection, "INSERT OR REPLACE INTO meta VALUES (?, ?)", (CURSOR, str(cursor)))


def _keep(connection: Connection, items: dict[str, Item]) -> None:
    known = _numbers(connection, [*items])
    if known:
        _forget(connection, [*known.values()], but=("positions", "viewings"))
    number = scalar(connection, "SELECT coalesce(max(number), 0) FROM items")
    numbered: list[tuple[int, Item]] = []
    for item_id, item in items.items():
        if item_id not in known:
            number += 1
        numbered.append((known.get(item_id, number), item))
    texts = [(at, *rows.texts_of(item)) for at, item in numbered]
    keys = [(rows.genre_key(genre), at) for at, item in numbered for genre in item.facts.genres]
    jobs = [(file.job_id, at) for at, item in numbered for file in item.files if file.job_id]
    many(connection, _ITEM, [rows.item_row(at, item) for at, item in numbered])
    many(
        connection,
        "INSERT INTO bodies VALUES (?, ?)",
        [(at, rows.body_of(item)) for at, item in numbered],
    )
    many(
        connection, "INSERT INTO texts (rowid, title, original, others) VALUES (?, ?, ?, ?)", texts
    )
    many(connection, "INSERT OR IGNORE INTO genres VALUES (?, ?)", keys)
    many(connection, "INSERT OR IGNORE INTO item_jobs VALUES (?, ?)", jobs)
    _learn(connection, {word for _, *text in texts for part in text for word in part.split()})
    if known:
        run(connection, _VIEWING, (json.dumps([*known.values()]),))


def _forget(connection: Connection, numbers: list[int], *, but: Sequence[str] = ()) -> None:
    """Deletes what is kept of items beside themselves."""
    these = (json.dumps(numbers),)
    for table in _OF_ITEM:
        if table not in but:
            run(connection, f"DELETE FROM {table} WHERE number IN {_THESE}", these)
    run(connection, f"DELETE FROM texts WHERE rowid IN {_THESE}", these)


def _learn(connection: Connection, words: set[str]) -> None:
    """Takes up the words that are new. None is ever forgotten: it finds nothing then."""
    known = f"SELECT word FROM words WHERE word IN {_THESE}"
    found = connection.exec_driver_sql(known, (json.dumps([*words]),)).scalars()
    number = scalar(connection, "SELECT coalesce(max(number), 0) FROM words")
    fresh = [*enumerate(sorted(words.difference(found)), number + 1)]
    many(connection, "INSERT INTO words VALUES (?, ?)", fresh)
    parts = [(at, f" {word} ") for at, word in fresh]
    many(connection, "INSERT INTO word_parts (rowid, word) VALUES (?, ?)", parts)


def put_position(connection: Connection, position: Position) -> None:
    """Keeps a position; see `PositionStore.put_position`.

    Raises:
        ItemNotFound: there is no such item.
    """
    number = _numbers(connection, [position.item_id]).get(position.item_id)
    if number is None:
        raise ItemNotFound(f"The library has no item '{position.item_id}'.")
    run(
        connection,
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)",
        (
            number,
            position.viewer,
            position.file_index,
            position.seconds,
            position.seen,
            moment(position.at),
        ),
    )
    run(connection, _VIEWING, (json.dumps([number]),))


def keep_filing(connection: Connection, filing: Filing) -> None:
    """Keeps a filing in place of the one before."""
    row = (filing.item_id, filing.state, rows.filing_body(filing))
    run(connection, "INSERT OR REPLACE INTO filings VALUES (?, ?, ?)", row)


def drop_filing(connection: Connection, item_id: str) -> None:
    """Forgets a filing."""
    run(connection, "DELETE FROM filings WHERE item_id = ?", (item_id,))


def _numbers(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The numbers of the items that there are, by id."""
    if not ids:
        return {}
    found = f"SELECT id, number FROM items WHERE id IN {_THESE}"
    return {row[0]: row[1] for row in connection.exec_driver_sql(found, (json.dumps([*ids]),))}


def run(connection: Connection, statement: str, values: tuple[Any, ...] = ()) -> None:
    """Runs a statement that gives nothing back."""
    connection.exec_driver_sql(statement, values).close()


def many(connection: Connection, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    """Runs a statement once for each row of values."""
    if values:
        connection.exec_driver_sql(statement, [*values]).close()


def scalar(connection: Connection, statement: str) -> int:
    """The number that a statement gives."""
    return int(connection.exec_driver_sql(statement).scalar_one())
