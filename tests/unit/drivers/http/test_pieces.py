"""Pieces: each is compared once it is whole, and again only if it was wrong."""

from __future__ import annotations

import hashlib

from chilly_movies.drivers.http.metalink import Pieces
from chilly_movies.drivers.http.pieces import PieceCheck
from chilly_movies.drivers.http.spans import Spans

FILM = bytes(range(256)) * 10


def check_of(length: int) -> PieceCheck:
    blocks = [FILM[at : at + length] for at in range(0, len(FILM), length)]
    digests = tuple(hashlib.sha256(block).digest() for block in blocks)
    return PieceCheck(Pieces(length, "sha256", digests), len(FILM))


def due(check: PieceCheck, spans: Spans, begin: int, end: int) -> list[int]:
    spans.add(begin, end)
    return list(check.take_due(begin, end, lambda b, e: spans.run_from(b) >= e))


def test_a_piece_is_due_once_when_its_last_byte_came_from_whichever_side() -> None:
    check, spans = check_of(1000), Spans()
    assert due(check, spans, 1000, 1999) == []
    assert due(check, spans, 500, 1000) == []
    assert due(check, spans, 1999, 2600) == [1, 2]  # the third has 560 bytes
    assert due(check, spans, 0, 500) == [0]
    assert due(check, spans, 0, len(FILM)) == []


def test_a_wrong_piece_is_due_again_and_a_right_one_never() -> None:
    check, spans = check_of(1000), Spans()
    assert due(check, spans, 0, 2000) == [0, 1]
    assert check.judge(0, check.digest(FILM[:1000]))
    assert not check.judge(1, check.digest(FILM[:1000]))
    assert list(check.right) == [(0, 1000)]
    spans.remove(1000, 2000)
    assert due(check, spans, 1000, 1500) == []
    assert due(check, spans, 1500, 2000) == [1]
    assert due(check, spans, 1500, 2000) == []
    assert check.judge(1, check.digest(FILM[1000:2000]))
    assert due(check, spans, 2000, 2560) == [2]
    assert check.judge(2, check.digest(FILM[2000:]))
    assert list(check.right) == [(0, len(FILM))]
    assert due(check, spans, 0, 2560) == []
