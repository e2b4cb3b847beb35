"""What the caller said of a job at its start: labels that go before all that names say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.recognition.values import Recognition
from chilly_movies.library.recognition.words import FIRST_YEAR

_IDS: Final = (
    ("tmdb", "tmdbId", r"[1-9]\d{0,9}"),
    ("imdb", "imdbId", r"tt\d{5,10}"),
    ("archive", "archiveId", r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}"),
)
_NO_KIND: Final = "tmdbId without mediaType"


def decide(hints: Mapping[str, str]) -> bool:
    """Whether the hints name one film or series, so that no other parser has to be asked."""
    return _kind(hints) is not None and bool(_ids(hints))


def apply(found: Recognition, hints: Mapping[str, str]) -> Recognition:
    """What was recognised, overruled by the hints; hints that cannot be are passed over."""
    if not hints:
        return found
    kind, ids = _kind(hints), _ids(hints)
    season, episode = _number(hints, "seasonNumber", 9999), _number(hints, "episodeNumber", 99999)
    if kind is None and (season is not None or episode is not None):
        kind = TitleKind.TV
    found = replace(
        found,
        kind=kind or found.kind,
        title=" ".join(hints.get("title", "").split()) or found.title,
        year=_year(hints) or found.year,
        ids=ids,
    )
    if found.kind is TitleKind.MOVIE and kind:
        found = replace(found, season=None, seasons=(), episodes=(), absolute=(), aired=None)
    elif found.kind is TitleKind.TV:
        found = _numbered(found, season, episode)
    return _judged(found, kind, dict(ids))


def _numbered(found: Recognition, season: int | None, episode: int | None) -> Recognition:
    if season is not None:
        found = replace(found, season=season, seasons=(season,))
    if episode is not None:
        found = replace(found, episodes=(episode,), absolute=())
    return found


def _judged(found: Recognition, kind: TitleKind | None, ids: Mapping[str, str]) -> Recognition:
    """How sure it is after the hints: an id says it all, but TMDB's only with the kind."""
    if "imdb" in ids or "archive" in ids or ("tmdb" in ids and kind):
        return replace(found, confidence=1.0, sure=True, doubts=())
    if "tmdb" in ids:
        return replace(found, kind=None, confidence=0.5, sure=False, doubts=(_NO_KIND,))
    return found


def _kind(hints: Mapping[str, str]) -> TitleKind | None:
    said = hints.get("mediaType", "").strip().lower()
    return TitleKind(said) if said in tuple(TitleKind) else None


def _ids(hints: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    given = ((provider, hints.get(label, "").strip(), form) for provider, label, form in _IDS)
    return tuple((provider, text) for provider, text, form in given if re.fullmatch(form, text))


def _number(hints: Mapping[str, str], label: str, most: int) -> int | None:
    text = hints.get(label, "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and int(text) <= most else None


def _year(hints: Mapping[str, str]) -> int | None:
    year = _number(hints, "year", 2200)
    return year if year and year >= FIRST_YEAR else None
