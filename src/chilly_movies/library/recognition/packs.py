"""`recognise_pack`: all files of a job at once, as each says something of the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.models import FileRole
from chilly_movies.library.recognition import folders
from chilly_movies.library.recognition.text import (
    last_part,
    plain,
    spaced,
    title_of,
    without_ending,
)
from chilly_movies.library.recognition.values import Recognition
from chilly_movies.library.recognition.verdict import NO_HINTS, recognise

_OF_ONE: Final = frozenset({"seasonNumber", "episodeNumber"})
"""Hints that speak of one file; of a pack, the episodes are in the names."""
_ALIKE: Final = 80
"""From here on, of 100, two titles of one pack are taken for one."""


def recognise_pack(
    names: Sequence[str], *, folder: str | None = None, hints: Mapping[str, str] = NO_HINTS
) -> tuple[Recognition, ...]:
    """Recognises all files of a job.

    A season's files get one title, and their episode each, whatever way they are numbered; samples,
    extras and subtitles have that role.

    Args:
        names: the files' paths in the job.
        folder: the name of the job, or the folders around it.
        hints: the job's labels; a number of an episode counts only if there is one film in it.
    """
    found = [recognise(name, folder=folder, hints=hints) for name in names]
    main = [place for place, one in enumerate(found) if one.role is FileRole.MAIN]
    if len(main) < 2:
        return tuple(found)
    if _OF_ONE & hints.keys():
        shared = {label: said for label, said in hints.items() if label != "episodeNumber"}
        found = [recognise(name, folder=folder, hints=shared) for name in names]
    films = [found[place] for place in main]
    if _is_series(films, hints):
        for place, one in zip(main, _season(films, folder), strict=True):
            found[place] = one
    return tuple(_besides(found, main))


def _is_series(films: Sequence[Recognition], hints: Mapping[str, str]) -> bool:
    """Whether the files are episodes: most say so, or they are one title but for a number."""
    if kind := hints.get("mediaType"):
        return kind == TitleKind.TV
    if sum(one.kind is TitleKind.TV for one in films) * 2 >= len(films):
        return True
    numbered = len(_varying(films)) == len(films) > 2
    if any(one.part for one in films) or not numbered:
        return False
    return len({(one.title, one.year) for one in films if one.year}) <= 1


def _season(films: Sequence[Recognition], folder: str | None) -> list[Recognition]:
    """The episodes of one series, with one title, and a number where it can be told."""
    counted = _varying([one for one in films if not _numbered(one)])
    season = _one({one.season for one in films if one.season is not None})
    films = [_with_number(one, season, counted.get(one.name)) for one in films]
    title, year = _common(films)
    title = title or folders.title(folder)
    if title:
        films = [
            replace(one, title=title, year=one.year or year) if _same_series(one, title) else one
            for one in films
        ]
    sure = any(one.sure for one in films)
    return [_judged(one, sure=sure) for one in films]


def _numbered(one: Recognition) -> bool:
    return bool(one.episodes or one.absolute or one.aired)


def _with_number(
    one: Recognition, season: int | None, counted: tuple[int, str] | None
) -> Recognition:
    """The same as an episode, by the number that only its name has and the text before it."""
    if counted is None:
        return one
    number, before = counted
    doubts = tuple(sorted({*one.doubts, "counted from its neighbours"}))
    title = one.title if one.year else before or None
    sure = bool(one.ids) and one.sure
    one = replace(
        one,
        kind=TitleKind.TV,
        title=title,
        doubts=doubts,
        sure=sure,
        confidence=one.confidence if sure else min(one.confidence, 0.6),
    )
    if season is None:
        return replace(one, absolute=(number,))
    return replace(one, season=season, seasons=(season,), episodes=(number,))


def _judged(one: Recognition, *, sure: bool) -> Recognition:
    """One without a number is beside the episodes; one with all facts is as sure as the others."""
    if not _numbered(one):
        return replace(one, role=FileRole.EXTRA)
    whole = one.title is not None and not one.doubts and bool(one.seasons or one.absolute)
    return replace(one, sure=True, confidence=max(one.confidence, 0.92)) if sure and whole else one


def _common(films: Iterable[Recognition]) -> tuple[str | None, int | None]:
    """The title that most have, as it is written most often, and its year if there is one."""
    with_title = [one for one in films if one.title]
    counted = Counter(plain(one.title or "") for one in with_title)
    if not counted:
        return None, None
    best = counted.most_common(1)[0][0]
    same = [one for one in with_title if plain(one.title or "") == best]
    spelled = Counter(one.title for one in same).most_common(1)[0][0]
    return spelled, _one({one.year for one in same if one.year})


def _same_series(one: Recognition, title: str) -> bool:
    """Whether its title is that of the pack, misspelled, or with the episode's behind it."""
    if not one.title:
        return True
    from rapidfuzz import fuzz

    mine, common = plain(one.title), plain(title)
    return mine.startswith(common) or fuzz.ratio(mine, common) >= _ALIKE


def _one(values: set[int | None]) -> int | None:
    return next(iter(values)) if len(values) == 1 else None


def _varying(films: Sequence[Recognition]) -> dict[str, tuple[int, str]]:
    """The number in each name that no other has, and the title before it.

    Only names that are alike but for numbers count. Of `Planet 1 of 3`, `Planet 2 of 3` and so on
    it is the first: the other is always the same.
    """
    shapes: dict[str, list[tuple[str, list[re.Match[str]]]]] = {}
    for one in films:
        stem = spaced(without_ending(last_part(one.name)))
        numbers = list(re.finditer(r"(?<!\d)\d{1,4}(?!\d)", stem))
        shape = stem[: numbers[0].start()] if numbers else stem
        shapes.setdefault(shape.casefold(), []).append((one.name, numbers))
    found: dict[str, tuple[int, str]] = {}
    for alike in shapes.values():
        for column in zip(*(numbers for _, numbers in alike), strict=False):
            if len(alike) > 1 and len({int(number[0]) for number in column}) == len(column):
                for (name, _), number in zip(alike, column, strict=True):
                    found[name] = int(number[0]), title_of(number.string[: number.start()])
                break
    return found


def _besides(found: Sequence[Recognition], main: Sequence[int]) -> Iterable[Recognition]:
    """What lies beside the films, with the title of the pack where all films have one."""
    titles = {(found[place].kind, found[place].title, found[place].year) for place in main}
    for place, one in enumerate(found):
        if place in main or len(titles) != 1:
            yield one
        else:
            kind, title, year = next(iter(titles))
            yield replace(one, kind=kind, title=title, year=year)
