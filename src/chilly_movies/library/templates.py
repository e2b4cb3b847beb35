"""How names in the tree are made of what is known: templates of words, and those of each style."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from string import Formatter
from typing import Final

_WORDS: Final = frozenset(
    ("title", "original", "initial", "year", "tmdb", "imdb", "tvdb", "id", "folder", "edition",
     "quality", "version", "label", "part", "season", "episodes", "name")
)  # fmt: skip
_NUMBERS: Final = ("year", "season", "part")
_OPTIONAL: Final = re.compile(r"<([^<>]*)>")


class NamingStyle(StrEnum):
    """The media server whose customs names follow; each reads the others' for the most part."""

    JELLYFIN = "jellyfin"
    KODI = "kodi"
    PLEX = "plex"


def _trouble(template: str) -> str | None:
    """Why a template is of no use, None if it is."""
    try:
        pieces = [part for text in _pieces(template) for part in Formatter().parse(text)]
        words = {word for _, word, _, _ in pieces if word is not None}
        if odd := words - _WORDS:
            return f"there is no word {{{min(odd)}}}; there are {', '.join(sorted(_WORDS))}"
        filled(template, dict.fromkeys(_WORDS, "1") | dict.fromkeys(_NUMBERS, 1))
    except (ValueError, IndexError, KeyError) as error:
        return str(error)
    if not words:
        return "it names no word such as {title}"
    if any(part in ("", ".", "..") for part in template.split("/")):
        return "it must lead downwards, without '.', '..' and empty names"
    return None


def _pieces(template: str) -> Iterator[str]:
    """What lies outside and inside of the optional parts, one after the other."""
    yield from _OPTIONAL.split(template)


class _Filling(Formatter):
    def format_field(self, value: object, format_spec: str) -> str:
        """A value by its format; what is not known is left out, whatever its format."""
        return "" if value == "" else str(format(value, format_spec))


def filled(template: str, words: Mapping[str, str | int]) -> str:
    """A template with its values; an optional part whose value is not known goes."""
    text = []
    for number, piece in enumerate(_pieces(template)):
        named = [word for _, word, _, _ in Formatter().parse(piece) if word]
        if number % 2 and not all(word in words for word in named):
            continue
        text.append(_Filling().vformat(piece, (), {**dict.fromkeys(named, ""), **words}))
    return " ".join("".join(text).split())


def parts(template: str, words: Mapping[str, str | int]) -> list[str]:
    """The folders that a template names; its values hold no separator."""
    return [filled(part, words) for part in template.split("/")]


@dataclass(frozen=True, slots=True)
class Templates:
    """How names are made. `{word}` is a value; `<...>` goes if a value in it is not known.

    Words of folders: title, original, initial, year, tmdb, imdb, tvdb, id. Of files also: folder,
    edition, quality, version, label, part; of seasons and episodes: season, episodes, name.

    Attributes:
        film_folder: of a film, from the tree; `/` separates folders.
        film: the name of a film's file, without its suffix.
        series_folder: of a series, from the tree.
        season_folder: of a season, in that of its series.
        episode: the name of an episode's file, without its suffix.
    """

    film_folder: str
    film: str
    series_folder: str
    season_folder: str
    episode: str

    def __post_init__(self) -> None:
        """Raises `ValueError` if one names an unknown word, or is malformed."""
        for one in fields(self):
            if why := _trouble(getattr(self, one.name)):
                raise ValueError(f"the template {one.name} is of no use: {why}")


_KODI: Final = Templates(
    film_folder="Movies/{title}< ({year})>",
    film="{folder}< - {version}><-part{part}>",
    series_folder="Shows/{title}< ({year})>",
    season_folder="Season {season:02}",
    episode="{title}< ({year})> {episodes}< - {name}>< - {version}><-part{part}>",
)
TEMPLATES: Final[Mapping[NamingStyle, Templates]] = {
    NamingStyle.KODI: _KODI,
    NamingStyle.JELLYFIN: replace(
        _KODI,
        film_folder="Movies/{title}< ({year})>< [{id}]>",
        series_folder="Shows/{title}< ({year})>< [{id}]>",
    ),
    NamingStyle.PLEX: Templates(
        film_folder="Movies/{title}< ({year})>< {{{id}}}>",
        film="{folder}< {{edition-{edition}}}>< - {label}><-pt{part}>",
        series_folder="Shows/{title}< ({year})>< {{{id}}}>",
        season_folder="Season {season:02}",
        episode="{title}< ({year})> - {episodes}< - {name}>< - {version}><-pt{part}>",
    ),
}
"""Those of each style."""
