"""The order of the queue: places between places, and what each move leads to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.errors import IllegalTransition, InvalidRequest, JobNotFound
from chilly_movies.jobs import queue
from chilly_movies.jobs.lifecycle import apply
from chilly_movies.jobs.models import Job, Place, Status
from tests.doubles import NOON, make_job

PLACES = st.tuples(
    st.integers(-3, 3),
    st.text("0123456789abcdef", max_size=4).map(lambda digits: digits.rstrip("0")),
)


def value(place: Place) -> float:
    """The number that a place stands for."""
    return place[0] + (int(place[1], 16) / 16 ** len(place[1]) if place[1] else 0)


@given(PLACES, PLACES)
def test_places_compare_as_their_numbers_and_one_is_always_between(one: Place, two: Place) -> None:
    low, high = sorted((one, two), key=value)
    assert (one < two) is (value(one) < value(two))
    if low == high:
        return
    found = queue.between(low, high)
    assert low < found < high
    assert value(low) < value(found) < value(high)
    assert not found[1].endswith("0")


def test_moving_two_jobs_past_each_other_a_thousand_times_needs_few_digits() -> None:
    low, first = (1, ""), (2, "")
    for _ in range(1000):  # the second goes before the first, and is the first then
        first = queue.between(low, first)
    assert len(first[1]) <= 251


def jobs_of(*names: str, status: Status = Status.QUEUED) -> list[Job]:
    """Jobs in this order; a capital letter is one that is completed."""
    return [
        make_job(n.lower(), Status.COMPLETED if n.isupper() else status, position=at)
        for at, n in enumerate(names, 1)
    ]


def end_of(jobs: Sequence[Job]) -> Callable[[], int]:
    return lambda: max(job.position for job in jobs) + 1


def moved(jobs: list[Job], name: str, to: Any = None, before: str | None = None) -> str:
    """The order after a move; what listeners are told of it leads to the same."""
    one = next(job for job in jobs if job.id == name)
    told = [job.id for job in queue.in_order(jobs)]
    event = queue.placed(queue.in_order(jobs), one, to, before, end_of(jobs))
    if event is not None:
        told.remove(name)
        told.insert(len(told) if event.before is None else told.index(event.before), name)
        jobs = [job for job in jobs if job is not one] + [apply(one, event, NOON)]
    found = queue.in_order(jobs)
    assert [job.id for job in found] == told
    assert len({job.place for job in jobs}) == len(jobs)
    return "".join(told)


@pytest.mark.parametrize(
    ("order", "name", "to", "after"),
    [
        ("abcd", "c", "top", "cabd"), ("abcd", "b", "bottom", "acdb"), ("abcd", "c", "up", "acbd"),
        ("abcd", "b", "down", "acbd"), ("abcd", "a", "up", "abcd"), ("abcd", "d", "down", "abcd"),
        ("abcd", "a", "top", "abcd"), ("abcd", "d", "bottom", "abcd"), ("a", "a", "down", "a"),
        ("abXc", "c", "up", "acbx"), ("aXbc", "a", "down", "xbac"), ("Xab", "b", "top", "bxa"),
        ("abXY", "a", "down", "bxya"), ("abXY", "b", "down", "abxy"), ("XYa", "a", "up", "xya"),
        ("abX", "a", "bottom", "bxa"),
    ],
)  # fmt: skip
def test_a_job_goes_to_an_end_or_past_one_neighbour_that_has_a_position(
    order: str, name: str, to: str, after: str
) -> None:
    assert moved(jobs_of(*order), name, to) == after


@pytest.mark.parametrize(
    ("order", "name", "before", "after"),
    [
        ("abcd", "d", "a", "dabc"), ("abcd", "a", "d", "bcad"), ("abcd", "a", "b", "abcd"),
        ("abXc", "a", "c", "bxac"), ("aXbc", "a", "b", "axbc"), ("Xab", "b", "a", "xba"),
    ],
)  # fmt: skip
def test_a_job_goes_directly_before_another(order: str, name: str, before: str, after: str) -> None:
    assert moved(jobs_of(*order), name, before=before) == after


def test_what_has_no_position_cannot_be_named() -> None:
    jobs = jobs_of(*"abX")
    with pytest.raises(IllegalTransition, match="'x' is completed: it has no position"):
        moved(jobs, "a", before="x")
    for unknown in ("z", "a"):
        with pytest.raises(JobNotFound, match=f"There is no other job '{unknown}'"):
            moved(jobs, "a", before=unknown)


@pytest.mark.parametrize("where", [(None, None), ("top", "a"), ("first", None), (1, None)])
def test_one_place_must_be_named(where: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidRequest):
        queue.check_where(*where)


@given(st.permutations(list("abCdEf")), st.lists(st.tuples(st.sampled_from("abdf"),
       st.sampled_from(["top", "bottom", "up", "down", *"abdf"])), max_size=30))  # fmt: skip
def test_after_any_moves_every_job_has_a_place_of_its_own(
    order: list[str], moves: list[tuple[str, str]]
) -> None:
    jobs = jobs_of(*order)
    for name, where in moves:
        if where == name:
            continue
        rank = queue.Order({job.id: job for job in jobs}).positions()
        one = next(job for job in jobs if job.id == name)
        to: Any = where if len(where) > 1 else None
        event = queue.placed(queue.in_order(jobs), one, to, None if to else where, end_of(jobs))
        if event is not None:
            jobs = [job for job in jobs if job is not one] + [apply(one, event, NOON)]
        now = queue.Order({job.id: job for job in jobs}).positions()
        assert sorted(now.values()) == [1, 2, 3, 4]
        last = now[where] - 1 if to is None else {
            "top": 1, "bottom": 4, "up": max(1, rank[name] - 1), "down": min(4, rank[name] + 1),
        }[to]  # fmt: skip
        assert now[name] == last


@given(st.lists(st.tuples(st.sampled_from("abc"), PLACES, st.sampled_from([*Status, None]))))
def test_the_order_is_right_after_whatever_came_went_or_changed(
    changes: list[tuple[str, Place, Status | None]],
) -> None:
    jobs: dict[str, Job] = {}
    order = queue.Order(jobs)
    for job_id, (position, fraction), status in changes:
        before = jobs.pop(job_id, None)
        if status is not None:
            jobs[job_id] = make_job(job_id, status, position=position, fraction=fraction)
        order.note(before, jobs.get(job_id))
        fresh = queue.Order(jobs)
        assert {job.place for job in order.jobs()} == {job.place for job in jobs.values()}
        assert [job.place for job in order.jobs()] == sorted(job.place for job in jobs.values())
        if len({job.place for job in jobs.values()}) == len(jobs):
            assert order.positions() == fresh.positions()
