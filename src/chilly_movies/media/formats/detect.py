"""Which format a file is written in: its content says, whatever its name ends with."""

from __future__ import annotations

import re

from chilly_movies.media.formats import frames, substation, subviewer, timed
from chilly_movies.media.formats.clock import span_of
from chilly_movies.media.formats.shown import Shown

_SCRIPT = re.compile(
    r"\[(script info|v4\+? styles\+?|events)\]|dialogue:[^,]{0,20},", re.IGNORECASE
)

_COMMA = re.compile(r"[0-9][ \t]*,[ \t]*[0-9]")
"""WebVTT has dots before the thousandths, SRT has commas."""


def read(text: str, ending: str, rate: float | None) -> list[Shown]:
    r"""The subtitles of a file.

    The first line that only one format can have decides.

    Args:
        text: with "\\n" between its lines.
        ending: of its name; decides only between SRT and WebVTT without its first line.
        rate: pictures a second of the film, None if unknown.

    Raises:
        ValueError: the file has text, and no subtitle can be found in it.
    """
    found = _read(text, ending, rate)
    blank_vtt = text.lstrip().startswith("WEBVTT") and "-->" not in text
    if not found and text.strip() and not blank_vtt:
        raise ValueError("no subtitles in this file")
    return found


def _read(text: str, ending: str, rate: float | None) -> list[Shown]:
    if text.lstrip().startswith("WEBVTT"):
        return timed.read_vtt(text)
    for line in text.split("\n"):
        if span_of(line) is not None:
            is_vtt = ending == ".vtt" and not _COMMA.search(line)
            return timed.read_vtt(text) if is_vtt else timed.read_srt(text)
        if _SCRIPT.match(line.strip()):
            return substation.read(text)
        if frames.MICRODVD.fullmatch(line):
            return frames.read_microdvd(text, rate)
        if frames.MPL2.fullmatch(line):
            return frames.read_mpl2(text)
        if subviewer.TIMES.fullmatch(line):
            return subviewer.read_subviewer(text)
        if subviewer.TMPLAYER.fullmatch(line):
            return subviewer.read_tmplayer(text)
    return []
