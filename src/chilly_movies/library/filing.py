"""Filing: the files of an item come into the tree that media servers read, and out of it again.

What is to be done is kept before it is done, so that a crash at any place leaves either nothing or
something that `recover` ends. Nothing that somebody else put into the tree is touched, and the last
name of a film is never removed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Literal, Protocol, TypeVar

from chilly_movies.disk.roots import RootedPath
from chilly_movies.disk.volume import disk_error
from chilly_movies.errors import ChillyError, FileNotFound
from chilly_movies.library import nfo
from chilly_movies.library.models import (
    FiledFile,
    FileRole,
    Filing,
    FilingState,
    How,
    Item,
    ItemFile,
    ItemState,
)
from chilly_movies.library.naming import Naming, stem_of
from chilly_movies.library.ports import FilingJournal
from chilly_movies.runtime import failpoints, tasks

T = TypeVar("T")

_PICTURES = {"poster": "poster", "backdrop": "fanart"}
_SIGNS = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"RIFF", ".webp"))


class Tree(Protocol):
    """The folder that media servers read; `disk.tree.DiskTree` implements it. All methods block.

    All raise `DiskError` and `OSError`; its docstrings say when.
    """

    def is_free(self, place: PurePosixPath) -> bool:
        """Whether nothing has a name, or one that some systems take for the same."""
        ...

    def way(self, source: RootedPath) -> Literal["hardlink", "reflink", "copy"]:
        """How a file would come into the tree."""
        ...

    def stage(
        self,
        key: str,
        number: int,
        source: RootedPath | bytes | PurePosixPath,
        *,
        mark: str = "",
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[Literal["hardlink", "reflink", "copy"], str]:
        """Makes a file ready; how it came, and its mark."""
        ...

    def put(self, key: str, number: int, place: PurePosixPath, mark: str) -> None:
        """Gives a file that was made ready its place; done twice, it is done once."""
        ...

    def remove(
        self, place: PurePosixPath, mark: str | None, *, to_bin: bool = False
    ) -> Literal["changed", "last"] | None:
        """Takes a file of ours out, or an empty folder; why it stays, None = it does not."""
        ...

    def clear(self, key: str) -> None:
        """Removes what was made ready and not put anywhere."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that filing would put into the tree.

    Attributes:
        place: where, relative to the tree.
        size: bytes.
        index: the number of the item's file, None = one that we write.
        how: how it would come, None = it is there already.
        data: what we write.
    """

    place: str
    size: int
    index: int | None = None
    how: How | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class FilingPlan:
    """What filing would do for an item.

    Attributes:
        files: what the tree holds of it then.
        removed: what stands there of an earlier filing, and would go.
        collisions: names that somebody else has, for which others were found.
        left_out: the numbers of the item's files that do not come into the tree.
    """

    item: Item
    files: tuple[PlannedFile, ...]
    removed: tuple[str, ...] = ()
    collisions: tuple[str, ...] = ()
    left_out: tuple[int, ...] = ()


class Filer:
    """Files items, and takes them out again.

    Args:
        tree: the folder that media servers read.
        naming: where files stand there.
        journal: keeps what is done.
        source: where a file of an item lies.
    """

    def __init__(
        self,
        tree: Tree,
        naming: Naming,
        journal: FilingJournal,
        source: Callable[[ItemFile], RootedPath],
    ) -> None:
        self._tree, self._naming, self._journal, self._source = tree, naming, journal, source
        self._lock = asyncio.Lock()

    async def plan(
        self,
        item: Item,
        *,
        pictures: Mapping[str, bytes] | None = None,
        early: Mapping[int, str] | None = None,
    ) -> FilingPlan:
        """What filing an item would do; nothing is changed.

        Args:
            item: the item; files that are missing are left out.
            pictures: by what they are: `poster`, `backdrop`; others are passed over, and those that
                were filed before and are not given stay.
            early: by the number of a file that is not filed yet, the link that it is played from: a
                `.strm` file holds its place until then.

        Raises:
            DiskError: the tree cannot be read.
        """
        known = await self._journal.filing(item.id)
        ours = {} if known is None else {file.place: file for file in known.files}
        plan = partial(self._planned, item, ours, pictures or {}, early or {})
        return await _on_tree(lambda _: plan())

    def _planned(
        self,
        item: Item,
        ours: Mapping[str, FiledFile],
        pictures: Mapping[str, bytes],
        early: Mapping[int, str],
    ) -> FilingPlan:
        def is_taken(place: PurePosixPath) -> bool:
            return str(place) not in ours and not self._tree.is_free(place)

        collisions: list[str] = []
        filed = {one.index for one in ours.values()}
        there = [file for file in item.files if not file.missing or file.index in filed]
        present = replace(item, files=tuple(there))
        for number in range(1, 10_000):
            places = self._naming.places(present, number=number)
            wanted = {i for i in early if i in places and i not in filed}
            links = {i: _strm(places[i], item, i) for i in wanted}
            taken = [place for place in {**places, **links}.values() if is_taken(place)]
            if not taken:
                break
            collisions += map(str, taken)
        folder = self._naming.folder(item, number=number)
        written = nfo.write(present, places, folder)
        written |= {folder / name: data for name, data in _named_pictures(pictures)}
        pictures_kept = [
            PlannedFile(place, 0)
            for place, one in ours.items()
            if _is_picture(one, folder) and PurePosixPath(place) not in written
        ]
        for index, place in links.items():
            del places[index]
            written[place] = f"{early[index]}\n".encode()
        files = (
            *self._of_item(item, places, ours),
            *(
                PlannedFile(str(place), len(data), data=data, how=How.COPY)
                for place, data in written.items()
                if not is_taken(place)
            ),
            *pictures_kept,
        )
        kept = {file.place for file in files}
        return FilingPlan(
            item,
            files,
            removed=tuple(place for place in ours if place not in kept),
            collisions=tuple(collisions),
            left_out=tuple(f.index for f in item.files if f.index not in {*places, *links}),
        )

    def _of_item(
        self, item: Item, places: Mapping[int, PurePosixPath], ours: Mapping[str, FiledFile]
    ) -> Iterator[PlannedFile]:
        way: How | None = None
        moved = {one.index: one.how for one in ours.values()}
        for file in item.files:
            if (place := places.get(file.index)) is None:
                continue
            known = ours.get(str(place))
            if known is not None and known.index == file.index:
                yield PlannedFile(str(place), file.size, file.index)
                continue
            if (how := moved.get(file.index)) is None:
                how = way = way or How(self._tree.way(self._source(file)))
            yield PlannedFile(str(place), file.size, file.index, how)

    # --- doing ------------------------------------------------------------------------------

    async def file(self, plan: FilingPlan) -> Filing:
        """Does what a plan says; files that it filed before and does not name go.

        Raises:
            FileNotFound: a file of the item is not there; nothing was changed.
            DiskError: the tree cannot be written; what is left, `recover` or the next call ends.
            StoreError: the journal cannot be written.
        """
        async with self._lock:
            known = await self._journal.filing(plan.item.id)
            if known is not None and known.state is not FilingState.FILED:
                await self._end(known, plan.item)
                known = await self._journal.filing(plan.item.id)
            filing = await _on_tree(lambda _: self._intended(plan, known))
            await self._journal.keep_filing(filing)
            failpoints.reach("filing.intended")
            try:
                filing = await _on_tree(partial(self._staged, plan, filing))
            except (ChillyError, asyncio.CancelledError):
                await tasks.to_the_end(self._give_up(filing))
                raise
            await self._journal.keep_filing(filing)
            failpoints.reach("filing.staged")
            return await self._finish(filing, plan.item)

    def _intended(self, plan: FilingPlan, known: Filing | None) -> Filing:
        """What is to be done: files without a mark are to be made ready, those with one stand."""
        before = {} if known is None else {file.place: file for file in known.files}
        files, kept = [], set()
        for planned in plan.files:
            old = before.get(planned.place)
            if planned.data is None and old is not None and old.index == planned.index:
                files.append(old)
                kept.add(old.place)
            else:
                files.append(FiledFile(planned.place, planned.index))
        made = dict.fromkeys(() if known is None else known.folders)
        for folder in _folders(file.place for file in files):
            if self._tree.is_free(folder):
                made[str(folder)] = None
        return Filing(
            plan.item.id,
            FilingState.FILING,
            round=1 if known is None else known.round + 1,
            files=tuple(files),
            replaced=tuple(file for place, file in before.items() if place not in kept),
            folders=tuple(sorted(made)),
        )

    def _staged(self, plan: FilingPlan, filing: Filing, stopped: Callable[[], bool]) -> Filing:
        old = {file.index: file for file in filing.replaced if file.index is not None}
        sources = {file.index: file for file in plan.item.files}
        files = []
        for number, (file, planned) in enumerate(zip(filing.files, plan.files, strict=True)):
            if file.mark is not None:
                files.append(file)
                continue
            stage = partial(self._tree.stage, _key(filing), number, stopped=stopped)
            if planned.index is None:
                how, mark = stage(planned.data or b"")
                files.append(replace(file, how=How(how), mark=mark))
                continue
            moved = self._moved(stage, old.get(planned.index))
            if moved is None:
                how, mark = stage(self._source(sources[planned.index]))
                moved = How(how), mark
            files.append(replace(file, how=moved[0], mark=moved[1]))
        return replace(filing, files=tuple(files))

    def _moved(
        self, stage: Callable[..., tuple[str, str]], old: FiledFile | None
    ) -> tuple[How, str] | None:
        """Takes a file from where it stood in the tree; None if ours is not there any more."""
        if old is None or old.mark is None or old.how is None or old.place.endswith(".strm"):
            return None
        try:
            how, mark = stage(PurePosixPath(old.place), mark=old.mark)
        except FileNotFoundError:
            return None
        return (old.how if mark == old.mark else How(how)), mark

    async def _finish(self, filing: Filing, item: Item | None) -> Filing:
        """Puts what is ready to its place, and removes what is replaced. Done twice, it is once."""
        going = {file.place: file for file in filing.replaced}
        for number, file in enumerate(filing.files):
            if (old := going.get(file.place)) is not None and old.mark != file.mark:
                await _on_tree(lambda _: self._take(old))
            put = partial(self._tree.put, _key(filing), number)
            while True:
                place, mark = PurePosixPath(filing.files[number].place), file.mark or ""
                try:
                    await _on_tree(lambda _: put(place, mark))  # noqa: B023
                    break
                except FileExistsError:
                    filing = await self._elsewhere(filing, number)
            failpoints.reach("filing.put")
        last = await _on_tree(lambda _: self._replaced(filing, item))
        failpoints.reach("filing.replaced")
        filing = replace(filing, files=(*filing.files, *last))
        folders = await _on_tree(lambda _: self._tidied(filing))
        done = replace(filing, state=FilingState.FILED, replaced=(), folders=folders)
        await self._journal.keep_filing(done)
        return done

    def _replaced(self, filing: Filing, item: Item | None) -> list[FiledFile]:
        """Takes out what is replaced; those that are the last name or copy of a film stay."""
        places = {file.place for file in filing.files}
        moved = {file.index for file in filing.files if file.index is not None}
        last = []
        for file in filing.replaced:
            if file.place not in places:
                why = self._take(file) if file.index in moved else self._taken(file, item)
                last += [file] if why == "last" else []
        return last

    async def _elsewhere(self, filing: Filing, number: int) -> Filing:
        """Another place for a file whose name somebody took since it was planned."""
        place = PurePosixPath(filing.files[number].place)

        def free() -> PurePosixPath:
            names = (place.with_stem(f"{place.stem} ({n})") for n in range(2, 10_000))
            return next(name for name in names if self._tree.is_free(name))

        files = list(filing.files)
        files[number] = replace(files[number], place=str(await _on_tree(lambda _: free())))
        filing = replace(filing, files=tuple(files))
        await self._journal.keep_filing(filing)
        return filing

    def _take(self, file: FiledFile) -> str | None:
        return self._tree.remove(PurePosixPath(file.place), file.mark or "never made")

    def _tidied(self, filing: Filing) -> tuple[str, ...]:
        """Removes folders of ours that nothing is in any more; those that are left."""
        self._tree.clear(_key(filing))
        used = {str(folder) for folder in _folders(file.place for file in filing.files)}
        for folder in reversed(filing.folders):
            if folder not in used:
                self._tree.remove(PurePosixPath(folder), None)
        return tuple(folder for folder in filing.folders if folder in used)

    async def _give_up(self, filing: Filing) -> None:
        """Leaves the tree as it was before a filing of which nothing was put to its place."""
        kept = tuple(file for file in filing.files if file.mark is not None)
        before = replace(
            filing, state=FilingState.FILED, files=(*kept, *filing.replaced), replaced=()
        )
        folders = await _on_tree(lambda _: self._tidied(before))
        if before.files:
            await self._journal.keep_filing(replace(before, folders=folders))
        else:
            await self._journal.drop_filing(filing.item_id)

    # --- undoing and recovery ---------------------------------------------------------------

    async def undo(self, item_id: str, item: Item | None = None) -> tuple[str, ...]:
        """Takes all out of the tree that filing put there; it is then as it was before.

        Args:
            item_id: whose.
            item: tells where the originals of copies lie, None = they are not known.

        Returns:
            The places of what stays: files that were changed since, and those whose original is
            gone, for they are the film now; the latter still count as filed.

        Raises:
            DiskError: the tree cannot be written; the next call goes on.
            StoreError: the journal cannot be written.
        """
        async with self._lock:
            filing = await self._journal.filing(item_id)
            if filing is not None and filing.state is FilingState.FILING:
                await self._end(filing, item)
                filing = await self._journal.filing(item_id)
            return () if filing is None else await self._undone(filing, item)

    async def _undone(self, filing: Filing, item: Item | None) -> tuple[str, ...]:
        filing = replace(filing, state=FilingState.UNDOING)
        await self._journal.keep_filing(filing)
        failpoints.reach("filing.undoing")
        last: list[FiledFile] = []
        changed: list[FiledFile] = []
        for file in reversed(filing.files):
            why = await _on_tree(lambda _: self._taken(file, item))  # noqa: B023
            if why is not None:
                (last if why == "last" else changed).append(file)
            failpoints.reach("filing.taken")
        left = replace(filing, state=FilingState.FILED, files=tuple(reversed(last)))
        folders = await _on_tree(lambda _: self._tidied(left))
        if last:
            await self._journal.keep_filing(replace(left, folders=folders))
        else:
            await self._journal.drop_filing(filing.item_id)
        return tuple(sorted(file.place for file in (*last, *changed)))

    def _taken(self, file: FiledFile, item: Item | None) -> str | None:
        """Takes a file out unless it is the only one; a copy is if its original is not there."""
        if file.index is not None and file.how in (How.COPY, How.REFLINK):
            files = () if item is None else item.files
            original = next((one for one in files if one.index == file.index), None)
            if original is None or not self._is_there(original):
                return "last"
        return self._take(file)

    def _is_there(self, file: ItemFile) -> bool:
        try:
            return self._source(file).stat().st_size == file.size
        except (OSError, ChillyError):
            return False

    async def recover(self, get: Callable[[str], Awaitable[Item | None]]) -> tuple[str, ...]:
        """Ends what a crash interrupted. Called once, before anything is filed.

        Args:
            get: finds an item by its id (`LibraryStore.get`).

        Returns:
            The ids of the items of which something was ended.

        Raises:
            DiskError: the tree cannot be written; the next call goes on.
            StoreError: the journal cannot be used.
        """
        async with self._lock:
            found = await self._journal.unfinished_filings()
            for filing in found:
                await self._end(filing, await get(filing.item_id))
            return tuple(filing.item_id for filing in found)

    async def _end(self, filing: Filing, item: Item | None) -> None:
        if filing.state is FilingState.UNDOING:
            await self._undone(filing, item)
        elif all(file.mark is not None for file in filing.files):
            await self._finish(filing, item)
        else:
            await self._give_up(filing)


def with_filing(item: Item, filing: Filing | None) -> Item:
    """An item as it is after its filing; None = it is not filed."""
    filed = {} if filing is None else {one.index: one for one in filing.files}
    files = tuple(
        replace(file, filed=None, how=None)
        if (one := filed.get(file.index)) is None
        else replace(file, filed=one.place, how=one.how)
        for file in item.files
    )
    if any(file.filed and file.role is FileRole.MAIN for file in files):
        return replace(item, files=files, state=ItemState.FILED)
    state = ItemState.MATCHED if item.state is ItemState.FILED else item.state
    return replace(item, files=files, state=state)


def _key(filing: Filing) -> str:
    return f"{filing.item_id}-{filing.round}"


def _strm(place: PurePosixPath, item: Item, index: int) -> PurePosixPath:
    file = next(file for file in item.files if file.index == index)
    return place.parent / (stem_of(place, file) + ".strm")


def _named_pictures(pictures: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for which, data in pictures.items():
        suffix = next((suffix for sign, suffix in _SIGNS if data.startswith(sign)), None)
        if which in _PICTURES and suffix is not None:
            yield _PICTURES[which] + suffix, data


def _is_picture(file: FiledFile, folder: PurePosixPath) -> bool:
    place = PurePosixPath(file.place)
    return file.index is None and place.parent == folder and place.stem in _PICTURES.values()


def _folders(places: Iterable[str]) -> list[PurePosixPath]:
    """All folders that lead to places, outer ones first."""
    found = {folder for place in places for folder in [*PurePosixPath(place).parents][:-1]}
    return sorted(found)


async def _on_tree(work: Callable[[Callable[[], bool]], T]) -> T:
    """Runs blocking work on the tree in a thread, to its end; it is told when nobody waits.

    Raises:
        FileExistsError: as it is.
        FileNotFound: something is not there.
        DiskError: the disk refused.
    """
    stop = threading.Event()
    try:
        return await tasks.to_the_end(asyncio.to_thread(work, stop.is_set), stop.set)
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        raise FileNotFound(f"A file of the item is not there: {error.strerror}.") from None
    except OSError as error:
        sentence = f"The folder of the library cannot be written: {error.strerror}."
        raise disk_error(error.errno, sentence) from None
