"""A catalogue that calls its titles by kind and number, such as TMDB, asked by ref."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

from chilly_movies.catalogue.pictures import LARGEST, fetch_picture
from chilly_movies.catalogue.ports import Discovery, Fetch, MetadataProvider, Picture
from chilly_movies.catalogue.titles import (
    ExternalId,
    Season,
    Title,
    TitleDetails,
    TitleFilter,
    TitleKind,
    TitlePage,
    TitleRef,
)
from chilly_movies.errors import TitleNotFound

TMDB: Final = "tmdb"
TMDB_NOTICE: Final = (
    "This product uses the TMDB API but is not endorsed or certified by TMDB (themoviedb.org)."
)
"""What TMDB asks for wherever its facts and pictures are shown."""

_ID: Final = re.compile(
    r"(?P<kind>movie|tv):(?P<number>[1-9]\d{0,9})(?::(?P<season>\d{1,5})(?::(?P<episode>\d{1,5}))?)?",
    re.ASCII,
)
_SIZED: Final = re.compile(r"(.*)/w\d+(/[^/]+)", re.ASCII)
_MOST_SEEN: Final = 2000
"""Titles whose pictures are known without asking."""
_WIDTHS: Final = {
    Picture.POSTER: (92, 154, 185, 342, 500, 780),
    Picture.BACKDROP: (300, 780, 1280),
    Picture.STILL: (92, 185, 300),
}
"""The widths that TMDB has pictures in; wider ones may be of any size, and are not asked for."""


class NumberedProvider(MetadataProvider, Discovery, Protocol):
    """Knows titles by kind and number, and shows what there is."""


class NumberedCatalogue:
    """Implements `ports.BrowsableCatalogue` over a provider that is asked by number.

    Args:
        provider: what is asked; closed with this.
        fetch: how pictures are fetched, None = none are.
        name: what refs of its titles begin with.
        notice: what it wants to be said where its facts are shown.
    """

    def __init__(
        self,
        provider: NumberedProvider,
        fetch: Fetch | None = None,
        *,
        name: str = TMDB,
        notice: str = TMDB_NOTICE,
    ) -> None:
        self._provider = provider
        self._fetch = fetch
        self._name = name
        self._notice = notice
        self._seen: dict[tuple[TitleKind, int], Title] = {}

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles that match the words, best first."""
        return self._referred(await self._provider.search(query, kind, year=year, page=page))

    async def details(self, ref: TitleRef) -> TitleDetails:
        """Everything about one title."""
        kind, number, *_ = self._read(ref)
        found = await self._provider.details(kind, number)
        return replace(found, title=self._with_ref(found.title), notice=self._notice)

    async def season(self, ref: TitleRef, number: int) -> Season:
        """One season of a series with its episodes."""
        kind, series, *_ = self._read(ref)
        if kind is not TitleKind.TV:
            raise TitleNotFound(f"'{ref}' is a film, and has no seasons.")
        return await self._provider.season(series, number)

    async def picture(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """A picture in the smallest size that is wide enough, else the widest there is."""
        if self._fetch is None or (url := await self._address(ref, which)) is None:
            return None
        size = min((w for w in _WIDTHS[which] if w >= width), default=_WIDTHS[which][-1])
        sized = _SIZED.fullmatch(url)
        wanted = f"{sized[1]}/w{size}{sized[2]}" if sized else url
        return await fetch_picture(self._fetch, wanted, limit=LARGEST)

    async def popular(self, kind: TitleKind, *, page: int = 1) -> TitlePage:
        """What many like at present, most liked first."""
        return self._referred(await self._provider.popular(kind, page=page))

    async def discover(self, wanted: TitleFilter, *, page: int = 1) -> TitlePage:
        """Titles that pass a filter, most liked first."""
        return self._referred(await self._provider.discover(wanted, page=page))

    async def genres(self, kind: TitleKind) -> tuple[str, ...]:
        """The genres that a filter may name."""
        return await self._provider.genres(kind)

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The titles that another catalogue calls so."""
        return tuple(map(self._with_ref, await self._provider.find(external)))

    async def aclose(self) -> None:
        """Closes the provider. Idempotent."""
        await self._provider.aclose()

    async def _address(self, ref: TitleRef, which: Picture) -> str | None:
        kind, number, season, episode = self._read(ref)
        if season is not None and kind is TitleKind.TV:
            found = await self._provider.season(number, season)
            if episode is None:
                return found.poster
            return next((one.still for one in found.episodes if one.number == episode), None)
        # the pictures of a page are asked for one by one, and must not cost its titles' facts each
        title = self._seen.get((kind, number))
        if title is None:
            title = (await self._provider.details(kind, number)).title
        return title.poster if which is Picture.POSTER else title.backdrop

    def _read(self, ref: TitleRef) -> tuple[TitleKind, int, int | None, int | None]:
        """The kind, the number, the season and the episode."""
        found = _ID.fullmatch(ref.id)
        if ref.provider != self._name or found is None:
            raise TitleNotFound(f"The film catalogue has no '{ref}'.")
        parts = (found["season"], found["episode"])
        season, episode = (None if part is None else int(part) for part in parts)
        return TitleKind(found["kind"]), int(found["number"]), season, episode

    def _with_ref(self, title: Title) -> Title:
        self._seen[title.kind, title.id] = title
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return replace(title, ref=TitleRef(self._name, f"{title.kind.value}:{title.id}"))

    def _referred(self, page: TitlePage) -> TitlePage:
        titles: Sequence[Title] = page.results
        return replace(page, results=tuple(map(self._with_ref, titles)))
