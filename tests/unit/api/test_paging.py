"""Pages of jobs: nothing twice, nothing left out, whatever comes and goes meanwhile."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.api.wire.paging import Page, page
from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.models import Job, Progress, Status
from tests.doubles import NOON, make_job

SORTS = [sign + key for key in ("position", "created", "updated", "name", "percent")
         for sign in ("", "-")]  # fmt: skip


def job(position: int, *, name: str | None = None, percent: float = 0.0, age: int = 0) -> Job:
    at = NOON + timedelta(milliseconds=age)
    return make_job(
        f"job-{position}", list(Status)[position % 6], position=position, name=name,
        progress=Progress(percent=percent), created_at=at, updated_at=at,
    )  # fmt: skip


def jobs_of(positions: Collection[int]) -> list[Job]:
    """Jobs that often tie in everything but their place in the queue."""
    names = [None, "", "Film", "film", "Äpfel", "中" * 66, "🎬" * 50]
    return [
        job(p, name=names[p % len(names)], percent=(p * 7 % 5) * 25.0, age=p * 3 % 4)
        for p in sorted(positions)
    ]


def get(
    jobs: Sequence[Job],
    sort: str = "position",
    limit: int = 10,
    cursor: str | None = None,
    statuses: Collection[Status] | None = None,
) -> Page:
    return page(jobs, statuses=statuses, sort=sort, limit=limit, cursor=cursor)


def all_pages(jobs: Sequence[Job], sort: str, limit: int) -> list[Job]:
    found: list[Job] = []
    cursor = None
    while True:
        shown = get(jobs, sort, limit, cursor)
        assert len(shown.jobs) <= limit
        found += shown.jobs
        cursor = shown.next_cursor
        if cursor is None:
            return found
        assert shown.jobs


@given(st.sets(st.integers(0, 200), max_size=40), st.sampled_from(SORTS), st.integers(1, 12))
def test_the_pages_together_are_the_sorted_list(positions: set[int], sort: str, limit: int) -> None:
    jobs = jobs_of(positions)
    paged = all_pages(jobs, sort, limit)
    assert paged == list(get(jobs, sort, 1000).jobs)
    assert sorted(paged, key=lambda j: j.position) == jobs


@given(
    st.sets(st.integers(0, 60), min_size=1, max_size=40), st.sets(st.integers(0, 60)),
    st.sampled_from(SORTS), st.integers(1, 6),
)  # fmt: skip
def test_jobs_that_come_and_go_make_no_gap_and_no_repetition(
    before: set[int], after: set[int], sort: str, limit: int
) -> None:
    first = get(jobs_of(before), sort, limit)
    seen = [shown.position for shown in first.jobs]
    if first.next_cursor is None:
        return
    cursor: str | None = first.next_cursor
    while cursor is not None:
        shown = get(jobs_of(after), sort, limit, cursor)
        seen += [found.position for found in shown.jobs]
        cursor = shown.next_cursor
    assert len(set(seen)) == len(seen)
    assert before & after <= set(seen)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("position", [1, 2, 3]), ("-position", [3, 2, 1]), ("created", [2, 3, 1]),
        ("-created", [1, 3, 2]), ("name", [3, 1, 2]), ("-name", [2, 1, 3]),
        ("percent", [1, 3, 2]), ("-percent", [2, 3, 1]), ("updated", [2, 3, 1]),
    ],
)  # fmt: skip
def test_each_order_is_what_its_name_says(sort: str, expected: list[int]) -> None:
    jobs = [
        job(1, name="beta", percent=0, age=9), job(2, name="Gamma", percent=90, age=1),
        job(3, name="Alpha", percent=50, age=5),
    ]  # fmt: skip
    assert [shown.position for shown in get(jobs, sort).jobs] == expected


def test_a_filter_counts_only_what_matches() -> None:
    jobs = jobs_of(range(60))
    shown = get(jobs, limit=5, statuses=[Status.PAUSED, Status.FAILED])
    assert {found.status for found in shown.jobs} <= {Status.PAUSED, Status.FAILED}
    assert (len(shown.jobs), shown.total) == (5, 20)
    assert get(jobs, statuses=[]).total == 0


def test_there_is_no_cursor_after_the_last_job() -> None:
    jobs = jobs_of(range(10))
    assert get(jobs, limit=10).next_cursor is None
    assert get(jobs, limit=9).next_cursor is not None
    assert get([], limit=1).next_cursor is None


@pytest.mark.parametrize("sort", SORTS)
def test_no_cursor_is_longer_than_the_route_takes(sort: str) -> None:
    jobs = [job(p, name="🎬" * 50) for p in range(3)]
    cursor = get(jobs, sort, 1).next_cursor
    assert cursor is not None
    assert len(cursor) < 8192


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!!", "é", "a" * 8000, encode(5), encode([]), encode(["position", 1]),
     encode(["position", 1, 2, 3]), encode(["position", "1", 1, ""]),
     encode(["position", 1, 1.5, ""]), encode(["position", 1, None, ""]),
     encode(["position", 1, 1, None]), encode(["position", 1, 1]), encode(["position", 1, "", 1]),
     encode(["name", 1, 1, ""]), encode(["-position", 1, 1, ""]), encode(["position", 1, 1, "", 1]),
     encode({"position": 1, "a": 2, "b": 3, "c": 4}), encode(["position", [1], 1, ""]), "WyJw",
     "\x00",
     base64.urlsafe_b64encode(b"[" * 3000).decode(), "__4="],
)  # fmt: skip
def test_a_cursor_that_is_none_of_ours_is_refused_and_named(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        get(jobs_of(range(5)), cursor=cursor)
    assert refused.value.field == "cursor"


@given(st.text(max_size=60))
def test_no_text_given_as_a_cursor_breaks_the_list(cursor: str) -> None:
    try:
        shown = get(jobs_of(range(5)), cursor=cursor)
    except InvalidRequest:
        return
    assert len(shown.jobs) <= 5
