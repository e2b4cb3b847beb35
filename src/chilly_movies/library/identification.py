"""Finds out what items are: by what the user said, by catalogues, and by their names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from chilly_movies.catalogue.ports import Catalogue
from chilly_movies.catalogue.titles import (
    ExternalId,
    Season,
    Title,
    TitleDetails,
    TitleKind,
    TitleRef,
)
from chilly_movies.errors import MetadataError, MetadataUnavailable, TitleNotFound
from chilly_movies.library.intake import Found, Hints, read_files
from chilly_movies.library.matching import is_sure, match
from chilly_movies.library.models import (
    FileRole,
    Item,
    ItemEpisode,
    ItemFacts,
    ItemFile,
    ItemState,
    Match,
)
from chilly_movies.library.nfo import NfoFacts, NfoUnreadable
from chilly_movies.library.nfo import read as read_nfo
from chilly_movies.library.places import Places

_SHOWN: Final = 10
"""Titles at most that the user is given to choose from."""
_CHOOSE: Final = "Several titles fit: choose which one it is."
_UNKNOWN: Final = "Its name does not say for sure what it is: choose a title."
_EITHER: Final = "The number alone does not say whether it is a film or a series: choose one."
SILENT: Final = "The film catalogue did not answer; what it knows is added later."

Labels = Callable[[str], Awaitable[Hints]]
"""The labels of a job by its id; none if it is gone."""


class Titles(Catalogue, Protocol):
    """Knows titles by their ref, and by what other catalogues call them."""

    async def find(self, external: ExternalId) -> tuple[Title, ...]:
        """The titles that another catalogue calls so; usually one or none."""
        ...


@dataclass(frozen=True, slots=True)
class Identified:
    """What was found out.

    Attributes:
        item: as it is with that.
        again: a catalogue did not answer, and may later.
    """

    item: Item
    again: bool = False


class Identification:
    """Finds out what items are.

    Args:
        catalogue: what is asked, None = only names count.
        labels: of jobs.
        places: finds NFO files beside films.
    """

    def __init__(self, catalogue: Titles | None, labels: Labels, places: Places) -> None:
        self._catalogue, self._labels, self._places = catalogue, labels, places

    async def identify(self, item: Item) -> Identified:
        """What an item is; it is `matched` or `waiting` then. Asks catalogues.

        Raises:
            StoreError: what catalogues said before cannot be read.
        """
        if item.chosen and item.ref is None:
            return Identified(replace(item, state=ItemState.MATCHED, reason=None, matches=()))
        found = await self._read(item)
        item = await self._with_nfo(item, found)
        try:
            if item.ref is not None:
                return Identified(await self._with_facts(item, item.ref))
            return Identified(await self._searched(item, found))
        except TitleNotFound:
            return Identified(_by_name(item, found))
        except MetadataUnavailable:
            return Identified(_by_name(item, found, SILENT), again=True)
        except MetadataError:  # there is no key, so nobody is asked
            return Identified(_by_name(item, found))

    async def _read(self, item: Item) -> Found | None:
        """What the names of an item's files say, with the hints of their job."""
        jobs = {file.job_id for file in item.files if file.job_id is not None}
        hints = await self._labels(min(jobs)) if len(jobs) == 1 else {}
        found = await asyncio.to_thread(read_files, item.files, None, hints)
        return found[0] if found else None

    async def _with_nfo(self, item: Item, found: Found | None) -> Item:
        """The item with what an NFO file beside it says; what the user said goes before that."""
        if item.ref is not None or (found is not None and found.recognition.ids):
            return item
        data = await self._places.nfo_beside(item.files)
        try:
            said = read_nfo(data) if data is not None else NfoFacts()
        except NfoUnreadable:
            return item
        number = said.facts.external_ids.get("tmdb")
        ref = None
        if number is not None and said.kind is not None:
            ref = TitleRef("tmdb", f"{said.kind.value}:{number}")
        if ref is None and not (said.title or said.show):
            return item
        return replace(
            item,
            kind=said.kind or item.kind,
            title=said.show or said.title or item.title,
            year=said.year or item.year,
            facts=said.facts,
            ref=ref,
            episodes=said.episodes or item.episodes,
        )

    async def _searched(self, item: Item, found: Found | None) -> Item:
        ids = {} if found is None else dict(found.recognition.ids)
        if "tmdb" in ids:
            return await self._either(item, ids["tmdb"])
        if self._catalogue is None or found is None or found.recognition.title is None:
            return _by_name(item, found)
        if "imdb" in ids:
            titles = await self._catalogue.find(ExternalId("imdb", ids["imdb"]))
            if len(refs := {title.ref for title in titles if title.ref is not None}) == 1:
                return await self._with_facts(item, refs.pop())
        matches = match(found.recognition, await self._titles(found), duration=_duration(item))
        if is_sure(matches):
            return await self._with_facts(item, matches[0].ref)
        if not matches:
            return _by_name(item, found)
        return replace(
            item, state=ItemState.WAITING, reason=_CHOOSE, matches=tuple(matches[:_SHOWN])
        )

    async def _titles(self, found: Found) -> Sequence[Title]:
        """What the catalogue finds by a name; without the year if there is nothing with it."""
        assert self._catalogue is not None  # noqa: S101 (for the type checker)
        said = found.recognition
        page = await self._catalogue.search(said.title or "", said.kind, year=said.year)
        if not page.results and said.year is not None:
            page = await self._catalogue.search(said.title or "", said.kind)
        return page.results

    async def _either(self, item: Item, number: str) -> Item:
        """An item of which TMDB's number is known, and not whether it is a film or a series."""
        matches = []
        for kind in TitleKind:
            ref = TitleRef("tmdb", f"{kind.value}:{number}")
            name, year = item.title, item.year
            try:
                if self._catalogue is not None:
                    title = (await self._catalogue.details(ref)).title
                    name, year = title.name, title.year
            except TitleNotFound:
                continue
            except MetadataError:
                pass
            matches.append(Match(ref, name, year, 0.5, ("Its number was given.",)))
        return replace(item, state=ItemState.WAITING, reason=_EITHER, matches=tuple(matches))

    async def _with_facts(self, item: Item, ref: TitleRef) -> Item:
        """The item as this title, with all that the catalogue knows of it."""
        known = replace(item, ref=ref, state=ItemState.MATCHED, reason=None, matches=())
        if self._catalogue is None:
            return replace(known, files=with_seasons(known.files, ()))
        details = await self._catalogue.details(ref)
        title = details.title
        files = with_seasons(item.files, details.seasons)
        episodes = await self._episodes(ref, files) if title.kind is TitleKind.TV else ()
        return replace(
            known,
            kind=title.kind,
            title=title.name or item.title,
            year=title.year or item.year,
            facts=facts_of(details),
            files=files,
            episodes=episodes,
        )

    async def _episodes(self, ref: TitleRef, files: Iterable[ItemFile]) -> tuple[ItemEpisode, ...]:
        """What the catalogue knows of the episodes that are there."""
        assert self._catalogue is not None  # noqa: S101 (for the type checker)
        have = {(f.season, n) for f in files if f.season is not None for n in f.episodes}
        found = []
        for season in sorted({season for season, _ in have if season is not None}):
            try:
                known = await self._catalogue.season(ref, season)
            except TitleNotFound:
                continue
            found += [
                ItemEpisode(season, e.number, e.name, e.overview, e.air_date, e.runtime)
                for e in known.episodes
                if (season, e.number) in have
            ]
        return tuple(found)


