"""What any kind of subtitles becomes before it is written as WebVTT."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_CUES = 50_000
"""More of one file are not read."""
Piece = tuple[str, str]
"""A text, and how it looks: any of the letters `i`, `b` and `u`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One subtitle.

    Attributes:
        start: milliseconds.
        end: milliseconds.
        pieces: its text, with the looks of each part.
        top: whether it stands in the upper half of the picture.
    """

    start: int
    end: int
    pieces: tuple[Piece, ...]
    top: bool = False


def plain(text: str) -> tuple[Piece, ...]:
    """A text without looks."""
    return ((text, ""),)


def looks(switched_on: Iterable[str]) -> str:
    """Looks in the order of their tags."""
    chosen = set(switched_on)
    return "".join(letter for letter in "ibu" if letter in chosen)
