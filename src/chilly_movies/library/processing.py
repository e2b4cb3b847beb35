"""Brings items from new to filed, one after the other, beside the follower that takes them in.

How far an item is says its state, so that after a crash the work goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol

import structlog

from chilly_movies.errors import ChillyError, ItemNotFound
from chilly_movies.library.filing import FilingPlan
from chilly_movies.library.identification import SILENT, Identification
from chilly_movies.library.items import Items
from chilly_movies.library.models import Item, ItemFacts, ItemState
from chilly_movies.library.ports import LibraryQuery
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.clocks import utc_now

log = structlog.get_logger(__name__)

_AGAIN: Final = 300.0
"""Seconds until what could not be done is tried once more."""
_UNDONE: Final = (ItemState.NEW, ItemState.MATCHED)


class Shelf(Protocol):
    """Files items in a tree that media servers read."""

    async def plan(self, item: Item) -> FilingPlan:
        """What filing an item would do; nothing is changed."""
        ...

    async def file(self, item: Item) -> Item:
        """Puts all that is known of an item into the tree; what stands there already stays.

        Returns:
            The item with the places of its files.

        Raises:
            ChillyError: it cannot be; the message says why.
            OSError: the disk refused.
        """
        ...

    async def undo(self, item: Item) -> Item:
        """Takes all that was filed of an item out of the tree; what is not ours stays.

        Returns:
            The item without places in the tree.

        Raises:
            ChillyError: it cannot be; the message says why.
            OSError: the disk refused.
        """
        ...

    async def go_on(self) -> None:
        """Ends what a crash interrupted."""
        ...


class Processing:
    """Sees to items that something has to be found out of, or that have to be filed.

    Args:
        items: the library's.
        identification: finds out what items are.
        shelf: files them, None = they are not filed.
        again: seconds until what could not be done is tried once more.
    """

    def __init__(
        self,
        items: Items,
        identification: Identification,
        shelf: Shelf | None,
        *,
        again: float = _AGAIN,
    ) -> None:
        self._items, self._identification, self._shelf = items, identification, shelf
        self._again = again
        self._waiting: dict[str, None] = {}
        self._later: dict[str, None] = {}
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()

    def add(self, item_ids: Iterable[str]) -> None:
        """Sees to these items soon."""
        for item_id in item_ids:
            self._waiting[item_id] = None
        if self._waiting:
            self._idle.clear()
            self._bell.set()

    async def wait_idle(self) -> None:
        """Waits until there is nothing to do now."""
        await self._idle.wait()

    async def run(self) -> None:
        """Works until it is cancelled."""
        await self._begin()
        while True:
            while self._waiting:
                item_id = next(iter(self._waiting))
                del self._waiting[item_id]
                await self._try(item_id)
            self._idle.set()
            self._bell.clear()
            try:
                async with asyncio.timeout(self._again if self._later else None):
                    await self._bell.wait()
            except TimeoutError:
                later, self._later = self._later, {}
                self.add(later)

    async def _begin(self) -> None:
        """Goes on with what the last run did not end."""
        while True:
            try:
                if self._shelf is not None:
                    await self._shelf.go_on()
                states = (ItemState.NEW,) if self._shelf is None else _UNDONE
                unfinished = await self._items.found(LibraryQuery(states=states, limit=500))
                break
            except (ChillyError, OSError) as error:
                log.warning("the library tries again", problem=str(error))
                await asyncio.sleep(self._again)
        self.add(item.id for item in unfinished)

    async def _try(self, item_id: str) -> None:
        try:
            await self._see_to(item_id)
        except ItemNotFound:
            return  # it was removed meanwhile
        except (ChillyError, OSError) as error:
            log.warning("an item waits", item=item_id, problem=str(error))
            self._later[item_id] = None
        except Exception as error:  # the others' turn comes all the same
            log.error("an item failed", item=item_id, exc_info=error)

    async def _see_to(self, item_id: str) -> None:
        item = await self._items.get(item_id)
        if item.state is ItemState.NEW or item.reason == SILENT:
            item = await self._identify(item)
            failpoints.reach("library.matched")
        if item.state is ItemState.MATCHED and self._shelf is not None and not item.kept_out:
            await self._file(item, self._shelf)
            failpoints.reach("library.filed")

    async def _identify(self, item: Item) -> Item:
        """Finds out what it is, and keeps that unless the user said something else meanwhile."""
        found = await self._identification.identify(item)
        if found.again:
            self._later[item.id] = None
        async with self._items.alone:
            now = await self._items.get(item.id)
            if _aim(now) != _aim(item):
                self.add([item.id])
                return now
            return await self._keep(now, _as_found(now, found.item))

    async def _keep(self, before: Item, item: Item) -> Item:
        """Keeps what was found out; an item of the same title takes the files."""
        if item.state is ItemState.MATCHED and (other := await self._same(item)) is not None:
            whole = joined(other, item)
            if self._shelf is not None and any(file.filed for file in item.files):
                await self._shelf.undo(item)
            await self._items.apply(changed=[whole], removed=[item])
            return whole
        if item != before:
            await self._items.apply(changed=[replace(item, changed_at=utc_now())])
        return item

    async def _same(self, item: Item) -> Item | None:
        """Another item that is the same film or series."""
        if item.ref is None:
            query = LibraryQuery(text=item.title, kind=item.kind, year=item.year, limit=20)
        else:
            query = LibraryQuery(ref=item.ref, kind=item.kind, limit=2)
        page = await self._items.store.page(query)
        return next(
            (
                other
                for other in page.items
                if other.id != item.id
                and other.ref == item.ref
                and (item.ref is not None or other.title.casefold() == item.title.casefold())
                and other.state in (ItemState.MATCHED, ItemState.FILED, ItemState.MISSING)
            ),
            None,
        )

    async def _file(self, item: Item, shelf: Shelf) -> None:
        try:
            filed = await shelf.file(item)
        except (ChillyError, OSError) as error:
            sentence = error.strerror if isinstance(error, OSError) else str(error)
            reason = f"It could not be filed: {sentence}"
            await self._items.change(
                item.id, lambda now: now if now.reason == reason else replace(now, reason=reason)
            )
            raise
        places = {file.index: file for file in filed.files}

        def with_places(now: Item) -> Item:
            files = tuple(
                replace(file, filed=places[file.index].filed, how=places[file.index].how)
                if file.index in places
                else file
                for file in now.files
            )
            done = now.state is ItemState.MATCHED and len(now.files) == len(item.files)
            state = ItemState.FILED if done else now.state
            reason = now.reason if now.reason == SILENT else None
            return replace(now, files=files, state=state, reason=reason)

        await self._items.change(item.id, with_places)


def _aim(item: Item) -> tuple[object, ...]:
    """What of an item decides what it is found to be."""
    return item.ref, item.chosen, item.title, item.files


def _as_found(now: Item, found: Item) -> Item:
    """An item as it is now, with what was found out of it meanwhile."""
    return replace(found, favourite=now.favourite, kept_out=now.kept_out, changed_at=now.changed_at)


def joined(item: Item, other: Item) -> Item:
    """An item with the files and episodes of another one that is the same."""
    known = {(file.path, file.job_id) for file in item.files}
    first = max((file.index for file in item.files), default=-1) + 1
    fresh = [file for file in other.files if (file.path, file.job_id) not in known]
    files = tuple(replace(file, index=first + n) for n, file in enumerate(fresh))
    have = {(episode.season, episode.number): episode for episode in item.episodes}
    have |= {(episode.season, episode.number): episode for episode in other.episodes}
    return replace(
        item,
        state=ItemState.MATCHED,
        reason=other.reason,
        chosen=item.chosen or other.chosen,
        ref=item.ref or other.ref,
        facts=item.facts if other.facts == ItemFacts() else other.facts,
        files=item.files + files,
        episodes=tuple(have[key] for key in sorted(have)),
        changed_at=other.changed_at,
    )
