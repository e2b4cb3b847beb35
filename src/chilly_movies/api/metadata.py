"""Routes that say what film something is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.problems import documented
from chilly_movies.api.schemas import Wire, to_json
from chilly_movies.ports import MetadataProvider
from chilly_movies.titles import (
    Season,
    Title,
    TitleDetails,
    TitleKind,
    TitlePage,
    Video,
)

router = APIRouter(prefix="/metadata", tags=["metadata"])

TitleId = Annotated[int, Path(ge=1, le=2**31 - 1, description="The catalogue's number.")]
PageNumber = Annotated[int, Query(ge=1, le=500)]


class TitleOut(Wire):
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


class TitlePageOut(Wire):
    """One page of titles."""

    page: int
    total_pages: int
    total_results: int
    results: list[TitleOut]


class EpisodeOut(Wire):
    """One episode."""

    number: int
    name: str
    overview: str
    air_date: str | None
    runtime: int | None


class SeasonOut(Wire):
    """One season."""

    number: int
    name: str
    overview: str
    air_date: str | None
    episode_count: int
    episodes: list[EpisodeOut]


class VideoOut(Wire):
    """A trailer or clip."""

    name: str
    site: str
    type: str
    url: str | None
    official: bool
    language: str | None


class VideosOut(Wire):
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


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")


def _page(found: TitlePage) -> Response:
    out = TitlePageOut(
        page=found.page,
        total_pages=found.total_pages,
        total_results=found.total_results,
        results=[TitleOut(**_title(title)) for title in found.results],
    )
    return _json(out.model_dump(mode="json", by_alias=True))


def _title(title: Title) -> dict[str, Any]:
    return {name: getattr(title, name) for name in TitleOut.model_fields}


def _season(season: Season) -> SeasonOut:
    fields = {name: getattr(season, name) for name in SeasonOut.model_fields if name != "episodes"}
    episodes = [
        EpisodeOut(**{name: getattr(episode, name) for name in EpisodeOut.model_fields})
        for episode in season.episodes
    ]
    return SeasonOut(**fields, episodes=episodes)


def _details(details: TitleDetails) -> TitleDetailsOut:
    return TitleDetailsOut(
        **_title(details.title),
        original_name=details.original_name,
        tagline=details.tagline,
        runtime=details.runtime,
        genres=list(details.genres),
        released=details.released,
        cast=list(details.cast),
        directors=list(details.directors),
        seasons=[_season(season) for season in details.seasons],
        external_ids=dict(details.external_ids),
    )


def _video(video: Video) -> VideoOut:
    return VideoOut(**{name: getattr(video, name) for name in VideoOut.model_fields})


@router.get("/search", response_model=TitlePageOut, responses=documented(422))
@Policy(KeyScope.READ)
async def search(
    request: Request,
    query: Annotated[str, Query(min_length=1, max_length=200, description="Words of the name.")],
    kind: Annotated[TitleKind | None, Query(description="Absent: both.")] = None,
    year: Annotated[int | None, Query(ge=1870, le=2200)] = None,
    page: PageNumber = 1,
) -> Response:
    """Titles that match the words."""
    return _page(await _provider(request).search(query, kind, year=year, page=page))


@router.get("/{kind}/{id}", response_model=TitleDetailsOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def details(request: Request, kind: TitleKind, id: TitleId) -> Response:  # noqa: A002
    """Everything about one title."""
    found = _details(await _provider(request).details(kind, id))
    return _json(found.model_dump(mode="json", by_alias=True))


@router.get("/tv/{id}/season/{number}", response_model=SeasonOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def season(
    request: Request,
    id: TitleId,  # noqa: A002 (the contract's name)
    number: Annotated[int, Path(ge=0, le=10_000, description="0 holds the specials.")],
) -> Response:
    """One season with its episodes."""
    found = _season(await _provider(request).season(id, number))
    return _json(found.model_dump(mode="json", by_alias=True))


@router.get("/{kind}/{id}/videos", response_model=VideosOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def videos(request: Request, kind: TitleKind, id: TitleId) -> Response:  # noqa: A002
    """Trailers and clips, official trailers first."""
    found = await _provider(request).videos(kind, id)
    out = VideosOut(results=[_video(video) for video in found])
    return _json(out.model_dump(mode="json", by_alias=True))


@router.get("/{kind}/{id}/similar", response_model=TitlePageOut, responses=documented(404, 422))
@Policy(KeyScope.READ)
async def similar(
    request: Request,
    kind: TitleKind,
    id: TitleId,  # noqa: A002 (the contract's name)
    page: PageNumber = 1,
) -> Response:
    """Titles like this one."""
    return _page(await _provider(request).similar(kind, id, page=page))
