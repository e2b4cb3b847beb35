"""The library: what the user has, and the verbs that change it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from chilly_movies.catalogue.titles import TitleKind, TitleRef
from chilly_movies.disk.roots import Roots
from chilly_movies.disk.tree import DiskTree
from chilly_movies.disk.volume import MediaVolume
from chilly_movies.errors import FileNotFound, IllegalTransition, InvalidRequest, JobNotFound
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.library.copies import Copies, Duplicates
from chilly_movies.library.exchange import Imported, bring, export
from chilly_movies.library.filing import Filer, FilingPlan
from chilly_movies.library.following import JobWork
from chilly_movies.library.identification import Identification, Titles
from chilly_movies.library.items import Items
from chilly_movies.library.models import Item, ItemFile, ItemState, Position
from chilly_movies.library.naming import Naming
from chilly_movies.library.places import Places
from chilly_movies.library.ports import (
    FilingJournal,
    LibraryPage,
    LibraryQuery,
    LibraryStore,
    PositionStore,
)
from chilly_movies.library.processing import Processing, Shelf
from chilly_movies.library.scanning import Scanned, Scanning, without
from chilly_movies.library.settings import LibrarySettings
from chilly_movies.library.shelf import FilerShelf
from chilly_movies.library.templates import NamingStyle
from chilly_movies.runtime.clocks import utc_now

FOLLOWER: Final = "library"
Leave = Literal["keep", "bin", "delete"]
"""What becomes of the files of an item that is removed."""
MAX_VIEWER: Final = 64
"""Characters of a viewer's name."""


