"""Ranges of bytes: the same as a set of numbers, whatever is added and taken away."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from chilly_movies.drivers.http.spans import Spans

PAIRS = st.tuples(st.integers(0, 60), st.integers(0, 60))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), PAIRS), max_size=20), st.integers(0, 60))
def test_it_is_a_set_of_bytes(steps: list[tuple[bool, tuple[int, int]]], at: int) -> None:
    spans, known = Spans(), set[int]()
    for adds, (begin, end) in steps:
        change = set(range(begin, end))
        if adds:
            assert spans.add(begin, end) == len(change - known)
            known |= change
        else:
            assert spans.remove(begin, max(begin, end)) == len(change & known)
            known -= change
        assert spans.total == len(known)
    assert {byte for begin, end in spans for byte in range(begin, end)} == known
    pairs = list(spans)
    assert all(before[1] < after[0] for before, after in pairwise(pairs))
    missing = [byte for byte in range(at, 61) if byte not in known]
    assert spans.run_from(at) == (missing[0] if missing else spans.run_from(at))
    gap = spans.gap_from(at, 60)
    assert (gap is None) == (not [byte for byte in missing if byte < 60])
    assert gap is None or not known & set(range(*gap))
    assert {byte for gap in spans.gaps(60) for byte in range(*gap)} == set(range(60)) - known
