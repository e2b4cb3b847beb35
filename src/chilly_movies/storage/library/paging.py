"""The order of pages, and the cursors that say where a page ended."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final, TypeAlias

from chilly_movies.errors import InvalidRequest
from chilly_movies.library.models import FileRole, Item
from chilly_movies.library.ports import LibraryQuery, Sorting

Value: TypeAlias = str | int | float

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LARGEST: Final = 2**63


class Fit(IntEnum):
    """How well an item fits the words it was found by, best first."""

    BEGINS = 0
    """Its title begins with them; sorted by title."""
    WHOLE = 1
    """Its title has them all as whole words; what came last is first, as with the next two."""
    BEGUN = 2
    """Its title has words that begin with them."""
    ELSEWHERE = 3
    """Its original title or its cast has some of them."""
    ALIKE = 4
    """It has words that are like them; further ones by a letter each have higher numbers."""


BY_AGE: Final = (Fit.WHOLE, Fit.BEGUN, Fit.ELSEWHERE)
"""Of these there may be very many, and only the order in which they came is there unsorted."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a page is sorted by.

    Attributes:
        sort: None = by how well items fit.
        descending: the other way round; what has no value comes last nevertheless.
    """

    sort: Sorting | None
    descending: bool = False

    @classmethod
    def of(cls, query: LibraryQuery) -> Order:
        """The order that a query asks for; without words and a wish it is that of the titles."""
        if query.sort is None and words_asked(query) is not None:
            return cls(None)
        return cls(query.sort or Sorting.TITLE, query.descending)

    @property
    def name(self) -> str:
        """What cursors call it."""
        return f"{self.sort or 'fit'}{'-' if self.descending else ''}"


@dataclass(frozen=True, slots=True)
class Mark:
    """The place of an item in an order.

    Attributes:
        value: what it is sorted by; None = it has no such value, and comes after all that have.
        then: decides between equal ones: the key of the title, or how late it came, as a negative
            number; "" where neither is looked at.
        id: decides where that is equal, too.
    """

    value: Value | None
    then: str | int
    id: str

    @property
    def key(self) -> tuple[Value, str | int, str]:
        """What marks that have a value, or that have none, are compared by among themselves."""
        return (0 if self.value is None else self.value, self.then, self.id)


def sorted_after(marks: Iterable[Mark], order: Order, after: Mark | None) -> list[Mark]:
    """Marks in their order, those alone that come after one of them."""
    valued: list[Mark] = []
    others: list[Mark] = []
    for mark in marks:
        (others if mark.value is None else valued).append(mark)
    for part in (valued, others):
        part.sort(key=lambda mark: mark.key, reverse=order.descending)
    if after is None:
        return valued + others
    if after.value is not None:
        return [mark for mark in valued if _is_after(mark, after, order)] + others
    return [mark for mark in others if _is_after(mark, after, order)]


def _is_after(mark: Mark, after: Mark, order: Order) -> bool:
    return mark.key < after.key if order.descending else mark.key > after.key


def write_cursor(order: Order, mark: Mark) -> str:
    """The cursor of a page that ended with this item."""
    text = json.dumps([order.name, mark.value, mark.then, mark.id], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(order: Order, text: str) -> Mark:
    """Where the page before ended.

    Raises:
        InvalidRequest: it is none of ours, or of a page in another order.
    """
    try:
        found = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        name, value, then, item_id = json.loads(found.decode())
        if name == order.name and _fits(order, value, then) and isinstance(item_id, str):
            f"{value}{then}{item_id}".encode()  # no half letters
            return Mark(value, then, item_id)
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidRequest("The cursor is not of such a page; begin with the first.", field="after")


def _fits(order: Order, value: object, then: object) -> bool:
    """Whether marks of an order may have such values."""
    if order.sort is Sorting.TITLE:
        return isinstance(value, str) and isinstance(then, str)
    if value is None:
        return order.sort is not None and isinstance(then, str)
    if not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return False
    if order.sort is None and value in BY_AGE:
        return isinstance(then, int) and abs(then) < _LARGEST
    return isinstance(then, str)


def words_asked(query: LibraryQuery) -> str | None:
    """The words that are asked for; None if there are none but spaces."""
    return query.text if query.text and query.text.strip() else None


def moment(at: datetime) -> int:
    """A time as a number: microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def main_files(item: Item) -> frozenset[int]:
    """The numbers of the files that are to be watched."""
    return frozenset(file.index for file in item.files if file.role is FileRole.MAIN)
