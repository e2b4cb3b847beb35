"""What the name of a film says. All values are frozen."""

from __future__ import annotations

from dataclasses import dataclass

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.library.models import FileRole


@dataclass(frozen=True, slots=True)
class Reading:
    """What one parser reads in a name.

    Attributes:
        seasons: ascending; several for a pack of several seasons.
        absolute: episodes that are counted through all seasons.
        aired: the day of a daily show, `YYYY-MM-DD`.
        doubts: why another reading is possible, each in a word or two.
    """

    title: str = ""
    year: int | None = None
    kind: TitleKind | None = None
    seasons: tuple[int, ...] = ()
    episodes: tuple[int, ...] = ()
    absolute: tuple[int, ...] = ()
    aired: str | None = None
    doubts: frozenset[str] = frozenset()

    @property
    def season(self) -> int | None:
        """The season if it is one."""
        return self.seasons[0] if len(self.seasons) == 1 else None


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a film or an episode is, as far as its name, its folder and hints say it.

    Attributes:
        name: as it was given.
        kind: None = it may be either.
        title: None = nothing says it.
        season: 0 holds the specials; None = unknown, or several.
        episodes: numbers within the season, ascending.
        absolute: numbers of episodes that are counted through all seasons, ascending.
        quality: the lines of the picture, such as `1080p`.
        edition: such as `Director's Cut`.
        part: the number of a film that lies in several files, from 1.
        language: a BCP 47 tag, if the name says one.
        confidence: 0-1, how likely all of it is right.
        sure: whether it can be acted on without asking.
        seasons: of a pack of several seasons.
        aired: the day of a daily show, `YYYY-MM-DD`.
        ids: what hints say it is: `tmdb`, `imdb`, `archive` to the id there.
        doubts: why it is not sure, each in a word or two.
    """

    name: str
    kind: TitleKind | None = None
    title: str | None = None
    year: int | None = None
    season: int | None = None
    episodes: tuple[int, ...] = ()
    absolute: tuple[int, ...] = ()
    quality: str | None = None
    edition: str | None = None
    part: int | None = None
    role: FileRole = FileRole.MAIN
    language: str | None = None
    confidence: float = 0.0
    sure: bool = False
    seasons: tuple[int, ...] = ()
    aired: str | None = None
    ids: tuple[tuple[str, str], ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def ref(self) -> TitleRef | None:
        """What the hints say it is among all catalogues; TMDB's number is one only with a kind."""
        ids = dict(self.ids)
        if (number := ids.get("tmdb")) and self.kind:
            return TitleRef("tmdb", f"{self.kind}:{number}")
        for provider in ("imdb", "archive"):
            if provider in ids:
                return TitleRef(provider, ids[provider])
        return None
