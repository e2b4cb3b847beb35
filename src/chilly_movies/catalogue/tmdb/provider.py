"""The film catalogue TMDB (The Movie Database), version 3 of its HTTP API.

Three layers, from above: this client, `cache`, which obeys what TMDB says about freshness, and
`origin`, which adds the key and refuses bad answers.
"""

from __future__ import annotations

import asyncio
from itertools import chain, zip_longest
from urllib.parse import quote

import httpx2

from chilly_movies.catalogue.ports import AnswerCache
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
from chilly_movies.catalogue.tmdb import parse
from chilly_movies.catalogue.tmdb.cache import CachedOrigin
from chilly_movies.catalogue.tmdb.origin import Credential, TmdbOrigin, decode
from chilly_movies.errors import MetadataNotConfigured, MetadataUnavailable
from chilly_movies.jobs.retry import CALL_POLICY, RetryPolicy, retry_call

_LONGEST_QUERY = 500
_SEARCH_YEAR = {TitleKind.MOVIE: "primary_release_year", TitleKind.TV: "first_air_date_year"}
_RELEASED = {TitleKind.MOVIE: "primary_release_date", TitleKind.TV: "first_air_date"}


class TmdbProvider:
    """Asks TMDB. Without a key and a token every method raises `MetadataNotConfigured`.

    Implements `ports.MetadataProvider` and `ports.Discovery`. Proxies named in the environment are
    not used; give a transport that uses one.

    Args:
        api_key: v3 key. TMDB takes it in the query only, so the token is the better choice.
        bearer_token: read access token; preferred when both are given.
        base_url: where the API is.
        image_base_url: where the pictures are.
        language: of names and overviews, like `en-US`.
        cache: keeps answers over restarts; closed with this. None = no cache.
        timeout: seconds one attempt may take from connecting to the last byte.
        retry: how often and how patiently failed requests are repeated.
        transport: what reaches the server; the default connects directly. Closed with this.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        bearer_token: str | None = None,
        base_url: str = "https://api.themoviedb.org/3",
        image_base_url: str = "https://image.tmdb.org/t/p/",
        language: str = "en-US",
        cache: AnswerCache | None = None,
        timeout: float = 10.0,
        retry: RetryPolicy = CALL_POLICY,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._images = image_base_url.rstrip("/") + "/"
        self._language = language
        self._timeout = timeout
        self._retry = retry
        credential = Credential((api_key or "").strip(), (bearer_token or "").strip())
        self._problem = credential.problem
        self._closed = False
        self._client: httpx2.AsyncClient | None = None
        if not self._problem:  # without a usable key nothing is ever sent, so nothing is built
            origin = TmdbOrigin(transport or httpx2.AsyncHTTPTransport(), credential)
            self._client = httpx2.AsyncClient(
                base_url=base_url,
                timeout=timeout,
                follow_redirects=False,
                headers={"accept": "application/json", "user-agent": "chilly-movies"},
                transport=origin if cache is None else CachedOrigin(origin, cache),
            )

    async def search(
        self, query: str, kind: TitleKind | None = None, *, year: int | None = None, page: int = 1
    ) -> TitlePage:
        """Titles that match the words; both kinds mixed if `kind` is None.

        `year` is that of the first release. TMDB's mixed search cannot filter by year, so that
        case asks for films and series in turn and takes one of each alternately; its pages are
        up to twice as long. In a mixed search `total_results` counts people, too.

        Raises:
            MetadataError: as the port says.
            ValueError: `page` is less than 1.
        """
        # Half a surrogate pair cannot be sent, and nothing has so long a name.
        words = query.encode("utf-8", "replace").decode("utf-8").strip()[:_LONGEST_QUERY]
        if not words:
            self._open_client()
            return TitlePage(page=page, total_pages=0, total_results=0)
        if kind is None and year is not None:
            films = await self._search(words, TitleKind.MOVIE, year, page)
            series = await self._search(words, TitleKind.TV, year, page)
            pairs = zip_longest(films.results, series.results)
            return TitlePage(
                page=films.page,
                total_pages=max(films.total_pages, series.total_pages),
                total_results=films.total_results + series.total_results,
                results=tuple(title for title in chain.from_iterable(pairs) if title is not None),
            )
        return await self._search(words, kind, year, page)

    async def details(self, kind: TitleKind, title_id: int) -> TitleDetails:
        """Everything about one title; its seasons come without episodes."""
        data = await self._get(
            f"{kind.value}/{title_id:d}",
            {"append_to_response": "credits,external_ids"},
            what=f"{kind.value} {title_id}",
        )
        return parse.parse_details(data, kind, self._images)

    async def season(self, title_id: int, number: int) -> Season:
        """One season of a series with its episodes."""
        data = await self._get(
            f"tv/{title_id:d}/season/{number:d}", {}, what=f"season {number} of series {title_id}"
        )
        return parse.parse_season(data, self._images)

    async def videos(self, kind: TitleKind, title_id: int) -> tuple[Video, ...]:
        """Trailers and clips, official trailers first; in the set language and in English."""
        languages = dict.fromkeys([self._language.split("-")[0], "en", "null"])
        data = await self._get(
            f"{kind.value}/{title_id:d}/videos",
            {"include_video_language": ",".join(languages)},
            what=f"{kind.value} {title_id}",
        )
        return parse.parse_videos(data)

    async def similar(self, kind: TitleKind, title_id: int, *, page: int = 1) -> TitlePage:
        """Titles like this one, by TMDB's own judgement."""
        path, what = f"{kind.value}/{title_id:d}/similar", f"{kind.value} {title_id}"
        return await self._get_page(path, {}, kind, page, what=what)

    async def popular(self, kind: TitleKind, *, page: int = 1) -> TitlePage:
        """What many look at just now, by TMDB's own judgement."""
        return await self._get_page(f"{kind.value}/popular", {}, kind, page)

    async def discover(self, wanted: TitleFilter, *, page: int = 1) -> TitlePage:
        """Titles that pass a filter, most looked at first; none of a genre that is not known."""
        kind, released = wanted.kind, _RELEASED[wanted.kind]
        params = {"sort_by": "popularity.desc", "include_adult": "false"}
        if wanted.genre is not None:
            numbers = await self._genres(kind)
            names = {name.casefold(): number for name, number in numbers.items()}
            if (number := names.get(wanted.genre.casefold())) is None:
                return TitlePage(page=page, total_pages=0, total_results=0)
            params["with_genres"] = str(number)
        if wanted.year_from is not None:
            params[f"{released}.gte"] = f"{wanted.year_from:04d}-01-01"
        if wanted.year_to is not None:
            params[f"{released}.lte"] = f"{wanted.year_to:04d}-12-31"
        if wanted.min_rating is not None:
            params |= {"vote_average.gte": f"{wanted.min_rating:g}", "vote_count.gte": "50"}
        return await self._get_page(f"discover/{kind.value}", params, kind, page)

    async def genres(self, kind: TitleKind) -> tuple[str, ...]:
        """The genres of films, or of series, in the set language."""
        return tuple(await self._genres(kind))

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The titles that IMDb or TVDB call so."""
        params = {"external_source": f"{external.source}_id"}
        data = await self._get(f"find/{quote(external.id, safe='')}", params)
        return parse.parse_found(data, self._images)

    async def aclose(self) -> None:
        """Close connections and the cache. Idempotent."""
        self._closed = True
        if self._client is not None:
            await self._client.aclose()

    async def _genres(self, kind: TitleKind) -> dict[str, int]:
        return parse.parse_genres(await self._get(f"genre/{kind.value}/list", {}))

    async def _search(
        self, words: str, kind: TitleKind | None, year: int | None, page: int
    ) -> TitlePage:
        params = {"query": words, "include_adult": "false"}
        if kind is not None and year is not None:
            params[_SEARCH_YEAR[kind]] = str(year)
        path = f"search/{kind.value}" if kind is not None else "search/multi"
        return await self._get_page(path, params, kind, page)

    async def _get_page(
        self,
        path: str,
        params: dict[str, str],
        kind: TitleKind | None,
        page: int,
        *,
        what: str | None = None,
    ) -> TitlePage:
        if page < 1:
            raise ValueError("pages count from 1")
        asked = min(page, parse.LAST_PAGE)
        data = await self._get(path, params | {"page": str(asked)}, what=what)
        found = parse.parse_page(data, kind, self._images)
        # Beyond its last page TMDB answers with an error; here it is just an empty page.
        results = found.results if page == asked else ()
        return TitlePage(page, found.total_pages, found.total_results, results)

    async def _get(
        self, path: str, params: dict[str, str], *, what: str | None = None
    ) -> dict[str, object]:
        """The JSON object at a path, after as many attempts as it takes.

        Args:
            path: below the base URL.
            params: the query, without language and key.
            what: names the title asked for; None if a 404 does not mean that there is none.
        """
        client = self._open_client()
        query = params | {"language": self._language}

        async def attempt() -> dict[str, object]:
            try:
                # The client's own timeout starts anew with each byte that trickles in.
                async with asyncio.timeout(self._timeout):
                    response = await client.get(path, params=query, extensions={"what": what})
            except (TimeoutError, httpx2.TimeoutException):
                problem = "The film catalogue did not answer in time."
            except httpx2.HTTPError as error:
                problem = f"The film catalogue cannot be reached ({type(error).__name__})."
            else:
                return decode(response.content)
            # Raised outside the handlers, so that no foreign error with its request hangs on it.
            raise MetadataUnavailable(problem)

        return await retry_call(attempt, policy=self._retry)

    def _open_client(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise MetadataNotConfigured(self._problem)
        if self._closed:
            raise MetadataUnavailable("The film catalogue is closed.")
        return self._client
