"""What the folders around a file say, where its own name leaves something open."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.recognition.reading import read
from chilly_movies.library.recognition.text import last_part, plain, spaced, without_ending
from chilly_movies.library.recognition.values import Reading

_SEASON: Final = re.compile(
    r"(?:season|saison|staffel|temporada|stagione|sezon|säsong|seizoen|сезон|series|s)[ -]?"
    r"(\d{1,4})(?!\d)(?: .*)?"
    r"|(\d{1,2})\.? ?(?:сезон|sezon|season|staffel)",
    re.IGNORECASE,
)
_SPECIALS: Final = re.compile(r"(?:specials?|season 0+|s0+|ovas?)", re.IGNORECASE)
_GENERIC: Final = re.compile(
    r"(?:movies?|films?|filme|tv|tv ?shows?|shows?|series|serien|anime|videos?|media|downloads?"
    r"|completed?|library|incoming|new|video ts|bdmv|stream|(?:cd|dis[ck]|dvd) ?\d|title ?\d*"
    r"|movie ?\d*|main|feature"
    r"|subs?|subtitles?|extras?|featurettes?|samples?|trailers?|behind the scenes|deleted scenes"
    r"|vts \d\d \d|\d{5}|[0-9a-f]{16,}|mnt|home|data|root|share|storage|volume\d*)",
    re.IGNORECASE,
)
_NUMBER_FIRST: Final = re.compile(
    r"^\W*(?:e|ep|episode|folge|#)?[ .]?(\d{1,4})(?:-(\d{1,4}))?(?![\w])(?:v\d)?", re.IGNORECASE
)


def parts(folder: str | None) -> tuple[str, ...]:
    """The folders of a path, the innermost first."""
    return tuple(part for part in reversed(re.split(r"[/\\]", folder or "")) if part.strip())[:6]


def with_folders(name: str, own: Reading, folders: tuple[str, ...]) -> Reading:
    """The reading of a name, completed by the folders it lies in."""
    season, around = _around(folders)
    own = _numbered(name, own, season)
    return _titled(own, around) if around and around.title else own


def agree(own: Reading, folders: tuple[str, ...]) -> bool:
    """Whether a folder says the same title, with the same year or season."""
    season, around = _around(folders)
    if around is None or not own.title or plain(around.title) != plain(own.title):
        return False
    if own.kind is TitleKind.MOVIE:
        return own.year is not None and own.year == around.year
    return season is not None and own.seasons == (season,) and own.year in (None, around.year)


def title(folder: str | None) -> str | None:
    """What the first folder with a name of its own says it holds."""
    _, around = _around(parts(folder))
    return (around.title if around else "") or None


def _around(folders: tuple[str, ...]) -> tuple[int | None, Reading | None]:
    """The season that the folders say, and what the first one with a name of its own says."""
    season = None
    for folder in folders:
        text = spaced(folder).strip()
        if season is None and (season := _season(text)) is not None:
            continue
        if not _GENERIC.fullmatch(text):
            around = read(folder)
            return (around.season if season is None else season), around
    return season, None


def _season(text: str) -> int | None:
    """The season that a folder is of, None if it is something else."""
    if _SPECIALS.fullmatch(text):
        return 0
    found = _SEASON.fullmatch(text)
    return int(found[1] or found[2]) if found else None


def _numbered(name: str, own: Reading, season: int | None) -> Reading:
    """The reading with the season of its folder, and the number that its name begins with."""
    if season is None or own.seasons or own.aired:
        return own
    episodes = own.episodes or tuple(
        number if number < 100 else number - 100 * season
        for number in own.absolute
        if number < 100 or number // 100 == season
    )
    title = own.title
    first = _NUMBER_FIRST.match(spaced(without_ending(last_part(name))))
    if not episodes and first:
        episodes, title = _of_season(first, season), ""
    if not episodes:
        return own
    doubts = own.doubts - {"no season", "year in front", "a bare number"}
    return replace(
        own,
        title=title,
        kind=TitleKind.TV,
        seasons=(season,),
        episodes=episodes,
        absolute=(),
        doubts=doubts,
    )


def _of_season(found: re.Match[str], season: int) -> tuple[int, ...]:
    """The numbers in a season: `101` is the first of season 1."""
    first, last = int(found[1]), int(found[2] or found[1])
    if first > 100 and first // 100 == season:
        first, last = first - 100 * season, last - 100 * season
    return tuple(range(first, last + 1)) if first <= last <= first + 200 else (first,)


def _titled(own: Reading, around: Reading) -> Reading:
    """The reading with title and year of the folder, where it says more."""
    same = plain(own.title) == plain(around.title)
    bare = not own.title or _GENERIC.fullmatch(own.title) is not None
    if own.seasons and own.seasons == around.seasons and len(own.title) > 2:
        bare = bare or plain(own.title) in plain(around.title)
    if same or bare:
        doubts = own.doubts - {"no title"}
        year = own.year or around.year
        title = own.title if same and not own.title.islower() else around.title
        return replace(own, title=title, year=year, kind=own.kind or around.kind, doubts=doubts)
    if own.kind is not TitleKind.TV and own.year is None and around.year and around.kind:
        return replace(around, doubts=around.doubts)
    return own
