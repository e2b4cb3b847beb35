"""The library that forgets: for tests, demos and throw-away servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import count

from chilly_movies.errors import ItemNotFound
from chilly_movies.library.models import Filing, FilingState, Item, Position
from chilly_movies.library.ports import LibraryPage, LibraryQuery, Sorting
from chilly_movies.storage.library.alike import Phrase, Vocabulary, readings
from chilly_movies.storage.library.paging import (
    BY_AGE,
    Fit,
    Mark,
    Order,
    main_files,
    moment,
    read_cursor,
    sorted_after,
    words_asked,
    write_cursor,
)
from chilly_movies.storage.library.words import holds, terms_of, title_key, words_of


class MemoryLibraryStore:
    """A `LibraryStore`, `PositionStore` and `FilingJournal` without a disk."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._ages: dict[str, int] = {}
        """A negative number for each item, the higher the earlier it came."""
        self._count = count(1)
        self._positions: dict[tuple[str, str, int], Position] = {}
        self._filings: dict[str, Filing] = {}
        self._cursor: int | None = None

    async def get(self, item_id: str) -> Item | None:
        """See `LibraryStore`."""
        return self._items.get(item_id)

    async def put(
        self, items: Sequence[Item], *, removed: Sequence[str] = (), cursor: int | None = None
    ) -> None:
        """See `LibraryStore`."""
        gone = frozenset(removed)
        for item_id in gone:
            self._items.pop(item_id, None)
            self._ages.pop(item_id, None)
        for key in [key for key in self._positions if key[0] in gone]:
            del self._positions[key]
        for item in items:
            self._items[item.id] = item
            self._ages.setdefault(item.id, -next(self._count))
        self._cursor = self._cursor if cursor is None else cursor

    async def page(self, query: LibraryQuery) -> LibraryPage:
        """See `LibraryStore`."""
        order = Order.of(query)
        after = None if query.after is None else read_cursor(order, query.after)
        asked = [item for item in self._items.values() if self._is_asked(item, query)]
        text = words_asked(query)
        fits = [(item, 0) for item in asked] if text is None else self._fits(text, asked)
        marks = [self._mark(item, order, query.viewer, fit) for item, fit in fits]
        rest = sorted_after(marks, order, after)
        shown = rest[: query.limit]
        return LibraryPage(
            items=tuple(self._items[mark.id] for mark in shown),
            total=len(marks),
            next=write_cursor(order, shown[-1]) if len(rest) > len(shown) > 0 else None,
        )

    async def all(self) -> AsyncIterator[Item]:
        """See `LibraryStore`."""
        for item_id in sorted(self._items):
            if (item := self._items.get(item_id)) is not None:
                yield item

    async def cursor(self) -> int | None:
        """See `LibraryStore`."""
        return self._cursor

    async def positions(self, item_id: str, viewer: str) -> tuple[Position, ...]:
        """See `PositionStore`."""
        return tuple(sorted(self._of(item_id, viewer), key=lambda found: found.file_index))

    async def watching(self, viewer: str, limit: int) -> tuple[Position, ...]:
        """See `PositionStore`."""
        began = [
            found
            for found in self._positions.values()
            if found.viewer == viewer and found.seconds > 0 and not found.seen
        ]
        began.sort(key=lambda found: (found.at, found.item_id, found.file_index), reverse=True)
        return tuple(began[:limit])

    async def put_position(self, position: Position) -> None:
        """See `PositionStore`."""
        if position.item_id not in self._items:
            raise ItemNotFound(f"The library has no item '{position.item_id}'.")
        key = (position.item_id, position.viewer, position.file_index)
        self._positions[key] = position

    async def all_positions(self) -> AsyncIterator[Position]:
        """See `PositionStore`."""
        for key in sorted(self._positions):
            if (found := self._positions.get(key)) is not None:
                yield found

    async def keep_filing(self, filing: Filing) -> None:
        """See `FilingJournal`."""
        self._filings[filing.item_id] = filing

    async def drop_filing(self, item_id: str) -> None:
        """See `FilingJournal`."""
        self._filings.pop(item_id, None)

    async def filing(self, item_id: str) -> Filing | None:
        """See `FilingJournal`."""
        return self._filings.get(item_id)

    async def unfinished_filings(self) -> tuple[Filing, ...]:
        """See `FilingJournal`."""
        found = (self._filings[item_id] for item_id in sorted(self._filings))
        return tuple(filing for filing in found if filing.state is not FilingState.FILED)

    async def aclose(self) -> None:
        """Does nothing: there is nothing to close."""

    def _of(self, item_id: str, viewer: str) -> Iterator[Position]:
        return (p for p in self._positions.values() if (p.item_id, p.viewer) == (item_id, viewer))

    def _is_asked(self, item: Item, query: LibraryQuery) -> bool:
        """Whether an item is one of those that are asked for, whatever its words are."""
        wanted = (
            query.kind in (None, item.kind),
            not query.states or item.state in query.states,
            query.genre is None or words_of(query.genre) in map(words_of, item.facts.genres),
            query.year in (None, item.year),
            query.favourite in (None, item.favourite),
            query.ref in (None, item.ref),
            query.job_id is None or any(file.job_id == query.job_id for file in item.files),
            query.seen is None or query.seen is self._is_seen(item, query.viewer),
        )
        return all(wanted)

    def _is_seen(self, item: Item, viewer: str) -> bool:
        """Whether the viewer saw all of it."""
        main = main_files(item)
        return bool(main) and main <= {p.file_index for p in self._of(item.id, viewer) if p.seen}

    def _fits(self, text: str, asked: Iterable[Item]) -> list[tuple[Item, int]]:
        """The items that a text asks for, and how well each fits."""
        terms, start = terms_of(text), title_key(text)
        fits: dict[str, int | None] = {
            item.id: _fit(item, terms, start) for item in self._items.values()
        }
        if all(fit is None for fit in fits.values()):
            fits = self._alike(terms)
        return [(item, fit) for item in asked if (fit := fits[item.id]) is not None]

    def _alike(self, terms: Sequence[Phrase]) -> dict[str, int | None]:
        """How far from what was typed each item is, on top of `Fit.ALIKE`."""
        texts = {item.id: _texts(item) for item in self._items.values()}
        words = {word for found in texts.values() for text in found for word in text}
        found = readings(terms, Vocabulary(lambda _: words, words.intersection)) if terms else ()
        far = {
            item_id: min((d for one in found if (d := one.distance(own)) is not None), default=None)
            for item_id, own in texts.items()
        }
        return {item_id: None if d is None else Fit.ALIKE + d for item_id, d in far.items()}

    def _mark(self, item: Item, order: Order, viewer: str, fit: int) -> Mark:
        title = title_key(item.title)
        match order.sort:
            case None if fit in BY_AGE:
                return Mark(fit, self._ages[item.id], item.id)
            case None:
                return Mark(fit, title, item.id)
            case Sorting.ADDED:
                return Mark(moment(item.added_at), "", item.id)
            case Sorting.TITLE:
                return Mark(title, "", item.id)
            case Sorting.YEAR:
                return Mark(item.year, title, item.id)
            case Sorting.RATING:
                return Mark(item.facts.rating, title, item.id)
            case Sorting.WATCHED:
                times = [moment(found.at) for found in self._of(item.id, viewer)]
                return Mark(max(times, default=None), "", item.id)


def _texts(item: Item) -> tuple[list[str], list[str], list[str]]:
    """The words an item is found by: of its title, its original title, its cast and its year."""
    others = " ".join((*item.facts.cast, str(item.year or "")))
    return words_of(item.title), words_of(item.facts.original_title), words_of(others)


def _fit(item: Item, terms: Sequence[Phrase], start: str) -> Fit | None:
    """How well an item fits words; None = it does not."""
    texts = _texts(item)
    title = texts[0]
    if title_key(item.title).startswith(start):
        return Fit.BEGINS
    if terms and all(holds(title, term, whole=True) for term in terms):
        return Fit.WHOLE
    if terms and all(holds(title, term) for term in terms):
        return Fit.BEGUN
    found = all(any(holds(text, term) for text in texts) for term in terms)
    return Fit.ELSEWHERE if terms and found else None
