"""A film catalogue without a network: a few public-domain classics. Shipped for front ends."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chilly_movies.catalogue.mixed import MixedCatalogue
from chilly_movies.catalogue.numbered import TMDB, NumberedCatalogue
from chilly_movies.catalogue.titles import (
    ExternalId,
    Season,
    Title,
    TitleDetails,
    TitleFilter,
    TitleKind,
    TitlePage,
    Video,
)
from chilly_movies.errors import MetadataUnavailable, TitleNotFound


class MockMetadataProvider:
    """Knows the canned titles and behaves like the real provider.

    Args:
        titles: what it knows; None = eight films and two series, of which one has videos.
        page_size: results on one page.
    """

    def __init__(
        self, titles: Sequence[TitleDetails] | None = None, *, page_size: int = 20
    ) -> None:
        # Only here, as every server imports this module and few serve what is canned.
        from chilly_movies.catalogue.canned import TITLES, VIDEOS

        known = TITLES if titles is None else titles
        self._titles = {(t.title.kind, t.title.id): t for t in known}
        self._videos: Mapping[tuple[TitleKind, int], tuple[Video, ...]] = VIDEOS
        self._page_size = page_size
        self._closed = False

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles whose name, translated or original, has a word starting with each query word."""
        self._check_open()
        wanted, found = _words(query), []
        for details in self._titles.values():
            title = details.title
            words = _words(f"{title.name} {details.original_name}")
            matches = all(any(word.startswith(want) for word in words) for want in wanted)
            if wanted and matches and kind in (None, title.kind) and year in (None, title.year):
                found.append(title)
        return self._page(found, page)

    async def details(self, kind: TitleKind, title_id: int) -> TitleDetails:
        """Everything about one title; its seasons come without episodes."""
        details = self._find(kind, title_id)
        return replace(details, seasons=tuple(replace(s, episodes=()) for s in details.seasons))

    async def season(self, title_id: int, number: int) -> Season:
        """One season of a series with its episodes."""
        for season in self._find(TitleKind.TV, title_id).seasons:
            if season.number == number:
                return season
        raise TitleNotFound(f"The film catalogue has no season {number} of series {title_id}.")

    async def videos(self, kind: TitleKind, title_id: int) -> tuple[Video, ...]:
        """Trailers and clips, official trailers first."""
        self._find(kind, title_id)
        return self._videos.get((kind, title_id), ())

    async def similar(self, kind: TitleKind, title_id: int, *, page: int = 1) -> TitlePage:
        """Titles of the same kind that share a genre, the most alike first."""
        genres = set(self._find(kind, title_id).genres)
        alike = [
            (len(genres & set(other.genres)), other.title)
            for key, other in self._titles.items()
            if other.title.kind is kind and key != (kind, title_id)
        ]
        alike.sort(key=lambda pair: -pair[0])
        return self._page([title for shared, title in alike if shared], page)

    async def popular(self, kind: TitleKind, *, page: int = 1) -> TitlePage:
        """Titles of a kind, those with most votes first."""
        return await self.discover(TitleFilter(kind), page=page)

    async def discover(self, wanted: TitleFilter, *, page: int = 1) -> TitlePage:
        """Titles that pass a filter, those with most votes first."""
        self._check_open()
        found = [one.title for one in self._titles.values() if _passes(one, wanted)]
        return self._page(sorted(found, key=lambda title: -title.votes), page)

    async def genres(self, kind: TitleKind) -> tuple[str, ...]:
        """Every genre that a title of the kind has."""
        self._check_open()
        known = [one for one in self._titles.values() if one.title.kind is kind]
        return tuple(sorted({genre for one in known for genre in one.genres}))

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The titles that another catalogue calls so."""
        self._check_open()
        return tuple(
            one.title
            for one in self._titles.values()
            if one.external_ids.get(external.source) == external.id
        )

    async def aclose(self) -> None:
        """Answer nothing from now on. Idempotent."""
        self._closed = True

    def _find(self, kind: TitleKind, title_id: int) -> TitleDetails:
        self._check_open()
        try:
            return self._titles[kind, title_id]
        except KeyError:
            raise TitleNotFound(f"The film catalogue has no {kind} {title_id}.") from None

    def _page(self, found: list[Title], page: int) -> TitlePage:
        if page < 1:
            raise ValueError("pages count from 1")
        start = (page - 1) * self._page_size
        return TitlePage(
            page=page,
            total_pages=-(-len(found) // self._page_size),
            total_results=len(found),
            results=tuple(found[start : start + self._page_size]),
        )

    def _check_open(self) -> None:
        if self._closed:
            raise MetadataUnavailable("The film catalogue is closed.")


def _passes(details: TitleDetails, wanted: TitleFilter) -> bool:
    title, rating = details.title, details.title.rating or 0.0
    genres = {genre.casefold() for genre in details.genres}
    year = title.year if title.year is not None else -1
    return (
        title.kind is wanted.kind
        and (wanted.genre is None or wanted.genre.casefold() in genres)
        and (wanted.year_from is None or wanted.year_from <= year)
        and (wanted.year_to is None or 0 <= year <= wanted.year_to)
        and (wanted.min_rating is None or wanted.min_rating <= rating)
    )


def _words(text: str) -> list[str]:
    """Lower-case words without accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = (c for c in plain if not unicodedata.combining(c))
    return "".join(c if c.isalnum() else " " for c in kept).split()


def mock_catalogue() -> MixedCatalogue:
    """The canned titles, asked by ref; without pictures."""
    return MixedCatalogue({TMDB: NumberedCatalogue(MockMetadataProvider())})
