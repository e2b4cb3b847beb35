"""Looks at what lies on the disk: films that are gone, and films that nobody knows of yet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Final

from chilly_movies.jobs.models import is_video
from chilly_movies.library.intake import Found, read_files
from chilly_movies.library.items import Items
from chilly_movies.library.models import FileRole, Item, ItemFile, ItemState
from chilly_movies.library.places import Places
from chilly_movies.runtime.clocks import utc_now

_AT_ONCE: Final = 200
_INNER: Final = re.compile(
    r"(season|series|staffel|saison|temporada|specials?|extras?|featurettes?|samples?|subs?"
    r"|subtitles|trailers?|cd|dis[ck]|dvd)[ ._-]*\d*|s\d{1,2}",
    re.IGNORECASE,
)
"""Names of folders that are a part of a film or series."""
_GONE: Final = "Its files are not where they were: mount their disk, or say where they are now."


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a scan found.

    Attributes:
        found: items that are new.
        missing: items of which no file is there any more.
        returned: items that are there again.
    """

    found: int = 0
    missing: int = 0
    returned: int = 0


class Scanning:
    """Compares the library with the disk.

    Args:
        items: the library's.
        places: where files lie.
        see_to: is told the ids of items that something has to be found out of.
    """

    def __init__(
        self, items: Items, places: Places, see_to: Callable[[Iterable[str]], None]
    ) -> None:
        self._items, self._places, self._see_to = items, places, see_to

    async def scan(self, folders: Sequence[str]) -> Scanned:
        """Looks whether all files are there, and takes in what is new in folders of roots.

        Args:
            folders: `<root>` or `<root>/<path>` each.

        Raises:
            InvalidSource: one is in no root.
            PathNotFound: one is not there.
        """
        places = [self._places.named(folder) for folder in folders]
        counted = await self._check()
        found = 0
        if places:
            known = await self._known()
            for place in places:
                files = await self._places.found_in(place)
                fresh = [file for file in files if file.path not in known]
                found += await self._take_in(place.urn, fresh)
        return replace(counted, found=found)

    async def _check(self) -> Scanned:
        missing = returned = 0
        async for item in self._items.store.all():
            gone = await self._places.missing(item.files)
            if gone == {file.index for file in item.files if file.missing}:
                continue
            after = await self._items.change(item.id, partial(without, gone=gone))
            missing += after.state is ItemState.MISSING
            if item.state is ItemState.MISSING and after.state is not ItemState.MISSING:
                returned += 1
                self._see_to([item.id])
        return Scanned(missing=missing, returned=returned)

    async def _known(self) -> set[str]:
        """The paths of all files that no job brought."""
        return {
            file.path
            async for item in self._items.store.all()
            for file in item.files
            if file.job_id is None
        }

    async def _take_in(self, top: str, files: Sequence[ItemFile]) -> int:
        """Makes items of files that nobody knew; returns how many."""
        found = await asyncio.to_thread(lambda: list(_read(top, files)))
        for first in range(0, len(found), _AT_ONCE):
            added = [one.as_item(utc_now()) for one in found[first : first + _AT_ONCE]]
            async with self._items.alone:
                await self._items.apply(added)
            self._see_to(item.id for item in added)
        return len(found)


def without(item: Item, gone: frozenset[int]) -> Item:
    """The item with those of its files missing that are gone."""
    files = tuple(replace(file, missing=file.index in gone) for file in item.files)
    main = [file for file in files if file.role is FileRole.MAIN]
    if main and all(file.missing for file in main):
        return replace(item, files=files, state=ItemState.MISSING, reason=_GONE)
    if item.state is ItemState.MISSING:
        return replace(item, files=files, state=ItemState.MATCHED, reason=None)
    return replace(item, files=files)


def _read(top: str, files: Sequence[ItemFile]) -> Iterator[Found]:
    """The films and series below a folder, those of each of its folders together."""
    folders: dict[str, list[ItemFile]] = {}
    for file in files:
        folders.setdefault(_folder_of(file.path, top), []).append(file)
    for folder, members in folders.items():
        if folder == top:
            for film in members:
                yield from read_files(_with_subtitles(film, members)) if is_video(film.path) else ()
        else:
            yield from read_files(members, folder)


def _folder_of(path: str, top: str) -> str:
    """The folder of the film or series that a file is of; `top` if it lies there itself."""
    folder = PurePosixPath(path).parent
    while str(folder) != top and _INNER.fullmatch(folder.name):
        folder = folder.parent
    return str(folder)


def _with_subtitles(film: ItemFile, files: Iterable[ItemFile]) -> list[ItemFile]:
    """A film and what lies beside it under its name."""
    stem = PurePosixPath(film.path).stem
    named = (file for file in files if not is_video(file.path))
    return [film, *(file for file in named if PurePosixPath(file.path).name.startswith(stem))]
