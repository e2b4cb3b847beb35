"""Filter, sort and page a list of jobs.

The cursor names the last job seen, not a page number, so jobs that come and go meanwhile make no
gap and no repetition.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.labels import has_labels
from chilly_movies.jobs.models import Job, Place, Status

_KEYS: dict[str, Callable[[Job], Any]] = {
    "position": lambda job: job.position,
    "created": lambda job: job.created_at.timestamp(),
    "updated": lambda job: job.updated_at.timestamp(),
    "name": lambda job: (job.name or "").casefold(),
    "percent": lambda job: job.progress.percent,
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs, where the next one begins, and how many jobs match in all."""

    jobs: Sequence[Job]
    next_cursor: str | None
    total: int


def page(
    jobs: Sequence[Job],
    *,
    statuses: Collection[Status] | None,
    labels: Collection[tuple[str, str]] = (),
    sort: str,
    limit: int,
    cursor: str | None,
) -> Page:
    """Returns one page of the jobs that match.

    Args:
        jobs: all jobs, in queue order.
        statuses: only these, None = all.
        labels: only jobs that have all of these, by key and value.
        sort: a key, with `-` before it for the other way round.
        limit: jobs per page.
        cursor: where the page before ended.

    Raises:
        InvalidRequest: the cursor is none of ours, or belongs to another order.
    """
    key, reverse = _KEYS[sort.lstrip("-")], sort.startswith("-")

    def place(job: Job) -> tuple[Any, Place]:
        return key(job), job.place

    matching = jobs if statuses is None else [job for job in jobs if job.status in statuses]
    if labels:
        matching = [job for job in matching if has_labels(job.labels, labels)]
    rest = matching
    if cursor is not None:
        last = _decode(cursor, sort)
        rest = [job for job in matching if (place(job) < last if reverse else place(job) > last)]
    # Sorting all of them for each page is what would grow most with their number.
    if sort == "position":
        found = rest[: limit + 1]
    elif reverse:
        found = heapq.nlargest(limit + 1, rest, key=place)
    else:
        found = heapq.nsmallest(limit + 1, rest, key=place)
    shown = found[:limit]
    more = len(found) > limit
    return Page(shown, _encode(sort, place(shown[-1])) if more else None, len(matching))


def _encode(sort: str, place: tuple[Any, Place]) -> str:
    key, where = place
    return base64.urlsafe_b64encode(json.dumps([sort, key, *where]).encode()).decode().rstrip("=")


def _decode(cursor: str, sort: str) -> tuple[Any, Place]:
    problem = InvalidRequest("The cursor does not belong to this list.", field="cursor")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        decoded = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        made_for, value, *where = decoded
    except (ValueError, TypeError, UnicodeError, binascii.Error, RecursionError):
        raise problem from None
    kind = str if sort.lstrip("-") == "name" else (int, float)
    if made_for != sort or not isinstance(value, kind) or [*map(type, where)] != [int, str]:
        raise problem
    return value, (where[0], where[1])
