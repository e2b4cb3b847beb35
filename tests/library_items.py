"""Items of a library, made for tests."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from chilly_movies.catalogue.titles import TitleKind
from chilly_movies.library.models import Item, Position
from chilly_movies.library.ports import (
    FilingJournal,
    LibraryPage,
    LibraryStore,
    PositionStore,
)
from chilly_movies.storage.library.memory import MemoryLibraryStore
from chilly_movies.storage.library.store import SqliteLibraryStore

NOON = datetime(2030, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


class LibraryStores(LibraryStore, PositionStore, FilingJournal, Protocol):
    """All in one, as those of ours are."""


def item_id(name: str) -> str:
    """The id that the item with this name has in all tests."""
    found = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()
    return f"lib-{found[:26].lower()}"


def film(title: str, name: str | None = None, **more: Any) -> Item:
    """An item with this title, by which its id is known if it has no name."""
    made: dict[str, Any] = {"kind": TitleKind.MOVIE, "added_at": NOON, "changed_at": NOON}
    return Item(id=item_id(name or title), title=title, **(made | more))


def watched(name: str, file_index: int = 0, **more: Any) -> Position:
    """How far somebody watched the item with this name."""
    made: dict[str, Any] = {"viewer": "ann", "seconds": 60.0, "seen": False, "at": NOON}
    return Position(item_id=item_id(name), file_index=file_index, **(made | more))


def titles(page: LibraryPage) -> list[str]:
    """The titles on a page, in their order."""
    return [item.title for item in page.items]


async def make_store(kind: str, folder: Path) -> LibraryStores:
    """A new store: `memory` or `sqlite`. Migrating takes longer than a test, so it is done once."""
    if kind == "memory":
        return MemoryLibraryStore()
    path = folder / "library.db"
    if not _EMPTY:
        empty = SqliteLibraryStore(path)
        await empty.open()
        await empty.aclose()
        _EMPTY.append(path.read_bytes())
    path.write_bytes(_EMPTY[0])
    return SqliteLibraryStore(path)


_EMPTY: list[bytes] = []
