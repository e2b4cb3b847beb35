"""Routes that say what film something is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Path, Query, Request, Response
from pydantic import Field

from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import Shown, answer
from chilly_movies.catalogue.ports import MetadataProvider
from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.catalogue.tmdb.provider import TmdbProvider

router = part_of_contract("metadata", "/metadata")

_Number = Annotated[int, Field(ge=1, le=2**31 - 1, description="The catalogue's number.")]
TitleId = Annotated[_Number, Path(examples=[10331])]
SeriesId = Annotated[_Number, Path(examples=[1954])]
PageNumber = Annotated[int, Query(ge=1, le=500)]


class TitleOut(Shown):
    """A film or series as a search finds it."""

    id: int
    kind: TitleKind
    name: str
    year: int | None
    overview: str
    language: str | None
    rating: float | None
    votes: int
    poster: str | None
    backdrop: str | None


class TitlePageOut(Shown):
    """One page of titles."""

    page: int
    total_pages: int
    total_results: int
    results: list[TitleOut]


class EpisodeOut(Shown):
    """One episode."""

    number: int
    name: str
    overview: str
    air_date: str | None
    runtime: int | None


class SeasonOut(Shown):
    """One season."""

    number: int
    name: str
    overview: str
    air_date: str | None
    episode_count: int
    episodes: list[EpisodeOut]


class VideoOut(Shown):
    """A trailer or clip."""

    name: str
    site: str
    type: str
    url: str | None
    official: bool
    language: str | None


class VideosOut(Shown):
    """Trailers and clips of a title."""

    results: list[VideoOut]


class TitleDetailsOut(TitleOut):
    """Everything a page about one title shows."""

    original_name: str
    tagline: str
    runtime: int | None
    genres: list[str]
    released: str | None
    cast: list[str]
    directors: list[str]
    seasons: list[SeasonOut]
    external_ids: dict[str, str]


def _provider(request: Request) -> MetadataProvider:
    found: MetadataProvider = request.app.state.metadata
    return found


@router.get("/search", response_model=TitlePageOut, responses=documented(422))
@Policy(KeyScope.READ)
async def search_titles(
    request: Request,
    query: Annotated[
        str,
        Query(min_length=1, max_length=200, description="Words of the name.", examples=["night"]),
    ],
    kind: Annotated[TitleKind | None, Query(description="Absent: both.")] = None,
    year: Annotated[int | None, Query(ge=1870, le=2200)] = None,
    page: PageNumber = 1,
) -> Response:
    """Titles that match the words."""
    found = await _provider(request).search(query, kind, year=year, page=page)
    return answer(TitlePageOut.model_validate(found))


@router.get("/{kind}/{id}", response_model=TitleDetailsOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def get_title(request: Request, kind: TitleKind, id: TitleId) -> Response:  # noqa: A002
    """Everything about one title."""
    found = asdict(await _provider(request).details(kind, id))
    return answer(TitleDetailsOut.model_validate({**found.pop("title"), **found}))


@router.get("/tv/{id}/season/{number}", response_model=SeasonOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def get_season(
    request: Request,
    id: SeriesId,  # noqa: A002 (the contract's name)
    number: Annotated[int, Path(ge=0, le=10_000, description="0: the specials.", examples=[1])],
) -> Response:
    """One season with its episodes."""
    return answer(SeasonOut.model_validate(await _provider(request).season(id, number)))


@router.get("/{kind}/{id}/videos", response_model=VideosOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_videos(request: Request, kind: TitleKind, id: TitleId) -> Response:  # noqa: A002
    """Trailers and clips, official trailers first."""
    found = await _provider(request).videos(kind, id)
    return answer(VideosOut(results=[VideoOut.model_validate(video) for video in found]))


@router.get("/{kind}/{id}/similar", response_model=TitlePageOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def list_similar_titles(
    request: Request,
    kind: TitleKind,
    id: TitleId,  # noqa: A002 (the contract's name)
    page: PageNumber = 1,
) -> Response:
    """Titles like this one."""
    found = await _provider(request).similar(kind, id, page=page)
    return answer(TitlePageOut.model_validate(found))


async def _close(provider: MetadataProvider) -> None:
    await provider.aclose()


TOPIC = Topic("metadata", router, lambda given, _jobs, _facts: given or TmdbProvider(), _close)
