"""The items of the library, changed one after the other, and told of."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chilly_movies.errors import ItemNotFound
from chilly_movies.library.events import LibraryEvent, news_of
from chilly_movies.library.models import Item, ItemState
from chilly_movies.library.ports import LibraryQuery, LibraryStore
from chilly_movies.runtime.clocks import utc_now

Tell = Callable[[str, str, str | None, Mapping[str, Any]], None]
"""Takes an event's name, the item's id and title, and what is said of it."""


def new_id() -> str:
    """An id that no item has."""
    return "lib-" + base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


class Items:
    """Reads and changes items; no two changes of one item cross each other.

    Args:
        store: where they are kept.

    Attributes:
        tell: takes each event.
    """

    def __init__(self, store: LibraryStore) -> None:
        self.store = store
        self.tell: Tell = lambda _event, _id, _title, _news: None
        self._lock = asyncio.Lock()

    async def get(self, item_id: str) -> Item:
        """One item.

        Raises:
            ItemNotFound: there is none with this id.
            StoreError: the store cannot be read.
        """
        item = await self.store.get(item_id)
        if item is None:
            raise ItemNotFound(f"The library has no item '{item_id[:64]}'.")
        return item

    async def change(
        self, item_id: str, how: Callable[[Item], Item], *, cursor: int | None = None
    ) -> Item:
        """Changes one item as it is at this moment.

        Args:
            item_id: which.
            how: makes the item that it becomes; it raises if that cannot be.
            cursor: see `LibraryStore.put`.

        Raises:
            ItemNotFound: there is none with this id.
        """
        async with self._lock:
            before = await self.get(item_id)
            after = how(before)
            if after is before:
                return before
            after = replace(after, changed_at=utc_now())
            await self.store.put([after], cursor=cursor)
        filed = after.state is ItemState.FILED and before.state is not ItemState.FILED
        self._told(LibraryEvent.FILED if filed else LibraryEvent.CHANGED, after)
        return after

    async def apply(
        self,
        added: Sequence[Item] = (),
        changed: Sequence[Item] = (),
        *,
        removed: Sequence[Item] = (),
        cursor: int | None = None,
    ) -> None:
        """Keeps new items and changed ones, and removes others, all or none."""
        gone = [item.id for item in removed]
        await self.store.put([*added, *changed], removed=gone, cursor=cursor)
        for event, items in (
            (LibraryEvent.ADDED, added),
            (LibraryEvent.CHANGED, changed),
            (LibraryEvent.REMOVED, removed),
        ):
            for item in items:
                self._told(event, item)

    @property
    def alone(self) -> asyncio.Lock:
        """Held by whoever reads items and changes them with `apply`."""
        return self._lock

    async def found(self, query: LibraryQuery) -> list[Item]:
        """Every item that a query finds, page after page."""
        items: list[Item] = []
        while True:
            page = await self.store.page(query)
            items += page.items
            if page.next is None:
                return items
            query = replace(query, after=page.next)

    def _told(self, event: LibraryEvent, item: Item) -> None:
        self.tell(event.value, item.id, item.title, news_of(item))
