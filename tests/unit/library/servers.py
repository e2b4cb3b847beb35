"""Reads places in a tree as Jellyfin, Kodi and Plex say that they do.

Written from what they publish (the same pages as `library/naming.py` names), with no code of ours:
a tree that we made is right if this finds in it what the item says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

VIDEO: Final = {".mkv", ".mp4", ".avi", ".strm"}
SUBTITLE: Final = {".srt", ".ass", ".sub", ".idx", ".vtt"}
EXTRAS: Final = {
    "jellyfin": {"trailers", "behind the scenes", "deleted scenes", "interviews", "scenes",
                 "shorts", "featurettes", "clips", "extras"},
    "plex": {"trailers", "behind the scenes", "deleted scenes", "interviews", "scenes", "shorts",
             "featurettes", "other"},
    "kodi": {"extras"},
}  # fmt: skip
_ID: Final = {
    "jellyfin": re.compile(r" \[(tmdb|imdb|tvdb)id-(\w+)\]$"),
    "plex": re.compile(r" \{(tmdb|imdb|tvdb)-(\w+)\}$"),
    "kodi": re.compile(r"(?!)"),
}
_PARTS: Final = re.compile(r"[ ._-](?:cd|dvd|part|pt|disc|disk)(\d)$", re.IGNORECASE)
_YEAR: Final = re.compile(r"^(.+?) \((\d{4})\)(?: \(\d+\))?$")
_EPISODE: Final = re.compile(
    r"^(.+?)(?: -)? s(\d{1,4})e(\d{1,4})((?:-e\d{1,4})*)(?: - (.+))?$", re.IGNORECASE
)
_FLAGS: Final = {"default", "forced", "foreign", "sdh", "cc", "hi"}


@dataclass(frozen=True)
class Reading:
    """What a media server takes a place for."""

    title: str
    year: int | None = None
    id: str | None = None
    role: str = "main"
    version: str | None = None
    edition: str | None = None
    part: int | None = None
    season: int | None = None
    episodes: tuple[int, ...] = ()
    language: str | None = None
    flags: tuple[str, ...] = ()


def read(style: str, place: str) -> Reading | None:
    """What a media server takes a place for, None = it does not see it."""
    top, folder, *inner, name = PurePosixPath(place).parts
    title, year, ident = _title(style, folder)
    stem, suffix = name.rpartition(".")[0], "." + name.rpartition(".")[2].lower()
    if top not in ("Movies", "Shows") or suffix not in VIDEO | SUBTITLE:
        return None
    if inner and inner[-1].lower() in EXTRAS[style]:
        return Reading(title, year, ident, role="extra")
    language: str | None = None
    flags: tuple[str, ...] = ()
    role = "main"
    if suffix in SUBTITLE:
        role, (stem, language, flags) = "subtitle", _subtitle(stem)
    if top == "Movies":
        found = _film(style, folder, stem)
    else:
        found = _episode(style, title, year, inner, stem)
    if inner and top == "Movies":
        return None
    if found is None:
        return None
    return Reading(title, year, ident, role, **found, language=language, flags=flags)  # type: ignore[arg-type]


def _title(style: str, folder: str) -> tuple[str, int | None, str | None]:
    ident = None
    if found := _ID[style].search(re.sub(r" \(\d{1,3}\)$", "", folder)):
        ident, folder = f"{found[1]}-{found[2]}", folder[: found.start()]
    if dated := _YEAR.match(folder):
        return dated[1], int(dated[2]), ident
    return folder, None, ident


def _subtitle(stem: str) -> tuple[str, str | None, tuple[str, ...]]:
    flags: list[str] = []
    while (found := re.search(r"\.([a-z]+)$", stem)) and found[1] in _FLAGS:
        flags.insert(0, found[1])
        stem = stem[: found.start()]
    language = None
    if found := re.search(r"\.([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)$", stem):
        language, stem = found[1], stem[: found.start()]
    return re.sub(r"\.\d+$", "", stem), language, tuple(flags)


def _film(style: str, folder: str, stem: str) -> dict[str, object] | None:
    """Versions begin with the name of the folder exactly."""
    if not stem.startswith(folder):
        return None
    rest, found = stem[len(folder) :], dict[str, object]()
    if part := _PARTS.search(rest):
        found["part"], rest = int(part[1]), rest[: part.start()]
    if style == "plex" and (edition := re.match(r" \{edition-([^{}]{1,48})\}", rest)):
        found["edition"], rest = edition[1], rest[edition.end() :]
    if label := re.fullmatch(r" - (.+)", rest):
        found["version"] = label[1]
    elif rest:
        return None
    return found


def _episode(
    style: str, title: str, year: int | None, inner: list[str], stem: str
) -> dict[str, object] | None:
    season = re.fullmatch(r"Season (\d{2,4})", inner[0]) if len(inner) == 1 else None
    found: dict[str, object] = {}
    if part := _PARTS.search(stem):
        found["part"], stem = int(part[1]), stem[: part.start()]
    numbers = _EPISODE.match(stem)
    if not season or not numbers or int(season[1]) != int(numbers[2]):
        return None
    if numbers[1] != (title if year is None else f"{title} ({year})"):
        return None
    start, listed = int(numbers[3]), [int(n) for n in re.findall(r"\d+", numbers[4])]
    if style == "plex" and listed:  # the last is the end of a range
        listed = [*range(start + 1, listed[-1] + 1)]
    return {**found, "season": int(season[1]), "episodes": (start, *listed)}
