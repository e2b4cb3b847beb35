"""MicroDVD (pictures in braces), MPL2 (tenths of seconds in brackets): a line each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chilly_movies.media.formats.shown import Piece, Shown, looks

MICRODVD = re.compile(r"[ \t]*\{([0-9]{1,9})\}[ \t]*\{([0-9]{0,9})\}(.*)")
MPL2 = re.compile(r"[ \t]*\[([0-9]{1,9})\][ \t]*\[([0-9]{0,9})\](.*)")
_TAG = re.compile(r"\{([A-Za-z]):([^{}]{0,100})\}")
_RATE = re.compile(r"[ \t]*([0-9]{1,3}(?:[.,][0-9]{1,6})?)[ \t]*")
_DEFAULT_RATE = 23.976
_LAST = 3000
"""How long one is shown that has no end and nothing after it, in milliseconds."""
_MAX_TEXT = 4000


def read_microdvd(text: str, rate: float | None) -> list[Shown]:
    """A whole file; pictures a second are the file's own, or else the film's."""
    rows = _rows(text, MICRODVD)
    if rows and rows[0][0] == rows[0][1] and rows[0][0] <= 1:
        own = _RATE.fullmatch(rows[0][2])
        if own:
            rate = float(own[1].replace(",", ".")) or rate
            rows = rows[1:]
    return list(_shown(rows, 1000 / (rate or _DEFAULT_RATE)))


def read_mpl2(text: str) -> list[Shown]:
    """A whole file."""
    return list(_shown(_rows(text, MPL2), 100))


def _rows(text: str, kind: re.Pattern[str]) -> list[tuple[int, int | None, str]]:
    found = (kind.fullmatch(line) for line in text.split("\n"))
    return [(int(m[1]), int(m[2]) if m[2] else None, m[3][:_MAX_TEXT]) for m in found if m]


def _shown(rows: list[tuple[int, int | None, str]], tick: float) -> Iterator[Shown]:
    for number, (begins, ends, text) in enumerate(rows):
        start = round(begins * tick)
        after = rows[number + 1][0] if number + 1 < len(rows) else None
        until = after if ends is None and after is not None and after > begins else ends
        end = start + _LAST if until is None else round(until * tick)
        yield Shown(start, end, tuple(_pieces(text)))


def _pieces(text: str) -> Iterator[Piece]:
    """Lines by `|`; looks by `{y:i}` for a line, `{Y:i}` for all, a slash before for italic."""
    whole: set[str] = set()
    for number, line in enumerate(text.split("|")):
        own: set[str] = set()
        for tag in _TAG.finditer(line):
            if tag[1] in "yY":
                (whole if tag[1] == "Y" else own).update(tag[2].lower())
        shown = _TAG.sub("", line).strip()
        if shown.startswith("/"):
            own.add("i")
            shown = shown[1:]
        if number:
            yield "\n", ""
        yield shown, looks(whole | own)
