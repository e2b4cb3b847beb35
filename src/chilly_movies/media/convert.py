"""Subtitles of any kind as WebVTT of text, times and italics alone. Runs in the child.

The text may end up in a page: all of it is escaped, and only tags of our own are added.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from charset_normalizer import from_bytes
from pysubs2 import SSAEvent, SSAFile, SSAStyle
from pysubs2.formats.substation import parse_tags

_MAX_CUES = 50_000
_MAX_CUE = 4000
_LONGEST = 100 * 3_600_000 - 1
_DEFAULT_FPS = 23.976
_FORMATS = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa"}
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_CHARSETS = {
    "ru uk bg be mk sr": "cp1251", "el": "cp1253", "tr": "cp1254", "he": "cp1255",
    "ar fa": "cp1256", "pl cs sk hu sl hr bs ro sq": "cp1250", "et lv lt": "cp1257",
    "vi": "cp1258", "ja": "cp932", "ko": "cp949", "zh": "gb18030", "th": "cp874",
    "en de fr es it pt nl sv da no fi is ca": "cp1252",
}  # fmt: skip
"""What old subtitle files of these languages are written in."""
_USUAL = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "gb18030", "big5",
    "cp932", "cp949",
]  # fmt: skip
"""Among these a charset is guessed; among all, it would often be one nobody uses."""
_SAMPLE = 100_000


def to_vtt(data: bytes, ending: str, language: str, fps: float | None = None) -> str:
    """A subtitle file as WebVTT.

    Args:
        data: the file.
        ending: of its name, `.srt` say.
        language: a tag, or "" if it is not known; only a hint to the charset.
        fps: pictures a second of the film, for files that count pictures.

    Raises:
        Exception: whatever a library makes of a file that is no subtitles.
    """
    text = decode(data, language).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    kind = _FORMATS.get(ending)
    if kind == "vtt" or text.lstrip().startswith("WEBVTT"):
        return write_vtt(_from_vtt(text))
    return write_vtt(SSAFile.from_string(text, format_=kind, fps=fps or _DEFAULT_FPS))


def decode(data: bytes, language: str) -> str:
    """The text, whatever it is written in; never fails."""
    for mark, charset in _BOMS:
        if data.startswith(mark):
            return data.decode(charset, "replace")
    nulls = data[:2000].count(0)
    if nulls > len(data[:2000]) // 4:
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    main = language.split("-")[0]
    charset = next((name for tags, name in _CHARSETS.items() if main in tags.split()), "")
    if main == "zh" and language.endswith("Hant"):
        charset = "big5"
    if not charset:
        best = from_bytes(data[:_SAMPLE], cp_isolation=_USUAL, threshold=0.4).best()
        charset = best.encoding if best else "cp1252"
    return data.decode(charset, "replace")


def _from_vtt(text: str) -> SSAFile:
    """WebVTT is read as the simpler kind; notes, styles and identifiers end with the cue."""
    text = re.sub(r"<\d[\d:.]*>", "", text)
    subs = SSAFile.from_string(text, format_="vtt")
    for event in subs:
        event.text = html.unescape(event.text.split(r"\N\N")[0])
    return subs


def write_vtt(subs: SSAFile) -> str:
    """WebVTT of our own making: escaped text and the tags i, b and u."""
    out = ["WEBVTT\n"]
    events: Iterable[SSAEvent] = sorted(
        (event for event in subs if not event.is_comment), key=lambda event: event.start
    )
    for event in list(events)[:_MAX_CUES]:
        start, end = max(0, event.start), min(event.end, _LONGEST)
        body = _body(event, subs)
        if body and start < end:
            top = " line:10%" if re.search(r"\{[^}]*\\an[789]", event.text) else ""
            out.append(f"{_time(start)} --> {_time(end)}{top}\n{body}\n")
    return "\n".join(out)


def _body(event: SSAEvent, subs: SSAFile) -> str:
    style = subs.styles.get(event.style, SSAStyle.DEFAULT_STYLE)
    parts = []
    text = event.text[:_MAX_CUE].replace(r"\h", " ").replace(r"\n", "\n").replace(r"\N", "\n")
    for fragment, look in parse_tags(text, style, subs.styles):
        if look.drawing:
            continue
        part = html.escape(
            "".join(c for c in fragment if c.isprintable() or c == "\n"), quote=False
        )
        for tag, on in (("i", look.italic), ("b", look.bold), ("u", look.underline)):
            part = f"<{tag}>{part}</{tag}>" if on and part.strip() else part
        parts.append(part)
    return re.sub(r"\n[ \t]*(?=\n)", "", "".join(parts).strip())


def _time(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"
