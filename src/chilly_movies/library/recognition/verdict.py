"""`recognise`: our own reading and those of two parsers, weighed against each other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.recognition import folders as around
from chilly_movies.library.recognition import hints as labels
from chilly_movies.library.recognition import marks, voices
from chilly_movies.library.recognition.reading import layout, read
from chilly_movies.library.recognition.text import last_part, plain, tidy
from chilly_movies.library.recognition.values import Reading, Recognition

_SURE: Final = 0.9
"""From here on nobody has to be asked."""
NO_HINTS: Final[Mapping[str, str]] = MappingProxyType({})


def recognise(
    name: str, *, folder: str | None = None, hints: Mapping[str, str] = NO_HINTS
) -> Recognition:
    """Recognises a film or an episode by its name; nothing is read and nobody is asked.

    Args:
        name: of a file or a release, with or without its path.
        folder: the folders it lies in, from the outermost on.
        hints: `mediaType`, `tmdbId`, `imdbId`, `archiveId`, `title`, `year`, `seasonNumber`,
            `episodeNumber`, as a job's labels have them; they overrule the name.
    """
    file = last_part(name)
    inside = name.rstrip("/\\")[: -len(file)] if file else ""
    path = around.parts(f"{folder or ''}/{inside}")
    found = _recognised(name, file, path, decided=labels.decide(hints))
    return labels.apply(found, hints)


def _recognised(name: str, file: str, path: tuple[str, ...], *, decided: bool) -> Recognition:
    alone = read(file)
    reading = around.with_folders(file, alone, path) if path else alone
    agreed = decided or (bool(path) and around.agree(alone, path))
    confidence = _confidence(file, alone, reading, agreed=agreed)
    where = layout(file)
    after = where.after
    return Recognition(
        name=name,
        kind=reading.kind,
        title=reading.title or None,
        year=reading.year,
        season=reading.season,
        episodes=reading.episodes,
        absolute=reading.absolute,
        quality=marks.quality(where.plain) or next(filter(None, map(marks.quality, path)), None),
        edition=marks.edition(after),
        part=None if reading.kind is TitleKind.TV else marks.part(after),
        role=marks.role(file, path),
        language=marks.language(after),
        confidence=confidence,
        sure=confidence >= _SURE,
        seasons=reading.seasons,
        aired=reading.aired,
        doubts=tuple(sorted(reading.doubts)),
    )


def _confidence(file: str, alone: Reading, reading: Reading, *, agreed: bool) -> float:
    """How likely it is that all of a reading is right.

    Args:
        file: the name.
        alone: what it says.
        reading: the same, completed by its folders.
        agreed: its folder says the same, or the caller, so that no other parser has to.
    """
    if not reading.title:
        return 0.1
    weight = 0.97
    if alone == reading and not agreed:
        weight = _agreement(file, alone)
    if reading.doubts:
        weight *= 0.75
    if reading.kind is None:
        weight *= 0.5
    elif not (reading.year or reading.seasons or reading.absolute or reading.aired):
        weight *= 0.8
    return round(weight, 3)


def _agreement(file: str, own: Reading) -> float:
    """How much the other parsers agree; the second is asked only where the first does not.

    Neither is asked where it could not make us sure: they take milliseconds, and far longer for
    names that were made to be hard.
    """
    if own.doubts or own.kind is None:
        return 0.8
    text = tidy(file)
    if _same(own, voices.parsett(text)):
        return 0.97
    return 0.92 if _same(own, voices.guessit(text)) else 0.6


def _same(one: Reading, other: Reading) -> bool:
    return (
        plain(one.title) == plain(other.title)
        and one.year == other.year
        and one.seasons == other.seasons
        and (one.episodes or one.absolute) == (other.episodes or other.absolute)
        and one.aired == other.aired
    )
