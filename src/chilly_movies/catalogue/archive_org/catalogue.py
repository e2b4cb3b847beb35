"""Asks the Internet Archive for films: search, facts, pictures. No key is needed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from chilly_movies.catalogue.archive_org.item import (
    ARCHIVE,
    IDENTIFIER,
    LAST_PAGE,
    ArchiveItem,
    parse_item,
    parse_page,
)
from chilly_movies.catalogue.pictures import LARGEST, fetch_picture
from chilly_movies.catalogue.ports import AnswerCache, Fetch, KeptAnswer, Picture
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
from chilly_movies.errors import (
    ChillyError,
    MetadataUnavailable,
    SourceNotFound,
    StoreError,
    TitleNotFound,
)

logger = logging.getLogger(__name__)

_LONGEST_QUERY: Final = 200
_NO_QUOTES: Final = str.maketrans('"\\', "  ")
_LARGEST_ANSWER: Final = 8 * 1024 * 1024
_PATIENCE: Final = 15.0
"""Seconds until an answer must be there."""
_FRESH: Final = 6 * 3600.0
"""Seconds for which an answer is not asked for again; the Archive says nothing of that itself."""
_FIELDS: Final = (
    "identifier", "title", "year", "date", "description", "collection", "language", "avg_rating",
    "num_reviews",
)  # fmt: skip
_FILMS: Final = (
    "feature_films", "silent_films", "short_films", "film_noir", "scifi_horror", "comedy_films",
    "animationandcartoons", "prelinger",
)  # fmt: skip
_SERIES: Final = ("classic_tv",)
_GENRES: Final = {
    TitleKind.MOVIE: (
        "Action", "Adventure", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
        "Film Noir", "Horror", "Musical", "Mystery", "Romance", "Science Fiction", "Silent",
        "Thriller", "War", "Western",
    ),
    TitleKind.TV: ("Comedy", "Crime", "Drama", "Mystery", "Science Fiction", "Western"),
}  # fmt: skip
"""Subjects that many items have; the Archive has no list of its own."""


class ArchiveCatalogue:
    """Implements `ports.BrowsableCatalogue` with the films of the Internet Archive.

    Only collections of films and series are searched. An answer is kept; while the Archive does not
    answer, the kept one is given, however old.

    Args:
        fetch: how it is asked.
        base_url: where it is.
        cache: keeps answers over restarts; closed with this. None = nothing is kept.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        base_url: str = "https://archive.org",
        cache: AnswerCache | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._fetch = fetch
        self._cache = cache
        self._clock = clock

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Items whose title has all the words, those that are fetched most first."""
        if (words := _phrase(query)) is None:
            return TitlePage(page=page, total_pages=0, total_results=0)
        years = (year, year) if year is not None else None
        return await self._found(kind, [f"title:({words})"], years, page)

    async def details(self, ref: TitleRef) -> TitleDetails:
        """Everything about one item."""
        return (await self.item(ref)).details

    async def season(self, ref: TitleRef, number: int) -> Season:
        """No item has seasons."""
        raise TitleNotFound(f"The Internet Archive has no season {number} of '{ref}'.")

    async def picture(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """Of an item its image, or a frame of its film; in the one size that there is."""
        identifier = self._read(ref)
        if which is Picture.POSTER:
            url = f"{self.base_url}/services/img/{quote(identifier)}"
            return await fetch_picture(self._fetch, url, limit=LARGEST)
        frames = [file.name for file in (await self.item(ref)).files if file.format == "Thumbnail"]
        if not frames:
            return None
        url = self.address_of(identifier, sorted(frames)[len(frames) // 2])
        return await fetch_picture(self._fetch, url, limit=LARGEST)

    async def popular(self, kind: TitleKind, *, page: int = 1) -> TitlePage:
        """What was fetched most in the last week."""
        return await self._found(kind, [], None, page, sort="week desc")

    async def discover(self, wanted: TitleFilter, *, page: int = 1) -> TitlePage:
        """Items that pass a filter, those that are fetched most first."""
        terms, years = [], None
        if wanted.genre is not None and (words := _phrase(wanted.genre)) is not None:
            terms.append(f"subject:({words})")
        if wanted.year_from is not None or wanted.year_to is not None:
            years = (wanted.year_from or 1800, wanted.year_to or 2200)
        if wanted.min_rating is not None:
            terms.append(f"avg_rating:[{wanted.min_rating / 2:g} TO 5]")
        return await self._found(wanted.kind, terms, years, page)

    async def genres(self, kind: TitleKind) -> tuple[str, ...]:
        """Subjects that many items have."""
        return _GENRES[kind]

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The items that say that another catalogue calls them so."""
        if not external.id.isascii() or not external.id.isalnum():
            return ()
        term = f'external-identifier:"urn:{external.source}:{external.id}"'
        return (await self._found(None, [term], None, 1)).results

    async def item(self, ref: TitleRef) -> ArchiveItem:
        """An item with its files.

        Raises:
            TitleNotFound: there is none of films that is called so.
            MetadataUnavailable: the Archive does not answer.
        """
        identifier = self._read(ref)
        item = parse_item(await self._get(f"{self.base_url}/metadata/{quote(identifier)}"))
        if item is None:
            raise TitleNotFound(f"The Internet Archive has no film '{identifier}'.")
        return item

    def address_of(self, identifier: str, name: str) -> str:
        """Where a file of an item is."""
        return f"{self.base_url}/download/{quote(identifier)}/{quote(name)}"

    async def aclose(self) -> None:
        """Closes the cache. Idempotent."""
        if self._cache is not None:
            await self._cache.aclose()

    def _read(self, ref: TitleRef) -> str:
        if ref.provider != ARCHIVE or not re.fullmatch(IDENTIFIER, ref.id):
            raise TitleNotFound(f"The Internet Archive has no '{ref}'.")
        return ref.id

    async def _found(
        self,
        kind: TitleKind | None,
        terms: list[str],
        years: tuple[int, int] | None,
        page: int,
        sort: str = "downloads desc",
    ) -> TitlePage:
        """One page of the search that all these say (Lucene's syntax)."""
        if page < 1:
            raise ValueError("pages count from 1")
        if page > LAST_PAGE:
            return TitlePage(page=page, total_pages=LAST_PAGE, total_results=0)
        where = {TitleKind.MOVIE: _FILMS, TitleKind.TV: _SERIES, None: (*_FILMS, *_SERIES)}[kind]
        span = [f"year:[{years[0]:04d} TO {years[1]:04d}]"] if years else []
        usual = ["mediatype:movies", f"collection:({' OR '.join(where)})"]
        query = " AND ".join([*usual, "-access-restricted-item:true", *span, *terms])
        asked = [("q", query), *(("fl[]", name) for name in _FIELDS), ("sort[]", sort)]
        asked += [("rows", "20"), ("page", str(page)), ("output", "json")]
        data = await self._get(f"{self.base_url}/advancedsearch.php?{urlencode(asked)}")
        return parse_page(data, page)

    async def _get(self, url: str) -> Mapping[str, object]:
        """The JSON at an address: kept, if that is fresh or there is no other.

        Raises:
            MetadataUnavailable: there is none.
        """
        kept = await self._kept(url)
        if kept is not None and 0 < kept.until - self._clock() <= _FRESH:
            return _decoded(kept.body)
        try:
            body = await self._asked(url)
            data = _decoded(body)
        except MetadataUnavailable:
            if kept is None:
                raise
            return _decoded(kept.body)
        if self._cache is not None:
            with contextlib.suppress(StoreError):  # it only costs that it is asked for again
                await self._cache.put(url, KeptAnswer(body, self._clock() + _FRESH, None))
        return data

    async def _kept(self, url: str) -> KeptAnswer | None:
        try:
            return None if self._cache is None else await self._cache.get(url)
        except StoreError as error:
            logger.warning("the film catalogue's cache failed: %s", error)
            return None

    async def _asked(self, url: str) -> bytes:
        headers = {"Accept": "application/json"}
        why = "does not answer in time"
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await self._fetch(url, limit=_LARGEST_ANSWER, what="facts", headers=headers)
        except TimeoutError:
            pass
        except SourceNotFound:
            why = "does not know what is asked for"
        except ChillyError as error:
            why = f"cannot be asked: {error}"
        else:
            if isinstance(body, bytes):
                return body
        raise MetadataUnavailable(f"The Internet Archive {why.removesuffix('.')}.")


def _phrase(text: str) -> str | None:
    """All words of a text in Lucene's syntax, None if there is none.

    In quotes only the quote and the backslash mean anything.
    """
    plain = text.encode("utf-8", "replace").decode()[:_LONGEST_QUERY].translate(_NO_QUOTES)
    words = [word for word in plain.split() if any(map(str.isalnum, word))]
    return " AND ".join(f'"{word}"' for word in words) or None


def _decoded(body: bytes) -> Mapping[str, object]:
    """The JSON object in a body.

    Raises:
        MetadataUnavailable: it is none.
    """
    data: object = None
    # Raised below, outside a handler: the parser's own error would carry the whole body along.
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(body)
    if not isinstance(data, dict):
        raise MetadataUnavailable("The Internet Archive's answer cannot be read.")
    return data
