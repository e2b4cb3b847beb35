"""Which pieces the engine is told to fetch first, for readers here and there."""

from __future__ import annotations

from typing import Any

import pytest

from chilly_movies.drivers.torrent.reading.ordering import Order
from chilly_movies.drivers.torrent.reading.windows import bytes_ahead, deadlines, levels, missing

MIB = 1 << 20


class Engine:
    """Pieces of an engine that does at once what it is told."""

    def __init__(self, count: int) -> None:
        self.priorities = [4] * count
        self.due: dict[int, int] = {}
        self.sequential = False
        self.received = 0

    def set_sequential(self, *, on: bool) -> None:
        self.sequential = on

    def give_priorities(self, priorities: dict[int, int]) -> None:
        for piece, priority in priorities.items():
            self.priorities[piece] = priority

    def set_deadline(self, piece: int, milliseconds: int) -> None:
        self.due[piece] = milliseconds
        self.priorities[piece] = 7

    def reset_deadline(self, piece: int) -> None:
        self.due.pop(piece)
        self.priorities[piece] = 4

    def clear_deadlines(self) -> None:
        for piece in tuple(self.due):
            self.reset_deadline(piece)


def order_of(engine: Any, *, arrived: int | None = 0) -> Order:
    order = Order()
    order.attach(engine, read=True)
    order.renew(list(engine.priorities))
    if arrived is not None:
        order.arrived(arrived)
    return order


def there(count: int, *pieces: int) -> bytearray:
    return bytearray(int(piece in pieces) for piece in range(count))


def test_a_reader_that_follows_the_download_needs_no_order_of_its_own() -> None:
    engine = Engine(100)
    order = order_of(engine)
    order.plan([range(3, 20)], there(100, 0, 1, 2), MIB)
    assert engine.sequential
    assert (engine.due, set(engine.priorities)) == ({}, {4})


def test_the_nearer_a_piece_is_to_a_reader_the_sooner_it_comes() -> None:
    engine = Engine(100)
    order_of(engine).plan([range(50, 60)], there(100, 0), MIB)
    assert not engine.sequential
    assert engine.priorities[48:62] == [1, 1, 7, 5, 4, 3, 3, 2, 2, 2, 2, 2, 1, 1]
    assert engine.due == {50 + rank: 150 * rank for rank in range(10)}


def test_nothing_has_a_deadline_before_the_first_piece_came_and_ends_come_early() -> None:
    engine = Engine(100)
    order = order_of(engine, arrived=None)
    order.ends = {0, 99}
    order.plan([range(50, 60)], there(100), MIB)
    assert not engine.due
    assert (engine.priorities[50], engine.priorities[0], engine.priorities[99]) == (7, 6, 6)
    order.arrived(50)
    order.plan([range(50, 60)], there(100, 50), MIB)
    assert min(engine.due) == 51


def test_a_seek_sets_all_deadlines_anew_so_that_requests_under_way_are_canceled() -> None:
    engine = Engine(100)
    order = order_of(engine)
    order.plan([range(50, 60)], there(100, 0), MIB)
    order.plan([range(80, 90)], there(100, 0), MIB)
    assert sorted(engine.due) == list(range(80, 90))
    assert set(engine.priorities[50:60]) == {0}
    assert engine.priorities[80] == 7


def test_what_was_under_way_at_a_seek_is_wanted_again_once_something_came_or_is_late() -> None:
    for way_out in ("it came", "it took too long", "the reader left"):
        engine = Engine(100)
        order = order_of(engine)
        order.plan([range(20, 30)], there(100, 0), MIB)
        order.plan([], there(100, 0), MIB)
        order.plan([range(80, 90)], there(100, 0), MIB)
        order.plan([range(80, 90)], there(100, 0), MIB)  # nothing changes meanwhile
        assert engine.priorities[1:30] == [0] * 16 + [1] * 3 + [0] * 10
        match way_out:
            case "it came":
                assert order.arrived(80)
                order.plan([range(80, 90)], there(100, 0, 80), MIB)
            case "it took too long":
                order.urge(80)
            case _:
                order.plan([], there(100, 0), MIB)
        assert 0 not in engine.priorities


def test_a_seek_leaves_the_engine_something_to_fetch_beside_what_is_read() -> None:
    engine = Engine(20)
    order = order_of(engine)
    order.plan([range(4)], there(20), MIB)
    order.plan([range(17, 20)], there(20), MIB)
    assert 0 in engine.priorities
    assert engine.priorities[16] == 1
    order.plan([range(15, 20)], there(20), MIB)
    assert 0 not in engine.priorities


def test_what_another_reader_wants_stays_wanted_at_a_seek() -> None:
    engine = Engine(100)
    order = order_of(engine)
    order.plan([range(1, 5), range(20, 30)], there(100, 0), MIB)
    order.plan([range(1, 5), range(80, 90)], there(100, 0), MIB)
    assert engine.priorities[1] == 7
    assert set(engine.priorities[20:30]) == {0}


def test_whoever_leaves_gives_everything_back_whenever_that_is() -> None:
    for arrived in (None, 0):
        engine = Engine(100)
        order = order_of(engine, arrived=arrived)
        order.plan([range(50, 60), range(70, 75)], there(100, 0), MIB)
        assert set(engine.priorities) > {4} or 1 in engine.priorities
        order.plan([], there(100, 0), MIB)
        assert (engine.due, set(engine.priorities)) == ({}, {4})
        assert not engine.sequential


def test_files_nobody_wants_stay_unwanted_whatever_is_read() -> None:
    engine = Engine(100)
    engine.priorities[52:54] = [0, 0]
    order_of(engine).plan([range(50, 60)], there(100, 0), MIB)
    assert engine.priorities[52:54] == [0, 0]


def test_windows_of_many_small_pieces_are_bounded() -> None:
    pieces = missing(range(5000), bytearray(5000))
    assert len(pieces) == 256
    assert max(deadlines([pieces], 64 * 1024).values()) < 3000
    found = levels(pieces, 0, 64 * 1024)
    assert [found[p] for p in (0, 3, 4, 15, 16, 80)] == [7, 7, 6, 6, 5, 2]


@pytest.mark.parametrize(
    ("size", "bitrate", "ahead"),
    [(700 * MIB, None, 16 * MIB), (9000 * MIB, None, 30 * MIB), (1, 10 * MIB, 48 * MIB)],
)
def test_a_window_is_larger_than_what_peers_are_asked_for(
    size: int, bitrate: int | None, ahead: int
) -> None:
    assert bytes_ahead(size, bitrate) == ahead
