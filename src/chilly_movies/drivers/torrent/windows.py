"""Which missing pieces readers want next, and how soon: pure figures, no engine."""

from __future__ import annotations

from collections.abc import Iterable

_SECONDS_AHEAD = 20
_SHARE_AHEAD = 300
"""Of a film whose bitrate is not known: 1/300 is 20 s of 100 minutes."""
_LEAST_AHEAD = 4 * 1024 * 1024
_MOST_AHEAD = 48 * 1024 * 1024
_MOST_PIECES = 64
_STEP = 150
"""Milliseconds between the deadlines of two pieces in a row."""


def bytes_ahead(size: int, bitrate: int | None) -> int:
    """How many bytes past its position a reader wants to have.

    Args:
        size: of the whole file.
        bitrate: bytes per second of playing, None = not known.
    """
    wanted = size // _SHARE_AHEAD if bitrate is None else bitrate * _SECONDS_AHEAD
    return min(max(wanted, _LEAST_AHEAD), _MOST_AHEAD)


def deadlines(windows: Iterable[range], there: bytearray, next_in_line: int) -> dict[int, int]:
    """The missing pieces of all readers' windows, with milliseconds until each is due.

    None while every reader is served by the sequential download: deadlines would only slow it
    down (measured: 3 to 4 s to the first piece instead of 0.4 s).

    Args:
        windows: the pieces each reader wants, from its position on.
        there: one byte per piece, 0 = missing.
        next_in_line: the piece the sequential download fetches next.
    """
    missing = [_missing(window, there) for window in windows]
    if all(not pieces or pieces[0] == next_in_line for pieces in missing):
        return {}
    due: dict[int, int] = {}
    for pieces in missing:
        for rank, piece in enumerate(pieces):
            due[piece] = min(due.get(piece, rank * _STEP), rank * _STEP)
    return due


def _missing(window: range, there: bytearray) -> list[int]:
    found: list[int] = []
    for piece in window:
        if not there[piece]:
            found.append(piece)
            if len(found) == _MOST_PIECES:
                break
    return found
