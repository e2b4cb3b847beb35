"""Which title of a catalogue a film or series is: each candidate with a score and its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chilly_movies.catalogue.titles import Title, TitleDetails, TitleKind, TitleRef
from chilly_movies.library.models import Match
from chilly_movies.library.recognition import Recognition
from chilly_movies.library.recognition.text import plain

_SURE: Final = 0.9
_MARGIN: Final = 0.08
"""By how much the best must be ahead of the next to be taken without a choice."""
_NAME, _YEAR, _DURATION = 0.6, 0.3, 0.1
"""What each of them weighs."""
_NO_YEAR: Final = {TitleKind.MOVIE: 0.5, TitleKind.TV: 0.9}
"""How much of the weight counts where the name has no year; episodes seldom have one."""
_SHORT: Final = 2
"""Letters and digits of a title that another may differ from by spelling alone."""


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A part of the score.

    Attributes:
        share: 0-1.
        reason: a sentence; "" = there is nothing to say.
    """

    share: float
    reason: str = ""


def match(
    found: Recognition, titles: Iterable[Title | TitleDetails], *, duration: float | None = None
) -> tuple[Match, ...]:
    """Scores what a catalogue offers for what was recognised, best first.

    Args:
        found: what names and hints say; its id goes before all else.
        titles: what the catalogue offers; where it has details, other names, the length and the
            seasons count, too.
        duration: seconds of the film file, None if unknown.
    """
    matches = [_match(found, title, duration) for title in titles]
    return tuple(sorted(matches, key=lambda one: -one.score))


def is_sure(matches: Sequence[Match]) -> bool:
    """Whether the first may be taken: it fits well, and no other nearly as well."""
    if not matches or matches[0].score < _SURE:
        return False
    others = [one.score for one in matches[1:] if one.ref != matches[0].ref]
    return (
        not others
        or matches[0].score == 1.0 > max(others)
        or (matches[0].score - max(others) >= _MARGIN)
    )


def placed(found: Recognition, sizes: Mapping[int, int]) -> Recognition:
    """The same with season and episodes in the place of absolute numbers.

    Args:
        found: what was recognised.
        sizes: how many episodes each season has; specials (season 0) are not counted.

    Returns:
        The same if there are no absolute numbers, or if they span seasons or lie beyond the last.
    """
    places = [_place(number, sizes) for number in found.absolute]
    seasons = {place[0] for place in places if place}
    if found.season is not None or len(seasons) != 1 or None in places:
        return found
    season = seasons.pop()
    episodes = tuple(place[1] for place in places if place)
    return replace(found, season=season, seasons=(season,), episodes=episodes)


def _place(number: int, sizes: Mapping[int, int]) -> tuple[int, int] | None:
    for season in sorted(season for season in sizes if season > 0):
        if number <= sizes[season]:
            return season, number
        number -= sizes[season]
    return None


def _match(found: Recognition, offered: Title | TitleDetails, duration: float | None) -> Match:
    details = offered if isinstance(offered, TitleDetails) else None
    title = offered.title if isinstance(offered, TitleDetails) else offered
    ref = title.ref or TitleRef("tmdb", f"{title.kind}:{title.id}")
    if found.ref is not None and _is_named(found.ref, ref, details):
        return Match(ref, title.name, title.year, 1.0, ("Its id was given at the start.",))
    name = _name(found, title, details)
    year = _year(found, title)
    length = _length(duration, details)
    score = _NAME * name.share + _YEAR * year.share + _DURATION * length.share
    against = [_kind(found, title), _seasons(found, details)]
    for one in against:
        score *= one.share
    if found.ref is not None:  # the id names another
        score = min(score, 0.5)
    reasons = tuple(one.reason for one in (name, year, length, *against) if one.reason)
    return Match(ref, title.name, title.year, round(min(score, 0.99), 3), reasons)


def _is_named(wanted: TitleRef, ref: TitleRef, details: TitleDetails | None) -> bool:
    """Whether an id that was given is that of a title, in whichever catalogue."""
    if details and details.external_ids.get(wanted.provider) == wanted.id:
        return True
    return wanted == ref


def _name(found: Recognition, title: Title, details: TitleDetails | None) -> _Weighed:
    from rapidfuzz import fuzz

    said = plain(found.title or "")
    names = [title.name, *([details.original_name] if details else [])]
    known = [plain(name) for name in names if name]
    if said and said in known:
        return _Weighed(1.0, f"The title is {title.name}.")
    share = max((fuzz.ratio(said, name) / 100 for name in known), default=0.0)
    if len(said) > _SHORT and any(name.startswith(said) or said.startswith(name) for name in known):
        share = max(share, 0.8)
        return _Weighed(share, f"The title is the beginning of the other: {title.name}.")
    if share >= 0.8:
        return _Weighed(share, f"The title is spelled much like {title.name}.")
    return _Weighed(share * 0.7, f"The title differs: {title.name}.")


def _year(found: Recognition, title: Title) -> _Weighed:
    if found.year is None:
        return _Weighed(_NO_YEAR.get(title.kind, 0.5), "The name has no year.")
    if title.year is None:
        return _Weighed(0.5, "The catalogue has no year.")
    apart = abs(found.year - title.year)
    if apart == 0:
        return _Weighed(1.0, f"The year is {title.year}.")
    if apart == 1:
        return _Weighed(0.8, f"The year is one off: {title.year}.")
    if title.kind is TitleKind.TV and found.year > title.year:
        return _Weighed(0.5, f"The year is later than that of the first episode: {title.year}.")
    return _Weighed(0.0, f"The year differs: {title.year}.")


def _length(duration: float | None, details: TitleDetails | None) -> _Weighed:
    """Episodes and versions vary, so only what is far off counts against."""
    if not duration or details is None or not details.runtime:
        return _Weighed(0.9)
    off = abs(duration / 60 - details.runtime) / details.runtime
    if off <= 0.12:
        return _Weighed(1.0, f"It lasts as long: {details.runtime} minutes.")
    if off <= 0.35:
        return _Weighed(0.6)
    return _Weighed(
        0.0, f"It should last {details.runtime} minutes, and lasts {duration / 60:.0f}."
    )


def _kind(found: Recognition, title: Title) -> _Weighed:
    if found.kind is None or found.kind is title.kind:
        return _Weighed(1.0)
    right = "series" if title.kind is TitleKind.TV else "film"
    return _Weighed(0.4, f"The name is not that of a {right}.")


def _seasons(found: Recognition, details: TitleDetails | None) -> _Weighed:
    if found.season is None or details is None or not details.seasons:
        return _Weighed(1.0)
    season = next((one for one in details.seasons if one.number == found.season), None)
    if season is None:
        return _Weighed(0.8, f"It has no season {found.season}.")
    last = max(found.episodes, default=0)
    if season.episode_count and last > season.episode_count:
        return _Weighed(0.8, f"Season {found.season} has no episode {last}.")
    return _Weighed(1.0)
