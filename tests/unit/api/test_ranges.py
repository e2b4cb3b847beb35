"""RFC 9110, sections 13 and 14, request by request."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.api.wire.ranges import MAX_PARTS, Answer, Entity, decide, parse_ranges
from tests.range_table import CASES, EMPTY, ETAG, SIZE, Case

MODIFIED = datetime(2030, 1, 2, 12, 0, 0, 500_000, tzinfo=UTC)


def fields(case: Case) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in case.headers:
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def test_the_table_has_the_sixty_requests_it_was_asked_for() -> None:
    assert len(CASES) >= 60
    assert len(set(CASES)) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_request_gets_the_answer_of_the_table(case: Case) -> None:
    answer = decide(case.method, fields(case), Entity(SIZE, ETAG, MODIFIED))
    assert answer == Answer(case.status, case.parts)


@pytest.mark.parametrize("case", EMPTY, ids=str)
def test_a_file_without_a_byte_is_answered_too(case: Case) -> None:
    assert decide(case.method, fields(case), Entity(0, ETAG, MODIFIED)) == Answer(case.status)


@given(st.text(alphabet="bytes=0123456789-, \t\x00é", max_size=200), st.integers(0, 10_000))
def test_no_text_breaks_the_parser_or_makes_it_send_a_byte_twice(text: str, size: int) -> None:
    for ranges in (text, "bytes=" + text):
        parts = parse_ranges(ranges, size)
        if parts:
            assert len(parts) <= MAX_PARTS
            assert all(0 <= first <= last < size for first, last in parts)
            sent = [n for first, last in parts for n in range(first, last + 1)]
            assert len(sent) == len(set(sent))
