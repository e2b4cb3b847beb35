"""Times as people write them: one grammar for SRT, WebVTT, ASS and SubViewer."""

from __future__ import annotations

import re

_CLOCK = (
    r"(-?)[ \t]*(?:([0-9]{1,6})[ \t]*:[ \t]*)?([0-9]{1,2})[ \t]*:[ \t]*([0-9]{1,2})"
    r"(?:[ \t]*[.,:][ \t]*([0-9]{1,9}))?"
)
_ALONE = re.compile(rf"[ \t]*{_CLOCK}[ \t]*")
_FROM_TO = re.compile(
    rf"[ \t]*{_CLOCK}[ \t]*(?:-{{1,3}}[ \t]?>|[\u2013\u2014]>)[ \t]*{_CLOCK}(?=[ \t]|$)"
)
_LONGEST_LINE = 300


def ms_of(text: str) -> int | None:
    """Milliseconds of `h:mm:ss.f` or `mm:ss.f`; what is before zero is zero.

    The part behind the last dot or comma is a decimal fraction of a second. None if it is no time.
    """
    match = _ALONE.fullmatch(text[:_LONGEST_LINE])
    return _ms(match.groups()) if match else None


def span_of(line: str) -> tuple[int, int, str] | None:
    """Start and end of a line such as `00:00:01,000 --> 00:00:02,000`, and what stands behind.

    None if it is no such line.
    """
    match = _FROM_TO.match(line[:_LONGEST_LINE])
    if match is None:
        return None
    fields = match.groups()
    return _ms(fields[:5]), _ms(fields[5:]), line[match.end() :].strip()


def _ms(fields: tuple[str | None, ...]) -> int:
    minus, hours, minutes, seconds, fraction = fields
    if minus:
        return 0
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole * 1000 + int((fraction or "0").ljust(3, "0")[:3])
