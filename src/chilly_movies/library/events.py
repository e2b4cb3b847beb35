"""What is told of the library beside the jobs, to those alone that ask for these events by name."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from chilly_movies.library.models import Item


class LibraryEvent(StrEnum):
    """What happened to an item."""

    ADDED = "library-added"
    CHANGED = "library-changed"
    FILED = "library-filed"
    REMOVED = "library-removed"


LIBRARY_EVENTS: Final = tuple(one.value for one in LibraryEvent)


def news_of(item: Item) -> dict[str, Any]:
    """What such an event says of its item, in the spelling of the wire."""
    return {
        "itemId": item.id,
        "kind": item.kind,
        "title": item.title,
        "year": item.year,
        "state": item.state,
        "reason": item.reason,
        "jobIds": sorted({file.job_id for file in item.files if file.job_id is not None}),
    }