def _by_name(item: Item, found: Found | None, reason: str | None = None) -> Item:
    """The item as its name says, or one that waits if that is not sure."""
    named = item.ref is not None or (found is not None and found.recognition.sure)
    named = named or item.facts != ItemFacts(external_ids=item.facts.external_ids)  # an NFO file's
    if not named:
        return replace(item, state=ItemState.WAITING, reason=reason or _UNKNOWN)
    files = with_seasons(item.files, ())
    return replace(item, state=ItemState.MATCHED, reason=reason, files=files, matches=())


def _duration(item: Item) -> float | None:
    """Seconds that the film lasts, None if it is not known, or if there are several."""
    main = [file.duration for file in item.files if file.role is FileRole.MAIN]
    return main[0] if len(main) == 1 else None


def with_seasons(files: Sequence[ItemFile], seasons: Sequence[Season]) -> tuple[ItemFile, ...]:
    """The files of a series with their seasons, where episodes are counted through all of them.

    Args:
        files: those with episodes and without a season are counted so.
        seasons: with the number of their episodes; where they do not reach, all is season 1.
    """
    return tuple(
        _with_season(file, seasons) if file.season is None and file.episodes else file
        for file in files
    )


def _with_season(file: ItemFile, seasons: Sequence[Season]) -> ItemFile:
    before = 0
    for season in sorted(seasons, key=lambda season: season.number):
        if season.number < 1:
            continue
        last = before + season.episode_count
        if before < file.episodes[0] and file.episodes[-1] <= last:
            numbers = tuple(number - before for number in file.episodes)
            return replace(file, season=season.number, episodes=numbers)
        before = last
    return replace(file, season=1)


def facts_of(details: TitleDetails) -> ItemFacts:
    """What a catalogue says, as the library keeps it."""
    title = details.title
    return ItemFacts(
        original_title=details.original_name,
        tagline=details.tagline,
        overview=title.overview,
        released=details.released,
        runtime=details.runtime,
        rating=title.rating,
        votes=title.votes,
        language=title.language,
        genres=details.genres,
        cast=details.cast,
        roles=details.roles,
        directors=details.directors,
        external_ids=dict(details.external_ids),
    )
