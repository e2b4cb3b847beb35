"""SubViewer (`00:00:01.00,00:00:02.00` above a text) and TMPlayer (`00:00:01:text`)."""

from __future__ import annotations

import re

from chilly_movies.media.formats.clock import ms_of
from chilly_movies.media.formats.shown import Shown, plain

_CLOCK = r"[0-9]{1,3}:[0-9]{2}:[0-9]{2}"
TIMES = re.compile(
    rf"[ \t]*({_CLOCK}[.:][0-9]{{1,3}})[ \t]*,[ \t]*({_CLOCK}[.:][0-9]{{1,3}})[ \t]*"
)
TMPLAYER = re.compile(rf"[ \t]*({_CLOCK})[:=,](.*)")
_NEW_LINE = re.compile(r"\[br\]|\|", re.IGNORECASE)
_MAX_TEXT = 4000
_LONGEST, _LAST = 7000, 3000
"""Of TMPlayer, which names no ends: how long one is shown, and the last one, in milliseconds."""


def read_subviewer(text: str) -> list[Shown]:
    """A whole file; a blank line ends a text."""
    made: list[Shown] = []
    span: tuple[int, int] | None = None
    lines: list[str] = []
    for line in (*text.split("\n"), ""):
        times = TIMES.fullmatch(line)
        if span and (times or not line.strip()):
            made.append(Shown(*span, plain(_NEW_LINE.sub("\n", "\n".join(lines))[:_MAX_TEXT])))
            span = None
        if times:
            start, end = ms_of(times[1]), ms_of(times[2])
            span = (start, end) if start is not None and end is not None else None
            lines = []
        elif span:
            lines.append(line)
    return made


def read_tmplayer(text: str) -> list[Shown]:
    """A whole file; each is shown until the next, some seconds at most."""
    rows = []
    for line in text.split("\n"):
        match = TMPLAYER.fullmatch(line)
        start = ms_of(match[1]) if match else None
        if match and start is not None:
            rows.append((start, match[2][:_MAX_TEXT].replace("|", "\n")))
    made = []
    for number, (start, shown) in enumerate(rows):
        after = rows[number + 1][0] if number + 1 < len(rows) else start + _LAST
        made.append(Shown(start, min(after, start + _LONGEST), plain(shown)))
    return made
