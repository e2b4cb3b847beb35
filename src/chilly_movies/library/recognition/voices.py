"""What parsers that others wrote read in a name. Both are loaded when they are first asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.recognition.values import Reading


def parsett(text: str) -> Reading:
    """Reads a name with parsett (PTT)."""
    from PTT import parse_title

    found: dict[str, Any] = parse_title(text)
    seasons, episodes = _numbers(found.get("seasons")), _numbers(found.get("episodes"))
    is_tv = bool(seasons or episodes or found.get("date"))
    return Reading(
        title=str(found.get("title") or ""),
        year=found.get("year"),
        kind=TitleKind.TV if is_tv else TitleKind.MOVIE,
        seasons=seasons,
        episodes=episodes,
        aired=found.get("date"),
    )


def guessit(text: str) -> Reading:
    """Reads a name with guessit."""
    from guessit import guessit as ask

    found: dict[str, Any] = ask(text)
    part = found.get("absolute_episode")
    return Reading(
        title=str(found.get("title") or ""),
        year=found.get("year"),
        kind=TitleKind.TV if found.get("type") == "episode" else TitleKind.MOVIE,
        seasons=_numbers(found.get("season")),
        episodes=_numbers(found.get("episode")),
        absolute=_numbers(part),
        aired=str(found["date"]) if found.get("date") else None,
    )


def _numbers(value: object) -> tuple[int, ...]:
    """A number, or several, ascending."""
    several = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    return tuple(sorted({one for one in several if isinstance(one, int)}))
