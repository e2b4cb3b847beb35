"""What is asked of items, as parts of SQL and of FTS5's own language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from chilly_movies.library.ports import LibraryQuery, Sorting
from chilly_movies.storage.library.alike import Phrase, Reading
from chilly_movies.storage.library.paging import BY_AGE, Fit, Order
from chilly_movies.storage.library.rows import genre_key
from chilly_movies.storage.library.words import terms_of, title_key

Clause: TypeAlias = tuple[str, tuple[Any, ...]]
"""A condition, and the values for its question marks."""

MATCHING: Final = "i.number IN (SELECT t.rowid FROM texts AS t WHERE texts MATCH ?)"
"""Items that an expression of FTS5 finds."""
OF_GENRE: Final = "i.number IN (SELECT g.number FROM genres AS g WHERE g.genre = ?)"
EACH_OF_GENRE: Final = (
    "EXISTS (SELECT 1 FROM genres AS g WHERE g.genre = ? AND g.number = i.number)"
)
_VIEWED: Final = "(SELECT v.number FROM viewings AS v WHERE v.viewer = ?{})"
_NEVER_VIEWED: Final = f"i.number NOT IN {_VIEWED.format('')}"


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions on rows of `items AS i` that all have to hold."""

    clauses: tuple[Clause, ...] = ()

    def also(self, *clauses: Clause) -> Where:
        """These and further ones."""
        return Where(self.clauses + clauses)

    @property
    def sql(self) -> str:
        """As text; true if there are none."""
        return " AND ".join(text for text, _ in self.clauses) or "true"

    @property
    def values(self) -> tuple[Any, ...]:
        """For its question marks."""
        return tuple(value for _, values in self.clauses for value in values)


def filters(query: LibraryQuery, *, frequent: bool = False) -> Where:
    """What a query asks for beside words.

    Args:
        query: what is asked.
        frequent: whether very many items have the genre, so that it is quicker to walk through all
            in their order than to sort those that have it.
    """
    states = ", ".join("?" * len(query.states))
    genre = EACH_OF_GENRE if frequent else OF_GENRE
    job = "i.number IN (SELECT j.number FROM item_jobs AS j WHERE j.job_id = ?)"
    seen = f"i.number {'' if query.seen else 'NOT '}IN {_VIEWED.format(' AND v.seen')}"
    asked: list[tuple[object, Clause]] = [
        (query.kind, ("i.kind = ?", (query.kind,))),
        (query.states or None, (f"i.state IN ({states})", query.states)),
        (query.genre, (genre, (genre_key(query.genre or ""),))),
        (query.year, ("i.year = ?", (query.year,))),
        (query.favourite, ("i.favourite = ?", (query.favourite,))),
        (query.seen, (seen, (query.viewer,))),
        (query.ref, ("i.ref = ?", (str(query.ref),))),
        (query.job_id, (job, (query.job_id,))),
    ]
    return Where(tuple(clause for value, clause in asked if value is not None))


@dataclass(frozen=True, slots=True)
class Sorted:
    """What SQL sorts by.

    Attributes:
        value: the column that counts.
        then: decides between equal ones, None = the id alone does.
    """

    value: str
    then: str | None = None

    def condition(self, viewer: str, *, valued: bool) -> Clause:
        """Items that have a value, or that have none."""
        if self.value.startswith("v."):  # its row is there only if there is a value
            return "v.viewer = ?" if valued else _NEVER_VIEWED, (viewer,)
        return f"{self.value} IS {'NOT ' if valued else ''}NULL", ()


SORTED: Final = {
    Sorting.ADDED: Sorted("i.added_at"),
    Sorting.TITLE: Sorted("i.title"),
    Sorting.YEAR: Sorted("i.year", "i.title"),
    Sorting.RATING: Sorted("i.rating", "i.title"),
    Sorting.WATCHED: Sorted("v.last"),
}


def beyond(columns: Sequence[str], values: Sequence[Any], order: Order) -> Clause:
    """Rows that come after one with these values."""
    marks = ", ".join("?" * len(columns))
    sign = "<" if order.descending else ">"
    return f"({', '.join(columns)}) {sign} ({marks})", tuple(values)


class Wanted:
    """What words ask for.

    Args:
        text: as somebody typed them.
    """

    def __init__(self, text: str) -> None:
        self.terms = terms_of(text)
        self._start = title_key(text)
        title = [_begun(term) for term in self.terms], [_whole(term) for term in self.terms]
        self._begun, self._whole = (f"({' AND '.join(parts)})" for parts in title)

    @property
    def begins(self) -> Clause:
        """Items whose title begins with them."""
        return "(i.title >= ? AND i.title < ?)", (self._start, f"{self._start}\U0010ffff")

    @property
    def tiers(self) -> dict[Fit, str]:
        """Items that fit so and not better, for FTS5; none if no word is asked for."""
        if not self.terms:
            return {}
        begins = f'{{title}} : ^"{self._start}" *'
        whole, begun = f"{{title}} : {self._whole}", f"{{title}} : {self._begun}"
        found = (
            f"({whole}) NOT ({begins})",
            f"({begun}) NOT (({whole}) OR ({begins}))",
            f"{self._begun} NOT ({begun})",
        )
        return dict(zip(BY_AGE, found, strict=True))

    @property
    def clause(self) -> Clause:
        """Items that fit in any way."""
        return (MATCHING, (self._begun,)) if self.terms else self.begins


def reading_expression(reading: Reading) -> str:
    """Items that a way to read mistyped words fits, for FTS5."""
    groups = (
        " OR ".join(_whole(phrase) if far else _begun(phrase) for phrase, far in group.items())
        for group in reading.groups
    )
    return " AND ".join(f"({group})" for group in groups)


def _whole(term: Phrase) -> str:
    return f'"{" ".join(term)}"'


def _begun(term: Phrase) -> str:
    return f'"{" ".join(term)}" *'
