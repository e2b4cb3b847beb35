"""Routes that show films of the catalogues by their ref, and their pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from pydantic import Field

from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.routes.metadata import EpisodeOut, PageNumber, SeasonOut
from chilly_movies.api.routes.watching import link_to
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import Shown, answer
from chilly_movies.catalogue.mixed import MixedCatalogue
from chilly_movies.catalogue.neutral import neutral_picture
from chilly_movies.catalogue.pictures import media_type_of
from chilly_movies.catalogue.ports import Picture
from chilly_movies.catalogue.titles import (
    ExternalId,
    Title,
    TitleFilter,
    TitleKind,
    TitlePage,
    TitleRef,
)
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.downloader import Downloader

router = part_of_contract("catalogue")

_REF = r"^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9][A-Za-z0-9._:\-]{0,254}$"
Ref = Annotated[
    str,
    Path(
        pattern=_REF,
        description="What a catalogue calls the title: tmdb:movie:603, archive:<identifier>.",
        examples=["tmdb:movie:19"],
    ),
]
Provider = Annotated[
    str | None,
    Query(
        pattern="^[a-z][a-z0-9_]{0,31}$",
        description="Which catalogue: tmdb or archive; absent: TMDB with a key, else the Internet "
        "Archive.",
    ),
]
Kind = Annotated[TitleKind, Query(description="Films or series.")]
Year = Annotated[int | None, Query(ge=1870, le=2200)]

_KEPT = "private, max-age=86400"
_SOON = "private, max-age=60"
"""For how long a neutral picture stays: the true one may be there again soon."""


class CatalogueTitleOut(Shown):
    """A film or series as a catalogue lists it."""

    ref: str = Field(description="What /titles and /artwork want.")
    kind: TitleKind
    name: str
    year: int | None
    overview: str
    language: str | None
    rating: float | None = Field(description="0-10; null: nobody voted.")
    votes: int
    poster: str = Field(description="Path and query of a picture; signed if there are keys.")
    backdrop: str = Field(description="The same of a wide one.")


class CataloguePageOut(Shown):
    """One page of titles of a catalogue."""

    page: int
    total_pages: int
    total_results: int
    results: list[CatalogueTitleOut]


class FoundTitlesOut(Shown):
    """What another catalogue's id stands for."""

    results: list[CatalogueTitleOut]


class GenresOut(Shown):
    """The genres that a filter may name."""

    genres: list[str]


class StillEpisodeOut(EpisodeOut):
    """One episode with a picture."""

    still: str = Field(description="Path and query of a picture; signed if there are keys.")


class StillSeasonOut(SeasonOut):
    """One season with a picture."""

    poster: str = Field(description="Path and query of a picture; signed if there are keys.")
    episodes: list[StillEpisodeOut]  # type: ignore[assignment]


class CatalogueDetailsOut(CatalogueTitleOut):
    """Everything a page about one title shows."""

    original_name: str
    tagline: str
    runtime: int | None = Field(description="Minutes.")
    genres: list[str]
    released: str | None
    cast: list[str]
    roles: list[str] = Field(description="The part of each of cast; empty: not known.")
    directors: list[str]
    seasons: list[StillSeasonOut]
    external_ids: dict[str, str]
    notice: str = Field(description="What the catalogue wants to be said beside its facts.")


def _catalogue(request: Request) -> MixedCatalogue:
    found: MixedCatalogue = request.app.state.catalogue
    return found


