"""Films that are there more than once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from chilly_movies.library.items import Items
from chilly_movies.library.models import FileRole, Item, ItemFile
from chilly_movies.library.places import Places

Member = tuple[Item, ItemFile]


@dataclass(frozen=True, slots=True)
class Copies:
    """Files that are the same film.

    Attributes:
        same: `bytes`: they are the same byte for byte, as far as samples of them tell. `title`:
            they are the same film or episode, in several versions.
    """

    same: Literal["bytes", "title"]
    members: tuple[Member, ...]


class Duplicates:
    """Finds films that are there more than once.

    Args:
        items: the library's.
        places: where files lie.
    """

    def __init__(self, items: Items, places: Places) -> None:
        self._items, self._places = items, places

    async def find(self) -> list[Copies]:
        """All of them. Reads samples of those files that have the size of another one."""
        every = [member async for member in self._films()]
        same_bytes = [
            copies
            for group in _groups((file.size, (item, file)) for item, file in every if file.size)
            for copies in await self._same_bytes(group)
        ]
        known = [{file.path for _, file in copies.members} for copies in same_bytes]
        titles = [
            Copies("title", tuple(group))
            for group in _groups((_title_of(item, file), (item, file)) for item, file in every)
            if not any({file.path for _, file in group} <= paths for paths in known)
        ]
        return [*same_bytes, *titles]

    async def _films(self) -> AsyncIterator[Member]:
        async for item in self._items.store.all():
            for file in item.files:
                if file.role is FileRole.MAIN and not file.missing:
                    yield item, file

    async def _same_bytes(self, group: Iterable[Member]) -> list[Copies]:
        named = [(await self._digest(item, file), (item, file)) for item, file in group]
        return [
            Copies("bytes", tuple(same))
            for same in _groups((digest, member) for digest, member in named if digest)
        ]

    async def _digest(self, item: Item, file: ItemFile) -> str | None:
        """What names its bytes; kept once it was read."""
        if file.digest is not None and file.digest.startswith(f"{file.size}:"):
            return file.digest
        digest = await self._places.digest(file)
        if digest is not None:

            def noted(now: Item) -> Item:
                files = (
                    replace(one, digest=digest) if one.index == file.index else one
                    for one in now.files
                )
                return replace(now, files=tuple(files))

            await self._items.change(item.id, noted)
        return digest


def _title_of(item: Item, file: ItemFile) -> object:
    """What is the same of all versions of a film or an episode."""
    title = str(item.ref) if item.ref is not None else (item.title.casefold(), item.year)
    return item.kind, title, file.season, file.episodes, file.part, file.edition


def _groups(keyed: Iterable[tuple[object, Member]]) -> Iterator[list[Member]]:
    """Members that have one key, where there are several."""
    found: dict[object, list[Member]] = {}
    for key, member in keyed:
        found.setdefault(key, []).append(member)
    return (group for group in found.values() if len(group) > 1)
