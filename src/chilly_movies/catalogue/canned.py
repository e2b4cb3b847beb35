"""What the mock provider knows: public-domain classics, told in our own words in `canned.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from pydantic import TypeAdapter

from chilly_movies.catalogue.titles import TitleDetails, TitleKind, Video


@dataclass(frozen=True, slots=True)
class _Videos:
    kind: TitleKind
    id: int
    videos: tuple[Video, ...]


@dataclass(frozen=True, slots=True)
class _Canned:
    titles: tuple[TitleDetails, ...]
    videos: tuple[_Videos, ...]


_CANNED = TypeAdapter(_Canned).validate_json((files(__package__) / "canned.json").read_bytes())

TITLES: tuple[TitleDetails, ...] = _CANNED.titles
"""Films first, then series. Numbers of films are TMDB's, those of series are made up."""

VIDEOS: Mapping[tuple[TitleKind, int], tuple[Video, ...]] = {
    (of.kind, of.id): of.videos for of in _CANNED.videos
}
"""In the order the port promises. None has an address: the mock points nowhere outside."""