class KeptLibrary(LibraryStore, PositionStore, FilingJournal, Protocol):
    """Keeps items, positions and filings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryParts:
    """What a library is made of.

    Attributes:
        store: where items and positions are kept.
        catalogue: says what films are; None = only their names do.
        shelf: files items for media servers; None = they are not filed.
        places: finds files; None = there are none to be found.
    """

    store: KeptLibrary
    catalogue: Titles | None = None
    shelf: Shelf | None = None
    places: Places = field(default_factory=lambda: Places(None))


class Library:
    """The library of one downloader. It works while that is open.

    Args:
        parts: what it is made of.
    """

    def __init__(self, parts: LibraryParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._items = Items(parts.store)
        self._processing = Processing(
            self._items, Identification(parts.catalogue, self._labels, parts.places), parts.shelf
        )
        self._places = parts.places
        self._scanning = Scanning(self._items, parts.places, self._processing.add)
        self._duplicates = Duplicates(self._items, parts.places)
        self._downloader: Downloader | None = None
        self._task: asyncio.Task[None] | None = None

    # --- life -------------------------------------------------------------------------------

    def open(self, downloader: Downloader) -> None:
        """Begins to follow the jobs of a downloader, which is open. Idempotent."""
        if self._downloader is not None:
            return
        self._downloader = downloader
        self._items.tell = downloader.tell
        work = JobWork(self._items, downloader, self._processing.add)
        downloader.followers.begin(FOLLOWER, work)
        self._task = asyncio.create_task(self._processing.run(), name="library")

    async def aclose(self) -> None:
        """Ends the work; it goes on at the next start. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close_store(self) -> None:
        """Closes what the items are kept in. Idempotent."""
        await self._store.aclose()

    async def wait_idle(self) -> None:
        """Waits until nothing has to be found out or filed."""
        await self._processing.wait_idle()

    async def _labels(self, job_id: str) -> Mapping[str, str]:
        if self._downloader is None:
            return {}
        try:
            return (await self._downloader.status(job_id)).labels
        except JobNotFound:
            return {}

    # --- questions --------------------------------------------------------------------------

    async def page(self, query: LibraryQuery) -> LibraryPage:
        """Some of the items; see `LibraryStore.page`."""
        return await self._store.page(query)

    async def get(self, item_id: str) -> Item:
        """One item.

        Raises:
            ItemNotFound: there is none with this id.
        """
        return await self._items.get(item_id)

    async def positions(self, item_id: str, viewer: str) -> tuple[Position, ...]:
        """How far a viewer watched the files of an item.

        Raises:
            ItemNotFound: there is none with this id.
        """
        await self._items.get(item_id)
        return await self._store.positions(item_id, check_viewer(viewer))

    async def watching(self, viewer: str, limit: int) -> list[tuple[Item, Position]]:
        """What a viewer began and did not end, newest first."""
        began = await self._store.watching(check_viewer(viewer), limit)
        items = [await self._store.get(position.item_id) for position in began]
        both = zip(items, began, strict=True)
        return [(item, position) for item, position in both if item is not None]

    def export(self) -> AsyncIterator[bytes]:
        """The whole library as JSON lines, some at a time."""
        return export(self._store)

    # --- verbs ------------------------------------------------------------------------------

    async def put_position(
        self, item_id: str, viewer: str, file_index: int, seconds: float, *, seen: bool
    ) -> Position:
        """Keeps how far a viewer watched a file.

        Raises:
            ItemNotFound: there is no item with this id.
            FileNotFound: it has no such file.
        """
        file_of(await self._items.get(item_id), file_index)
        position = Position(item_id, check_viewer(viewer), file_index, seconds, seen, utc_now())
        await self._store.put_position(position)
        return position

    async def edit(self, item_id: str, changes: Mapping[str, Any]) -> Item:
        """Changes what is kept of an item: `title`, `year`, `favourite`, or members of its facts.

        Raises:
            ItemNotFound: there is none with this id.
        """
        own = {name: changes[name] for name in ("title", "year", "favourite") if name in changes}
        about = {name: value for name, value in changes.items() if name not in own}

        def edited(item: Item) -> Item:
            after = replace(item, **own, facts=replace(item.facts, **about))
            return item if after == item else self._to_be_filed(after, item)

        item = await self._items.change(item_id, edited)
        self._processing.add([item_id])
        return item

    def _to_be_filed(self, after: Item, before: Item) -> Item:
        """The changed item, to be filed anew if it stands in the tree as it was before."""
        same = replace(after, favourite=before.favourite) == before
        if same or before.state is not ItemState.FILED or self._parts.shelf is None:
            return after
        return replace(after, state=ItemState.MATCHED)

    async def match(
        self,
        item_id: str,
        *,
        ref: TitleRef | None = None,
        kind: TitleKind | None = None,
        title: str | None = None,
        year: int | None = None,
    ) -> Item:
        """Says what an item is; nothing overrules that. What follows is done soon afterwards.

        Args:
            item_id: which.
            ref: of a catalogue; its facts are taken.
            kind: without a ref, whether it is a film or a series; None = as it was.
            title: without a ref, what it is called.
            year: without a ref, of the first release.

        Raises:
            ItemNotFound: there is none with this id.
            InvalidRequest: neither a ref nor a title is given.
        """
        if ref is None and title is None:
            raise InvalidRequest("Either a ref or a title must be given.", field="ref")

        def chosen(item: Item) -> Item:
            after = replace(
                item, ref=ref, chosen=True, state=ItemState.NEW, reason=None, matches=()
            )
            if ref is not None:
                return after
            return replace(after, kind=kind or item.kind, title=title or item.title, year=year)

        item = await self._items.change(item_id, chosen)
        self._processing.add([item_id])
        return item

    def _shelf(self) -> Shelf:
        if self._parts.shelf is None:
            raise InvalidRequest(
                "Nothing is filed: the setting CHILLY_LIBRARY_ROOT names the folder for it."
            )
        return self._parts.shelf

    async def plan(self, item_id: str) -> FilingPlan:
        """What filing an item would do; nothing is changed.

        Raises:
            ItemNotFound: there is none with this id.
            InvalidRequest: nothing is filed here, or it is not known yet what it is.
            DiskError: the tree cannot be read.
        """
        return await self._shelf().plan(_known(await self._items.get(item_id)))

    async def file(self, item_id: str) -> Item:
        """Files an item, also one that was taken out of the tree. It is done soon afterwards.

        Raises:
            ItemNotFound: there is none with this id.
            InvalidRequest: nothing is filed here, or it is not known yet what it is.
        """
        self._shelf()

        def wanted(item: Item) -> Item:
            return replace(_known(item), kept_out=False, state=ItemState.MATCHED)

        item = await self._items.change(item_id, wanted)
        self._processing.add([item_id])
        return item

    async def undo(self, item_id: str) -> Item:
        """Takes out of the tree all that filing put there of an item; it stays out.

        Raises:
            ItemNotFound: there is none with this id.
            InvalidRequest: nothing is filed here.
            DiskError: the tree cannot be written.
        """
        shelf = self._shelf()
        item = await self._items.change(item_id, lambda now: replace(now, kept_out=True))
        after = await shelf.undo(item)

        def taken_out(now: Item) -> Item:
            places = {file.index: file for file in after.files}
            files = (replace(places.get(f.index, f), missing=f.missing) for f in now.files)
            state = ItemState.MATCHED if now.state is ItemState.FILED else now.state
            return replace(now, files=tuple(files), state=state, kept_out=True)

        return await self._items.change(item_id, taken_out)

    async def scan(self, folders: Sequence[str] = ()) -> Scanned:
        """Looks whether all files are there, and takes in what is new in folders of roots.

        Args:
            folders: `<root>` or `<root>/<path>` each, of `CHILLY_ROOTS`.

        Raises:
            InvalidSource: one is in no root.
            PathNotFound: one is not there.
        """
        return await self._scanning.scan(folders)

    async def bring(self, path: str) -> Imported:
        """Takes over an export; items with the same ids are replaced, others stay.

        Args:
            path: `<root>/<path>`, or an absolute path, in one of `CHILLY_ROOTS`.

        Raises:
            InvalidSource: the path lies in no root.
            PathNotFound: there is no ordinary file.
            InvalidRequest: it is no export of a library.
        """
        return await bring(self._store, self._places.read(self._places.named(path)))

    async def relink(self, item_id: str, file_index: int, path: str) -> Item:
        """Says where a file of an item lies now.

        Args:
            item_id: which item.
            file_index: which of its files.
            path: `<root>/<path>`, or an absolute path, in one of `CHILLY_ROOTS`.

        Raises:
            ItemNotFound: there is no item with this id.
            FileNotFound: it has no such file.
            InvalidSource: the path lies in no root.
            PathNotFound: there is no ordinary file.
        """
        file_of(await self._items.get(item_id), file_index)
        place = self._places.named(path)
        size = await self._places.size(place)

        def linked(item: Item) -> Item:
            old = file_of(item, file_index)
            new = replace(old, path=place.urn, size=size, job_id=None, job_file=None, digest=None)
            files = tuple(new if file is old else file for file in item.files)
            gone = frozenset(file.index for file in files if file.missing) - {file_index}
            return without(replace(item, files=files), gone)

        item = await self._items.change(item_id, linked)
        self._processing.add([item_id])
        return item

    async def duplicates(self) -> list[Copies]:
        """Films that are there more than once. Reads samples of files that have one size."""
        return await self._duplicates.find()

    async def remove(self, item_id: str, *, files: Leave = "keep") -> None:
        """Takes an item from the library.

        Args:
            item_id: which.
            files: what becomes of its files. With `bin` and `delete` its jobs are removed, too, and
                what was filed of it.

        Raises:
            ItemNotFound: there is none with this id.
            IllegalTransition: one of its jobs brought other items, too.
            ChillyError: a file cannot be moved.
        """
        item = await self._items.get(item_id)
        if files != "keep":
            await self._remove_files(item, for_good=files == "delete")
        async with self._items.alone:
            await self._items.apply(removed=[await self._items.get(item_id)])

    async def _remove_files(self, item: Item, *, for_good: bool) -> None:
        jobs = sorted({f.job_id for f in item.files if f.job_id and f.job_file is not None})
        for job_id in jobs:
            others = await self._items.found(LibraryQuery(job_id=job_id, limit=500))
            if any(other.id != item.id for other in others):
                raise IllegalTransition(
                    f"Job '{job_id}' brought other items, too: remove the job to delete its files."
                )
        if self._parts.shelf is not None:
            await self._parts.shelf.undo(item)
        for job_id in jobs:
            with suppress(JobNotFound):
                if self._downloader is not None:
                    await self._downloader.remove(job_id, delete_files=for_good)
        left = [file for file in item.files if not (for_good and file.job_id in jobs)]
        if for_good:
            await self._places.delete(left)
        else:
            await self._places.to_bin(left, item.id)


