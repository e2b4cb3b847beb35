"""Files items with the pictures that a catalogue has of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from chilly_movies.catalogue.ports import Picture
from chilly_movies.catalogue.titles import TitleRef
from chilly_movies.errors import ChillyError
from chilly_movies.library.filing import Filer, FilingPlan, with_filing
from chilly_movies.library.models import Item

_WIDTHS: Final = {Picture.POSTER: 780, Picture.BACKDROP: 1280}


class Pictures(Protocol):
    """Has pictures of titles."""

    async def picture(self, ref: TitleRef, which: Picture, width: int) -> bytes | None:
        """A picture at least that wide if there is one; None = there is none."""
        ...


class FilerShelf:
    """Implements `processing.Shelf` over a `Filer`.

    Args:
        filer: puts files into the tree.
        pictures: has those of titles, None = none are filed.
        get: finds an item by its id.
    """

    def __init__(
        self,
        filer: Filer,
        pictures: Pictures | None,
        get: Callable[[str], Awaitable[Item | None]],
    ) -> None:
        self._filer, self._pictures, self._get = filer, pictures, get

    async def plan(self, item: Item) -> FilingPlan:
        """What filing an item would do; nothing is changed."""
        return await self._filer.plan(item, pictures=await self._pictures_of(item))

    async def file(self, item: Item) -> Item:
        """Puts an item into the tree; the item with the places of its files."""
        return with_filing(item, await self._filer.file(await self.plan(item)))

    async def undo(self, item: Item) -> Item:
        """Takes an item out of the tree; the item without places there."""
        await self._filer.undo(item.id, item)
        return with_filing(item, None)

    async def go_on(self) -> None:
        """Ends what a crash interrupted."""
        await self._filer.recover(self._get)

    async def _pictures_of(self, item: Item) -> Mapping[str, bytes]:
        """Poster and backdrop; a film is filed without them if they cannot be had."""
        found: dict[str, bytes] = {}
        if self._pictures is None or item.ref is None:
            return found
        for which, width in _WIDTHS.items():
            try:
                data = await self._pictures.picture(item.ref, which, width)
            except ChillyError:
                break
            if data is not None:
                found[which.value] = data
        return found
