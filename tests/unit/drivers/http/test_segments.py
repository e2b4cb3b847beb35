"""Which part of a file each connection has: no byte twice, no byte forgotten, readers first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chilly_movies.drivers.http.hosts import Host
from chilly_movies.drivers.http.segments import SMALLEST, Ramp, Segment, next_segment, serves
from chilly_movies.drivers.http.spans import Spans

SIZE = 64 * SMALLEST
HOST = Host("http://x.example/a")


def begun(spans: Spans, connections: int, *places: int) -> list[Segment]:
    running: list[Segment] = []
    while len(running) < connections:
        segment = next_segment(HOST, spans, SIZE, running, places)
        if segment is None:
            break
        running.append(segment)
    return running


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=5),
    st.integers(1, 16),
    st.lists(st.integers(0, SIZE - 1), max_size=3),
)
def test_parts_are_what_is_missing_and_none_overlaps(
    there: list[tuple[int, int]], connections: int, places: list[int]
) -> None:
    spans = Spans((min(pair), max(pair)) for pair in there)
    running = begun(spans, connections, *places)
    parts, total = Spans(), 0
    for segment in running:
        assert segment.end is not None
        assert segment.at < segment.end <= SIZE
        total += parts.add(segment.at, segment.end)
    assert total == sum((s.end or 0) - s.at for s in running)
    assert not [1 for begin, end in spans if parts.remove(begin, end)]
    if places and running:
        gap = spans.gap_from(places[0], SIZE)
        assert gap is None or any(serves(segment, gap[0]) for segment in running)


def test_a_file_is_divided_evenly() -> None:
    running = begun(Spans(), 8)
    assert sorted(segment.at for segment in running) == [SIZE // 8 * i for i in range(8)]
    assert {segment.left for segment in running} == {SIZE // 8}


def test_where_a_reader_waits_a_new_part_begins_and_the_one_before_ends_there() -> None:
    [first] = begun(Spans(), 1)
    place = SIZE * 6 // 10
    second = next_segment(HOST, Spans(), SIZE, [first], [place])
    assert second is not None
    assert (first.end, second.at, second.end, second.leads) == (place, place, SIZE, True)
    assert next_segment(HOST, Spans(), SIZE, [first, second], [place]) is not None


def test_small_rests_are_not_divided() -> None:
    spans = Spans([(0, SIZE - SMALLEST)])
    assert len(begun(spans, 16)) == 1


@pytest.mark.parametrize(
    ("speeds", "connections"), [((4, 8, 16, 16, 16), 16), ((4, 8, 8, 8, 8), 8), ((4, 4, 4, 4), 4)]
)
def test_connections_are_added_as_long_as_they_make_it_faster(
    speeds: tuple[int, ...], connections: int
) -> None:
    ramp = Ramp(16)
    ramp.begin(16 * SMALLEST)
    for now, speed in enumerate(speeds):
        ramp.measure(speed * 1e6, ramp.allowed, SIZE * 16, float(now))
    assert ramp.allowed == connections


@pytest.mark.parametrize(
    ("size", "connections"), [(1, 1), (2, 1), (4, 2), (12, 4), (64, 8), (128, 16), (1024, 16)]
)
def test_a_large_file_is_begun_with_all_the_connections_it_may_have(
    size: int, connections: int
) -> None:
    ramp = Ramp(16)
    ramp.begin(size * SMALLEST)
    assert ramp.allowed == connections
