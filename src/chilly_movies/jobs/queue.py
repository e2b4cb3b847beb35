"""The order of the queue: where a job stands, and what puts it elsewhere. Pure.

A place is a number of unlimited precision, so that there always is one between two others: moving
one job changes one row, whatever happens meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Literal

from chilly_movies.errors import IllegalTransition, InvalidRequest, JobNotFound
from chilly_movies.jobs import events as e
from chilly_movies.jobs.models import Job, Place, Status

To = Literal["top", "bottom", "up", "down"]

IN_LINE = frozenset({Status.QUEUED, Status.ACTIVE, Status.PAUSED})
"""The statuses of jobs that have a position; others keep their place in the list alone."""


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """All jobs in queue order."""
    return sorted(jobs, key=attrgetter("place"))


class Order:
    """The order of all jobs, which is asked for much more often than it changes.

    Args:
        jobs: all there are, by id.
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        self._ids: list[str] | None = None
        self._positions: dict[str, int] | None = None

    def note(self, before: Job | None, after: Job | None) -> None:
        """Note that a job came, went or changed; None = it was not there, or is not."""
        if before is None or after is None or before.place != after.place:
            self._ids = self._positions = None
        elif (before.status in IN_LINE) is not (after.status in IN_LINE):
            self._positions = None

    def jobs(self) -> list[Job]:
        """All jobs in queue order."""
        if self._ids is None:
            self._ids = [job.id for job in in_order(self._jobs.values())]
        return [self._jobs[job_id] for job_id in self._ids]

    def positions(self) -> Mapping[str, int]:
        """The position of each job that has one, by its id: 1 to n without a gap."""
        if self._positions is None:
            line = (job.id for job in self.jobs() if job.status in IN_LINE)
            self._positions = {job_id: position for position, job_id in enumerate(line, 1)}
        return self._positions


def placed(
    jobs: Sequence[Job], job: Job, to: To | None, before: str | None, end: Callable[[], int]
) -> e.Placed | None:
    """What puts a job elsewhere; None if it stands there already.

    Args:
        jobs: all there are, in queue order.
        job: which, it has a position.
        to: to an end, or past one neighbour that has a position.
        before: the id of the job it is to stand directly before, if `to` is None.
        end: gives a place behind all jobs, those that are just being added, too.

    Raises:
        JobNotFound: there is no job `before`.
        IllegalTransition: it has no position.
    """
    others = [other for other in jobs if other.id != job.id]
    at = sum(other.place < job.place for other in others)
    goes = _index_of(before, others, at) if to is None else _index_to(to, others, at)
    if goes == at:
        return None
    if goes == len(others):
        return e.Placed((end(), ""))
    following = others[goes]
    if goes == 0:
        return e.Placed((following.position - 1, ""), following.id)
    return e.Placed(between(others[goes - 1].place, following.place), following.id)


def _index_to(to: To, others: Sequence[Job], at: int) -> int:
    """Before which of the others a job goes that stands before `others[at]`."""
    line = [index for index, other in enumerate(others) if other.status in IN_LINE]
    ahead = [index for index in line if index < at]
    behind = [*(index for index in line if index >= at), len(others)]
    match to:
        case "top":
            return 0
        case "bottom":
            return len(others)
        case "up":
            return ahead[-1] if ahead else at
        case "down":
            return behind[1] if len(behind) > 1 else at


def _index_of(before: str | None, others: Sequence[Job], at: int) -> int:
    """The same for a job that is to stand before the one of that id."""
    for index, other in enumerate(others):
        if other.id != before:
            continue
        if other.status not in IN_LINE:
            raise no_position(other)
        is_next = not any(one.status in IN_LINE for one in others[at:index])
        return at if index >= at and is_next else index
    raise JobNotFound(f"There is no other job '{before}'.")


def no_position(job: Job) -> IllegalTransition:
    """The refusal of what only a job with a position can do."""
    return IllegalTransition(f"Job '{job.id}' is {job.status}: it has no position in the queue.")


def check_where(to: object, before: object) -> None:
    """Refuses what is no place or two.

    Raises:
        InvalidRequest: not exactly one of both is given, or `to` is unknown.
    """
    if (to is None) is (before is None):
        raise InvalidRequest("Say either where the job goes ('to') or before which ('before').")
    if to is not None and to not in ("top", "bottom", "up", "down"):
        raise InvalidRequest("The 'to' must be top, bottom, up or down.", field="to")


def between(low: Place, high: Place) -> Place:
    """A place after `low` and before `high`, with as few digits as there may be."""
    if (low[0] + 1, "") < high:
        return (low[0] + 1, "")
    return (low[0], _digits_between(low[1], high[1] if high[0] == low[0] else None))


def _digits_between(low: str, high: str | None) -> str:
    """Hexadecimal digits behind the point of a number between two others; None = 1.

    Moving two jobs past each other for ever adds a digit every four times.
    """
    digits = ""
    for at in itertools.count():
        first = int(low[at], 16) if at < len(low) else 0
        last = 16 if high is None else int(high[at], 16)
        if last - first > 1:
            return digits + f"{(first + last) // 2:x}"
        digits += f"{first:x}"
        if last > first:
            high = None
    raise AssertionError  # the count has no end
