"""SRT and WebVTT: texts below lines such as `00:00:01,000 --> 00:00:02,000`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from chilly_movies.media.formats import tags
from chilly_movies.media.formats.clock import span_of
from chilly_movies.media.formats.shown import MAX_CUES, Shown

_LINE = re.compile(r"(?:^|\s)line:(-?[0-9]{1,5})(?:\.[0-9]{1,9})?(%?)(?=[\s,]|$)")
_UPPER_LINES, _UPPER_HALF = 7, 50
_ARROW = re.compile(r"-{1,3}[ \t]?>|[\u2013\u2014]>")
_MAX_TEXT = 4000


@dataclass(slots=True)
class _Cue:
    start: int
    end: int
    settings: str
    number: int
    lines: list[str] = field(default_factory=list)


def read_srt(text: str) -> list[Shown]:
    """A whole SRT file; blank lines within a cue are its own."""
    made = []
    for cue in islice(_cues(text, blank_ends=False), MAX_CUES):
        pieces, top = tags.of_srt("\n".join(cue.lines)[:_MAX_TEXT].rstrip())
        made.append(Shown(cue.start, cue.end, pieces, top))
    return made


def read_vtt(text: str) -> list[Shown]:
    """A whole WebVTT file; notes, styles, regions and identifiers are no text."""
    return [
        vtt_cue(cue.start, cue.end, cue.settings, "\n".join(cue.lines))
        for cue in islice(_cues(text, blank_ends=True), MAX_CUES)
    ]


def vtt_cue(start: int, end: int, settings: str, text: str) -> Shown:
    """A cue of WebVTT from its parts; `line:` may put it into the upper half."""
    top, match = False, _LINE.search(settings[:300])
    if match is not None and match[1][0] != "-":
        top = int(match[1]) < (_UPPER_HALF if match[2] else _UPPER_LINES)
    return Shown(start, end, tuple(tags.of_vtt(text[:_MAX_TEXT].rstrip())), top)


def _cues(text: str, *, blank_ends: bool) -> Iterator[_Cue]:
    cue: _Cue | None = None
    before, above, number = "", "", 0
    for line in text.split("\n"):
        line = line.strip()  # noqa: PLW2901
        if _looks_like_times(line, before, above):
            if cue is not None:
                _drop_number(cue)
                yield cue
            number = int(before) if _is_number(before) else number + 1
            span = span_of(line)  # None: this cue is lost, and no other
            cue = _Cue(*span, number) if span else None
        elif not line and blank_ends:
            if cue is not None:
                yield cue
            cue = None
        elif cue is not None:
            cue.lines.append(line)
        above, before = before, line
    if cue is not None:
        yield cue


def _looks_like_times(line: str, before: str, above: str) -> bool:
    """Whether a line should say times, even if it does not manage to."""
    arrow = _ARROW.search(line[:300])
    if arrow is None:
        return False
    if span_of(line) is not None:
        return True
    if arrow[0] != "-->":
        return False
    begins_a_cue = not before or (not above and _is_number(before))
    return begins_a_cue or (line[:1] in "-0123456789" and ":" in line[: arrow.start()])


def _drop_number(cue: _Cue) -> None:
    """Take the next cue's number off a cue's end.

    It comes after a blank line, or is the number that comes next: some write no blank lines.
    """
    if not cue.lines or not _is_number(cue.lines[-1]):
        return
    after_blank = len(cue.lines) > 1 and not cue.lines[-2]
    if after_blank or int(cue.lines[-1]) == cue.number + 1:
        cue.lines.pop()


def _is_number(line: str) -> bool:
    return line.isascii() and line.isdigit() and len(line) < 10
