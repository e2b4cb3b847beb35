"""What the library needs from outside; `storage/library` and `disk` implement it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.library.models import Filing, Item, ItemState, Position


class Sorting(StrEnum):
    """What items are sorted by; text by the rules of Unicode, without regard to case."""

    ADDED = "added"
    TITLE = "title"
    YEAR = "year"
    RATING = "rating"
    WATCHED = "watched"


@dataclass(frozen=True, slots=True)
class LibraryQuery:
    """Which items are asked for, and in which order.

    Attributes:
        text: words of title, original title, cast or the year, whole or begun; with typos where
            nothing in the library fits as it stands.
        seen: by `viewer`: all that is to be watched of it (True), or not (False).
        sort: None = by title, or by how well it fits if there is a text.
        descending: the other way round; what has no such value comes last either way.
        after: the cursor that the page before ended with, None = from the beginning.
        limit: 1-500.
    """

    text: str | None = None
    kind: TitleKind | None = None
    states: tuple[ItemState, ...] = ()
    genre: str | None = None
    year: int | None = None
    favourite: bool | None = None
    seen: bool | None = None
    viewer: str = "default"
    ref: TitleRef | None = None
    job_id: str | None = None
    sort: Sorting | None = None
    descending: bool = False
    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class LibraryPage:
    """Some of the items that were asked for.

    Attributes:
        total: how many there are in all.
        next: the cursor that the next page begins after, None = this is the last.
    """

    items: tuple[Item, ...]
    total: int
    next: str | None = None


class LibraryStore(Protocol):
    """Keeps the items. All methods raise `StoreError`."""

    async def get(self, item_id: str) -> Item | None:
        """One item with all that is known of it."""
        ...

    async def put(
        self, items: Sequence[Item], *, removed: Sequence[str] = (), cursor: int | None = None
    ) -> None:
        """Keeps items in place of those with their ids, and removes others, all or none.

        Args:
            items: as they are from now on.
            removed: ids of items that go, with their positions; unknown ones are passed over.
            cursor: the number of the change up to which all is done then, None = as before.
        """
        ...

    async def page(self, query: LibraryQuery) -> LibraryPage:
        """Finds items.

        Raises:
            InvalidRequest: the cursor is none of ours.
        """
        ...

    def all(self) -> AsyncIterator[Item]:
        """Yields every item in the order of the ids, as they are when it comes to them."""
        ...

    async def cursor(self) -> int | None:
        """The number of the change up to which all is done, None = nothing was ever."""
        ...

    async def aclose(self) -> None:
        """Closes what is open. Idempotent."""
        ...


class PositionStore(Protocol):
    """Keeps how far viewers watched. All methods raise `StoreError`."""

    async def positions(self, item_id: str, viewer: str) -> tuple[Position, ...]:
        """Those of one viewer in one item, by file; none if there is no such item."""
        ...

    async def watching(self, viewer: str, limit: int) -> tuple[Position, ...]:
        """What the viewer began and did not end, newest first."""
        ...

    async def put_position(self, position: Position) -> None:
        """Keeps one in place of the one before.

        Raises:
            ItemNotFound: there is no such item.
        """
        ...

    def all_positions(self) -> AsyncIterator[Position]:
        """Yields those of all viewers in all items, in the order of the items' ids."""
        ...


class FilingJournal(Protocol):
    """Keeps what filing does before it does it. All methods raise `StoreError`.

    What a method kept survives a power cut when the method returns.
    """

    async def keep_filing(self, filing: Filing) -> None:
        """Keeps the filing in place of the one before of the same item."""
        ...

    async def drop_filing(self, item_id: str) -> None:
        """Forgets the filing of an item; nothing happens if there is none."""
        ...

    async def filing(self, item_id: str) -> Filing | None:
        """The filing of an item, None = it is not filed."""
        ...

    async def unfinished_filings(self) -> tuple[Filing, ...]:
        """Those whose state is not `filed`, by item id."""
        ...
