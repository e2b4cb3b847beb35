"""Finds items in the library's database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from chilly_movies.library.ports import LibraryPage, LibraryQuery, Sorting
from chilly_movies.storage.library import rows
from chilly_movies.storage.library.alike import Vocabulary, readings
from chilly_movies.storage.library.clauses import (
    EACH_OF_GENRE,
    MATCHING,
    OF_GENRE,
    SORTED,
    Wanted,
    Where,
    beyond,
    filters,
    reading_expression,
)
from chilly_movies.storage.library.paging import (
    Fit,
    Mark,
    Order,
    read_cursor,
    sorted_after,
    words_asked,
    write_cursor,
)
from chilly_movies.storage.library.rows import genre_key

_Found: TypeAlias = tuple[int, Mark]
"""The number of an item, and its place in the order."""

_BODIES: Final = """
    SELECT b.body FROM json_each(?) AS asked JOIN bodies AS b ON b.number = asked.value
    ORDER BY asked.key
"""
_THESE: Final = "i.number IN (SELECT value FROM json_each(?))"
_FITTING: Final = """
    SELECT t.rowid, i.id FROM texts AS t CROSS JOIN items AS i ON i.number = t.rowid
    WHERE texts MATCH ? AND t.rowid < ? AND {} ORDER BY t.rowid DESC LIMIT ?
"""
_OF_GENRE: Final = "SELECT count(*) FROM genres WHERE genre = ?"
_COUNTED: Final = {
    MATCHING: "SELECT count(*) FROM texts WHERE texts MATCH ?",
    OF_GENRE: _OF_GENRE,
    EACH_OF_GENRE: _OF_GENRE,
}
"""Conditions that are counted without a look at the items."""
_FREQUENT: Final = 2000
"""So many items of a genre are still sorted."""
_MATCHED: Final = "SELECT rowid, title, original, others FROM texts WHERE texts MATCH ? LIMIT ?"
_NEAR: Final = """
    SELECT w.word FROM word_parts AS p CROSS JOIN words AS w ON w.number = p.rowid
    WHERE word_parts MATCH ? ORDER BY p.rank LIMIT ?
