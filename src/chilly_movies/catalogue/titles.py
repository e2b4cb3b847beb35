"""What is known of films and series. All values are frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_REF: Final = re.compile(r"([a-z][a-z0-9_]{0,31}):([A-Za-z0-9][A-Za-z0-9._:-]{0,254})")


class TitleKind(StrEnum):
    """What a metadata provider tells apart."""

    MOVIE = "movie"
    TV = "tv"


@dataclass(frozen=True, slots=True, order=True)
class TitleRef:
    """What a catalogue calls a title; as text `tmdb:movie:603` or `archive:<identifier>`.

    Attributes:
        provider: the catalogue, such as `tmdb` or `archive`.
        id: what follows the first colon.
    """

    provider: str
    id: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.id}"

    @classmethod
    def read(cls, text: str) -> TitleRef:
        """Reads its form as text.

        Raises:
            ValueError: it has another form.
        """
        if (found := _REF.fullmatch(text)) is None:
            raise ValueError("must look like tmdb:movie:603 or archive:night_of_the_living_dead")
        return cls(found[1], found[2])


@dataclass(frozen=True, slots=True)
class Title:
    """A film or series as a search finds it.

    Attributes:
        id: the provider's number for it, unique within its kind.
        year: of the first release, None if unknown.
        rating: 0-10, None if nobody voted.
        poster: absolute URL of an image, None if there is none.
        ref: what it is called among all catalogues, None = its catalogue is the only one asked.
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
    ref: TitleRef | None = None


@dataclass(frozen=True, slots=True)
class TitleFilter:
    """Which titles are wanted. None = it does not matter.

    Attributes:
        genre: a name out of `Discovery.genres`.
        year_from: of the first release.
        year_to: of the first release, itself included.
        min_rating: 0-10.
    """

    kind: TitleKind
    genre: str | None = None
    year_from: int | None = None
    year_to: int | None = None
    min_rating: float | None = None


@dataclass(frozen=True, slots=True)
class ExternalId:
    """What another catalogue calls a title.

    Attributes:
        source: `imdb` or `tvdb`.
        id: such as `tt0063350`.
    """

    source: str
    id: str


@dataclass(frozen=True, slots=True)
class TitlePage:
    """One page of search results; pages count from 1."""

    page: int
    total_pages: int
    total_results: int
    results: tuple[Title, ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode of a season.

    Attributes:
        still: absolute URL of a picture out of it, None if there is none.
    """

    number: int
    name: str
    overview: str = ""
    air_date: str | None = None
    runtime: int | None = None
    still: str | None = None


@dataclass(frozen=True, slots=True)
class Season:
    """One season of a series; season 0 holds the specials. `episodes` is filled by `season()`.

    Attributes:
        poster: absolute URL of an image, None if there is none.
    """

    number: int
    name: str
    overview: str = ""
    air_date: str | None = None
    episode_count: int = 0
    episodes: tuple[Episode, ...] = ()
    poster: str | None = None


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
        roles: the part of each of `cast`, "" = unknown; empty if none is known.
        notice: what the catalogue wants to be said where its facts are shown.
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
    roles: tuple[str, ...] = ()
    notice: str = ""