@router.get("/catalogue/search", response_model=CataloguePageOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def search_catalogue(
    request: Request,
    query: Annotated[
        str,
        Query(min_length=1, max_length=200, description="Words of the name.", examples=["night"]),
    ],
    kind: Annotated[TitleKind | None, Query(description="Absent: both.")] = None,
    year: Year = None,
    page: PageNumber = 1,
    provider: Provider = None,
) -> Response:
    """Titles of a catalogue that match the words."""
    catalogue = _catalogue(request).of(provider)
    return _page(request, await catalogue.search(query, kind, year=year, page=page))


@router.get("/catalogue/popular", response_model=CataloguePageOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_popular_titles(
    request: Request,
    kind: Kind = TitleKind.MOVIE,
    page: PageNumber = 1,
    provider: Provider = None,
) -> Response:
    """What many like at present."""
    return _page(request, await _catalogue(request).of(provider).popular(kind, page=page))


@router.get("/catalogue/discover", response_model=CataloguePageOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_discovered_titles(
    request: Request,
    kind: Kind = TitleKind.MOVIE,
    genre: Annotated[
        str | None,
        Query(min_length=1, max_length=100, description="One of /catalogue/genres."),
    ] = None,
    year_from: Annotated[int | None, Query(alias="yearFrom", ge=1870, le=2200)] = None,
    year_to: Annotated[int | None, Query(alias="yearTo", ge=1870, le=2200)] = None,
    min_rating: Annotated[float | None, Query(alias="minRating", ge=0, le=10)] = None,
    page: PageNumber = 1,
    provider: Provider = None,
) -> Response:
    """Titles that pass a filter, those that many like first."""
    wanted = TitleFilter(kind, genre, year_from, year_to, min_rating)
    return _page(request, await _catalogue(request).of(provider).discover(wanted, page=page))


@router.get("/catalogue/genres", response_model=GenresOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_genres(
    request: Request, kind: Kind = TitleKind.MOVIE, provider: Provider = None
) -> Response:
    """The genres that `/catalogue/discover` takes."""
    return answer(GenresOut(genres=list(await _catalogue(request).of(provider).genres(kind))))


@router.get("/catalogue/find", response_model=FoundTitlesOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def search_titles_by_id(
    request: Request,
    source: Annotated[
        Literal["imdb", "tvdb"], Query(description="Whose id it is.", examples=["imdb"])
    ],
    external: Annotated[
        str,
        Query(
            alias="id",
            pattern="^[A-Za-z0-9]{1,20}$",
            description="What it calls the title.",
            examples=["tt0017136"],
        ),
    ],
    provider: Provider = None,
) -> Response:
    """The titles that another catalogue calls so; usually one or none."""
    found = await _catalogue(request).of(provider).find(ExternalId(source, external))
    return answer(FoundTitlesOut(results=[_title(request, title) for title in found]))


@router.get("/titles/{ref}", response_model=CatalogueDetailsOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def get_title_by_ref(request: Request, ref: Ref) -> Response:
    """Everything about one title."""
    told = TitleRef.read(ref)
    found = asdict(details := await _catalogue(request).details(told))
    found["seasons"] = [
        {**season, **_season_picture(request, told, season["number"]), "episodes": []}
        for season in found.pop("seasons")
    ]
    found |= _title(request, details.title, told).model_dump()
    return answer(CatalogueDetailsOut.model_validate(found))


@router.get(
    "/titles/{ref}/season/{number}",
    response_model=StillSeasonOut,
    responses=documented(404, 422),
)
@Policy(KeyScope.READ)
async def get_season_by_ref(
    request: Request,
    ref: Annotated[str, Path(pattern=_REF, description="Of a series.", examples=["tmdb:tv:1954"])],
    number: Annotated[int, Path(ge=0, le=10_000, description="0: the specials.", examples=[1])],
) -> Response:
    """One season with its episodes."""
    told = TitleRef.read(ref)
    season = asdict(await _catalogue(request).season(told, number))
    season |= _season_picture(request, told, number)
    for episode in season["episodes"]:
        path = f"/artwork/{told}:{number}:{episode['number']}/{Picture.STILL.value}"
        episode["still"] = link_to(request, path)
    return answer(StillSeasonOut.model_validate(season))


@router.get(
    "/artwork/{ref}/{picture}",
    responses={
        **documented(422),
        200: {
            "description": "A picture: that of the title, or a neutral one.",
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("image/jpeg", "image/png", "image/webp")
            },
        },
    },
    response_class=Response,
)
@Policy(KeyScope.READ, signable=True, embeddable=True)
async def get_artwork(
    request: Request,
    ref: Ref,
    picture: Picture,
    width: Annotated[
        int, Query(ge=1, le=4000, description="Points; it comes about so wide, or as it is.")
    ] = 500,
) -> Response:
    """A picture of a title; a neutral one if there is none or it cannot be had.

    Of a series the ref may go on with a season and an episode: `tmdb:tv:1396:1:2`.
    """
    try:
        body = await _catalogue(request).picture(TitleRef.read(ref), picture, width)
    except ChillyError:  # a page must not show a broken picture because a catalogue is away
        body = None
    kind = media_type_of(body) if body is not None else None
    if body is None or kind is None:
        neutral, headers = neutral_picture(picture), {"Cache-Control": _SOON}
        return Response(neutral, media_type="image/png", headers=headers)
    return Response(body, media_type=kind, headers={"Cache-Control": _KEPT})


def _page(request: Request, found: TitlePage) -> Response:
    results = [_title(request, title) for title in found.results]
    return answer(CataloguePageOut.model_validate({**asdict(found), "results": results}))


def _title(request: Request, title: Title, ref: TitleRef | None = None) -> CatalogueTitleOut:
    """A title with its pictures at addresses of ours."""
    told = title.ref or ref
    pictures = {
        which.value: link_to(request, f"/artwork/{told}/{which.value}")
        for which in (Picture.POSTER, Picture.BACKDROP)
    }
    return CatalogueTitleOut.model_validate({**asdict(title), "ref": str(told), **pictures})


def _season_picture(request: Request, ref: TitleRef, number: int) -> dict[str, Any]:
    return {"poster": link_to(request, f"/artwork/{ref}:{number}/{Picture.POSTER.value}")}


async def _close(catalogue: MixedCatalogue) -> None:
    await catalogue.aclose()


def _make(given: MixedCatalogue | None, jobs: Downloader, _facts: object) -> MixedCatalogue:
    """Takes the catalogue, whose names of films can be started from now on."""
    catalogue = given or MixedCatalogue({})
    jobs.sources.names.update(catalogue.names)
    return catalogue


TOPIC = Topic("catalogue", router, _make, _close)
