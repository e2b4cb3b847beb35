"""What is known of films and series. All values are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class TitleKind(StrEnum):
    """What a metadata provider tells apart."""

    MOVIE = "movie"
    TV = "tv"


@dataclass(frozen=True, slots=True)
class Title:
    """A film or series as a search finds it.

    Attributes:
        id: the provider's number for it, unique within its kind.
        year: of the first release, None if unknown.
        rating: 0-10, None if nobody voted.
        poster: absolute URL of an image, None if there is none.
    """

    id: int
    kind: TitleKind
    name: str
    year: int | None = None
    overview: str = ""
    language: str | None = None
    rating: float | None = None
    votes: int = 0
    poster: str | None = None
    backdrop: str | None = None


@dataclass(frozen=True, slots=True)
class TitlePage:
    """One page of search results; pages count from 1."""

    page: int
    total_pages: int
    total_results: int
    results: tuple[Title, ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of a season."""

    number: int
    name: str
    overview: str = ""
    air_date: str | None = None
    runtime: int | None = None


@dataclass(frozen=True, slots=True)
class Season:
    """One season of a series; season 0 holds the specials. `episodes` is filled by `season()`."""

    number: int
    name: str
    overview: str = ""
    air_date: str | None = None
    episode_count: int = 0
    episodes: tuple[Episode, ...] = ()


@dataclass(frozen=True, slots=True)
class Video:
    """A trailer, teaser or clip. `url` is absolute and opens at the site that holds it."""

    name: str
    site: str
    type: str
    url: str | None
    official: bool = False
    language: str | None = None


@dataclass(frozen=True, slots=True)
class TitleDetails:
    """Everything a page about one title shows.

    Attributes:
        runtime: minutes, None if unknown.
        external_ids: `imdb`, `tvdb` and so on, to the other catalogue's id.
    """

    title: Title
    original_name: str = ""
    tagline: str = ""
    runtime: int | None = None
    genres: tuple[str, ...] = ()
    released: str | None = None
    cast: tuple[str, ...] = ()
    directors: tuple[str, ...] = ()
    seasons: tuple[Season, ...] = ()
    external_ids: Mapping[str, str] = field(default_factory=dict)
