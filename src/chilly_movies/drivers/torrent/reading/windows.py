"""Which missing pieces readers want next, and how soon: pure figures, no engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chilly_movies.jobs.options import TOP_PRIORITY

Window = range
"""The pieces a reader wants, from its place on."""

_SECONDS_AHEAD = 20
_SHARE_AHEAD = 300
"""Of a film whose bitrate is not known: 1/300 is 20 s of 100 minutes."""
_MIB = 1024 * 1024
_LEAST_AHEAD = 16 * _MIB
"""More than what peers are asked for at any time, a second of it: else what is asked next would
be of no use to the reader, and it would stand still meanwhile."""
_MOST_AHEAD = 48 * _MIB
_MOST_PIECES = 256
_STEP = 150
"""Milliseconds between the deadlines of two MiB in a row."""
_FALLS = (_MIB // 4, _MIB, 2 * _MIB, 3 * _MIB, 5 * _MIB)
"""Distances from the reader at which the priority of pieces falls by one."""


def bytes_ahead(size: int, bitrate: int | None) -> int:
    """How many bytes past its position a reader wants to have.

    Args:
        size: of the whole file.
        bitrate: bytes per second of playing, None = not known.
    """
    wanted = size // _SHARE_AHEAD if bitrate is None else bitrate * _SECONDS_AHEAD
    return min(max(wanted, _LEAST_AHEAD), _MOST_AHEAD)


def missing(window: Window, there: bytearray) -> list[int]:
    """The window's pieces that are not there (a byte of 0), at most 256."""
    found: list[int] = []
    for piece in window:
        if not there[piece]:
            found.append(piece)
            if len(found) == _MOST_PIECES:
                break
    return found


def deadlines(waiting: Iterable[Sequence[int]], piece_size: int) -> dict[int, int]:
    """Milliseconds until each piece is due.

    Args:
        waiting: the missing pieces of each reader's window.
        piece_size: in bytes.
    """
    due: dict[int, int] = {}
    for pieces in waiting:
        for rank, piece in enumerate(pieces):
            within = rank * _STEP * piece_size // _MIB
            due[piece] = min(due.get(piece, within), within)
    return due


def levels(pieces: Iterable[int], start: int, piece_size: int) -> dict[int, int]:
    """The priority of each of a reader's pieces: the nearer, the higher; at least 2.

    Args:
        pieces: the missing ones of its window.
        start: the piece it reads.
        piece_size: in bytes.
    """
    found: dict[int, int] = {}
    for rank, piece in enumerate(pieces):
        ahead = (piece - start) * piece_size
        # the first missing one is wanted first, wherever it is
        found[piece] = (
            TOP_PRIORITY - sum(ahead >= fall for fall in _FALLS) if rank else TOP_PRIORITY
        )
    return found
