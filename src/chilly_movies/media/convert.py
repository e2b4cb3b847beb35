"""Subtitles of any kind as WebVTT of text, times and italics alone. Runs in the child.

The text may end up in a page: all of it is escaped, and only tags of our own are added.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

from chilly_movies.media.formats import detect
from chilly_movies.media.formats.charset import decode
from chilly_movies.media.formats.shown import Shown

__all__ = ["decode", "to_vtt", "write_vtt"]

_MAX_CUES = 50_000
_LONGEST = 1000 * 3_600_000 - 1
_JOINERS = frozenset("\n\u200c\u200d\u200e\u200f")
"""Line breaks, and what Persian, Hebrew and emoji need."""
_BLANK_LINES = re.compile(r"\n\s+")


def to_vtt(data: bytes, ending: str, language: str, fps: float | None = None) -> str:
    """A subtitle file as WebVTT.

    Args:
        data: the file.
        ending: of its name, `.srt` say; only a hint to the format.
        language: a tag, or "" if it is not known; only a hint to the charset.
        fps: pictures a second of the film, for files that count pictures and name no rate.

    Raises:
        ValueError: the file has text, and no subtitle can be found in it.
    """
    text = decode(data, language).lstrip("\ufeff")
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return write_vtt(detect.read(text, ending, fps))


def write_vtt(subtitles: Iterable[Shown]) -> str:
    """WebVTT of our own making: escaped text and the tags i, b and u."""
    out = ["WEBVTT\n"]
    for one in sorted(subtitles, key=lambda one: one.start)[:_MAX_CUES]:
        start, end = max(0, one.start), min(one.end, _LONGEST)
        parts = []
        for text, look in one.pieces:
            part = html.escape("".join(map(_harmless, text)), quote=False)
            for letter in look if part.strip() else "":
                part = f"<{letter}>{part}</{letter}>"
            parts.append(part)
        body = _BLANK_LINES.sub("\n", "".join(parts).strip())
        if body and start < end:
            top = " line:10%" if one.top else ""
            out.append(f"{_time(start)} --> {_time(end)}{top}\n{body}\n")
    return "\n".join(out)


def _harmless(sign: str) -> str:
    """A sign that is seen or joins others, as it is; no other."""
    if sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs":
        return sign
    return " " if sign == "\t" else ""


def _time(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"