"""
_SHORT_WORDS: Final = "SELECT word FROM words WHERE word >= ? AND word < ? AND length(word) <= ?"
_KNOWN: Final = "SELECT word FROM words WHERE word IN (SELECT value FROM json_each(?))"
_MOST_ALIKE: Final = 500
"""So many items are looked at that have words like mistyped ones."""
_MOST_NEAR: Final = 200
"""So many words are looked at that have letters in common with a mistyped one."""
_SHORT: Final = 4
"""Letters of a word of which a single mistake may leave no three in a row."""
_VIEWED: Final = "viewings AS v JOIN items AS i ON i.number = v.number"
_BY_TITLE: Final = Order(Sorting.TITLE)
_NOTHING: Final = "''"
_COUNTS: Final = 1000
_LAST: Final = 2**63 - 1


class Search:
    """Searches on one connection, and remembers how many were found while nothing is changed.

    Args:
        connection: one that only reads.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute
        self._version = 0
        self._counts: dict[tuple[str, tuple[Any, ...]], int] = {}

    def page(self, query: LibraryQuery) -> LibraryPage:
        """Finds items; see `LibraryStore.page`."""
        order = Order.of(query)
        after = None if query.after is None else read_cursor(order, query.after)
        where, text = self._filters(query), words_asked(query)
        if text is None:
            found, total = self._listed(query, order, where, after), self._count(where)
        elif self._fits_any(wanted := Wanted(text)):
            fits = where.also(wanted.clause)
            total = self._count(fits)
            if order.sort is None:
                found = self._fitting(wanted, where, after, query.limit + 1)
            else:
                found = self._listed(query, order, fits, after)
        else:
            far = self._alike(wanted)
            like = where.also((_THESE, (json.dumps([*far]),)))
            total = self._count(like)
            if order.sort is None:
                found = iter(self._nearest(far, like, order, after))
            else:
                found = self._listed(query, order, like, after)
        return self._page(order, [*islice(found, query.limit + 1)], total, query.limit)

    def _page(self, order: Order, found: Sequence[_Found], total: int, limit: int) -> LibraryPage:
        shown = found[:limit]
        numbers = json.dumps([number for number, _ in shown])
        bodies = [body for (body,) in self._run(_BODIES, (numbers,))]
        end = write_cursor(order, shown[-1][1]) if len(found) > limit > 0 else None
        return LibraryPage(tuple(rows.items_of(bodies)), total, end)

    def _filters(self, query: LibraryQuery) -> Where:
        """What a query asks for beside words, in the form that is quick for its genre."""
        if query.genre is None:
            return filters(query)
        of_genre = Where(((OF_GENRE, (genre_key(query.genre),)),))
        return filters(query, frequent=self._count(of_genre) > _FREQUENT)

    def _count(self, where: Where) -> int:
        """How many items meet conditions."""
        (version,) = self._run("PRAGMA data_version").fetchone()
        if version != self._version or len(self._counts) >= _COUNTS:
            self._version, self._counts = version, {}
        key = (where.sql, where.values)
        if key not in self._counts:
            sql = _COUNTED.get(where.sql, f"SELECT count(*) FROM items AS i WHERE {where.sql}")
            (self._counts[key],) = self._run(sql, where.values).fetchone()
        return self._counts[key]

    # --- in an order that items have by themselves ---

    def _listed(
        self, query: LibraryQuery, order: Order, where: Where, after: Mark | None
    ) -> Iterator[_Found]:
        """Items in the order of a column; those without a value come last."""
        if after is None or after.value is not None:
            yield from self._part(query, order, where, after, valued=True)
            after = None
        yield from self._part(query, order, where, after, valued=False)

    def _part(
        self, query: LibraryQuery, order: Order, where: Where, after: Mark | None, *, valued: bool
    ) -> list[_Found]:
        """The first of the items that have a value, or that have none."""
        by = SORTED[order.sort or Sorting.TITLE]
        value, source = by.value if valued else "NULL", "items AS i"
        where = where.also(by.condition(query.viewer, valued=valued))
        if valued and order.sort is Sorting.WATCHED:
            source = _VIEWED
        columns = [*([by.value] if valued else []), *([by.then] if by.then else []), "i.id"]
        if after is not None:
            values = [*([after.value] if valued else []), *([after.then] if by.then else [])]
            where = where.also(beyond(columns, [*values, after.id], order))
        turn = " DESC" if order.descending else ""
        found = self._run(
            f"SELECT i.number, {value}, {by.then or _NOTHING}, i.id FROM {source}"
            f" WHERE {where.sql} ORDER BY {', '.join(f'{c}{turn}' for c in columns)} LIMIT ?",
            (*where.values, query.limit + 1),
        )
        return [(number, Mark(*mark)) for number, *mark in found]

    # --- in the order of how well items fit words ---

    def _fits_any(self, wanted: Wanted) -> bool:
        """Whether anything in the library fits words as they stand."""
        text, values = wanted.clause
        sql = f"SELECT 1 FROM items AS i WHERE {text} LIMIT 1"
        if text == MATCHING:
            sql = "SELECT 1 FROM texts WHERE texts MATCH ? LIMIT 1"
        return self._run(sql, values).fetchone() is not None

    def _fitting(
        self, wanted: Wanted, where: Where, after: Mark | None, most: int
    ) -> Iterator[_Found]:
        """Items whose title begins with the words, then the others, the best first."""
        reached = Fit.BEGINS if after is None else int(after.value or 0)
        if reached == Fit.BEGINS:
            mark = None if after is None else Mark(after.then, "", after.id)
            titles = where.also(wanted.begins)
            query = LibraryQuery(limit=most)
            for number, found in self._part(query, _BY_TITLE, titles, mark, valued=True):
                yield number, Mark(Fit.BEGINS, str(found.value), found.id)
        for fit, expression in wanted.tiers.items():
            if fit >= reached:
                last = -int(after.then) if after is not None and fit == reached else _LAST
                values = (expression, last, *where.values, most)
                for number, item_id in self._run(_FITTING.format(where.sql), values).fetchall():
                    yield number, Mark(fit, -number, item_id)

    # --- with words that are like those that were typed ---

    def _alike(self, wanted: Wanted) -> dict[int, int]:
        """How far items are from mistyped words, by their numbers."""
        far: dict[int, int] = {}
        vocabulary = Vocabulary(self._near, self._known)
        for reading in readings(wanted.terms, vocabulary) if wanted.terms else ():
            values = (reading_expression(reading), _MOST_ALIKE)
            for number, *texts in self._run(_MATCHED, values).fetchall():
                distance = reading.distance([text.split() for text in texts])
                if distance is not None:
                    far[number] = min(distance, far.get(number, distance))
        return far

    def _nearest(
        self, far: dict[int, int], where: Where, order: Order, after: Mark | None
    ) -> list[_Found]:
        sql = f"SELECT i.number, i.title, i.id FROM items AS i WHERE {where.sql}"
        found = self._run(sql, where.values).fetchall()
        marks = {Mark(Fit.ALIKE + far[at], title, name): at for at, title, name in found}
        return [(marks[mark], mark) for mark in sorted_after(marks, order, after)]

    def _near(self, word: str) -> set[str]:
        """Words of the library that have three letters in a row with one in common."""
        padded = f" {word} "
        parts = {padded[at : at + 3] for at in range(len(padded) - 2)}
        expression = " OR ".join(f'"{part}"' for part in sorted(parts))
        found = {other for (other,) in self._run(_NEAR, (expression, _MOST_NEAR))}
        if len(word) <= _SHORT:
            between = (word[0], f"{word[0]}\U0010ffff", len(word) + 1)
            found.update(other for (other,) in self._run(_SHORT_WORDS, between))
        return found

    def _known(self, words: Sequence[str]) -> set[str]:
        """Those of some words that are in the library."""
        return {word for (word,) in self._run(_KNOWN, (json.dumps(words),))}