def _known(item: Item) -> Item:
    """The item, if it can be filed.

    Raises:
        InvalidRequest: it cannot.
    """
    if item.state not in (ItemState.MATCHED, ItemState.FILED):
        raise InvalidRequest(f"It is not filed while it is {item.state}: choose what it is first.")
    return item


def file_of(item: Item, index: int) -> ItemFile:
    """A file of an item.

    Raises:
        FileNotFound: it has no such file.
    """
    for file in item.files:
        if file.index == index:
            return file
    raise FileNotFound(f"Item '{item.id}' has no file {index}.")


def check_viewer(viewer: str) -> str:
    """The name of a viewer, if it can be one.

    Raises:
        InvalidRequest: it is empty, too long, or cannot be printed.
    """
    if not viewer.strip() or len(viewer) > MAX_VIEWER or not viewer.isprintable():
        raise InvalidRequest(
            f"The viewer must be a name of 1 to {MAX_VIEWER} characters.", field="viewer"
        )
    return viewer


def library_of(
    settings: LibrarySettings,
    store: KeptLibrary,
    media: Path,
    roots: Roots,
    catalogue: Titles | None = None,
) -> Library | None:
    """The library that the settings describe, None if they want none.

    Args:
        settings: the user's.
        store: where it is kept.
        media: the media folder.
        roots: the folders that films may be taken from.
        catalogue: says what films are, and has their pictures; None = only their names do.
    """
    if not settings.enabled:
        return None
    places = Places(media, roots, MediaVolume(media))
    shelf = None
    if settings.root is not None:
        naming = Naming(NamingStyle(settings.naming))
        filer = Filer(DiskTree(settings.root), naming, store, places.of)
        shelf = FilerShelf(filer, catalogue, store.get)
    return Library(LibraryParts(store=store, catalogue=catalogue, shelf=shelf, places=places))
