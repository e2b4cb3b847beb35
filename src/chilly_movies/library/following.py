"""Brings what has arrived into the library: work that follows the stored changes of jobs.

Items and cursor are stored together, so that a film is taken in once, whenever the program is
killed. Nothing here asks a network; what an item is and where it is filed is found out afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from chilly_movies.errors import JobNotFound
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import Change, Completed, Moved, Removed
from chilly_movies.jobs.models import Job, Status
from chilly_movies.library.intake import Found, files_of, folder_of, read_files
from chilly_movies.library.items import Items
from chilly_movies.library.models import Item, ItemFile, ItemState
from chilly_movies.library.ports import LibraryQuery
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.clocks import utc_now

_CONCERN: Final = frozenset({Completed.name, Moved.name, Removed.name})
"""The events after which an item may have to be another."""
_AT_ONCE: Final = 200
"""Jobs of which the items are stored together, when all jobs are looked at."""


@dataclass(slots=True)
class _Batch:
    """What is stored together."""

    added: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [item.id for item in (*self.added, *self.changed)]


class JobWork:
    """The `Work` of the library: every film that has arrived becomes an item, or a part of one.

    Args:
        items: the library's.
        downloader: whose jobs are followed.
        see_to: is told the ids of items that something has to be found out of.
    """

    def __init__(
        self, items: Items, downloader: Downloader, see_to: Callable[[Iterable[str]], None]
    ) -> None:
        self._items, self._downloader, self._see_to = items, downloader, see_to

    async def cursor(self) -> int | None:
        """The number of the change up to which all is done, None = nothing was ever."""
        return await self._items.store.cursor()

    async def handle(self, changes: Sequence[Change]) -> None:
        """Takes in what these changes are about, and stores it with the cursor."""
        about = dict.fromkeys(change.id for change in changes if change.event in _CONCERN)
        batch = _Batch()
        async with self._items.alone:
            for job_id in about:
                await self._take(await self._job(job_id), job_id, batch)
            failpoints.reach("library.taken")
            await self._items.apply(batch.added, batch.changed, cursor=changes[-1].seq)
        failpoints.reach("library.noted")
        self._see_to(batch.ids)

    async def resync(self, jobs: Sequence[Job], seq: int) -> None:
        """Takes in every film that is there: the first time, and after changes were lost."""
        done = [job for job in jobs if job.status is Status.COMPLETED]
        for first in range(0, len(done), _AT_ONCE):
            await self._take_all(done[first : first + _AT_ONCE], None)
        await self._take_all([], seq)

    async def _take_all(self, jobs: Sequence[Job], cursor: int | None) -> None:
        batch = _Batch()
        async with self._items.alone:
            for job in jobs:
                await self._take(job, job.id, batch)
            await self._items.apply(batch.added, batch.changed, cursor=cursor)
        failpoints.reach("library.scanned")
        self._see_to(batch.ids)

    async def _job(self, job_id: str) -> Job | None:
        try:
            return await self._downloader.status(job_id)
        except JobNotFound:
            return None

    async def _take(self, job: Job | None, job_id: str, batch: _Batch) -> None:
        """Adds to the batch what a job, or its end, makes of the library's items."""
        known = await self._items.found(LibraryQuery(job_id=job_id, limit=500))
        if job is None:
            batch.changed += [_without_job(item, job_id) for item in known]
        elif job.status is Status.COMPLETED:
            found = await asyncio.to_thread(read_job, job)
            there = {file.job_file: file for file in files_of(job)}
            told = [_with_places(item, job_id, there) for item in known]
            batch.changed += [new for new, old in zip(told, known, strict=True) if new is not old]
            batch.added += _new_items(found, known, job_id)


def read_job(job: Job) -> tuple[Found, ...]:
    """The films and series that came with a job, as its files' names and its labels say."""
    return read_files(files_of(job), folder_of(job), job.labels)


def _new_items(found: Iterable[Found], known: Sequence[Item], job_id: str) -> list[Item]:
    """Items of those that have no file in the library yet."""
    have = {file.job_file for item in known for file in item.files if file.job_id == job_id}
    fresh = [one for one in found if not any(file.job_file in have for file in one.files)]
    return [one.as_item(utc_now()) for one in fresh]


def _with_places(item: Item, job_id: str, there: Mapping[int | None, ItemFile]) -> Item:
    """The item with the places that a job's files lie at now; the item itself if it is the same."""

    def placed(file: ItemFile) -> ItemFile:
        now = there.get(file.job_file) if file.job_id == job_id else None
        if now is None or (now.path == file.path and not file.missing):
            return file
        return replace(file, path=now.path, size=now.size, missing=False)

    files = tuple(map(placed, item.files))
    if files == item.files:
        return item
    state = ItemState.MATCHED if item.state is ItemState.MISSING else item.state
    return replace(item, files=files, state=state, changed_at=utc_now())


def _without_job(item: Item, job_id: str) -> Item:
    """The item of a job that is gone: its files have no number there any more."""
    files = tuple(
        replace(file, job_file=None) if file.job_id == job_id else file for file in item.files
    )
    return replace(item, files=files, changed_at=utc_now())
