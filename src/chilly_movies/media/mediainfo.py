"""Media facts by MediaInfo, which runs in a child process and reads what has arrived."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import structlog

from chilly_movies.jobs.ports import FileReader
from chilly_movies.media.sandbox import ChildFailed, Sandbox
from chilly_movies.watching.tracks import AudioTrack, MediaFacts, Probed, TextTrack, VideoTrack

log = structlog.get_logger(__name__)

_MAX_TRACKS = 100
_MAX_TEXT = 200
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_CHAPTER = re.compile(r"_\d\d_\d\d_\d\d_\d\d\d")
_NAMES = {
    "MPEG-4": "MP4", "AVC": "H.264", "HEVC": "H.265", "MPEG Video": "MPEG-2",
    "MPEG-4 Visual": "MPEG-4 Part 2", "VC-1": "VC-1", "Wave": "WAV", "MPEG Audio": "MP3",
    "ADTS": "AAC", "UTF-8": "SRT", "S_TEXT/WEBVTT": "WebVTT", "D_WEBVTT/SUBTITLES": "WebVTT",
    "D_WEBVTT/CAPTIONS": "WebVTT", "D_WEBVTT/DESCRIPTIONS": "WebVTT",
}  # fmt: skip
"""What MediaInfo says, and what people say."""

_Track = Mapping[str, Any]


class MediaInfoProbe:
    """Implements `ports.MediaProbe` with MediaInfo.

    Args:
        sandbox: where it runs; None = one of its own.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox or Sandbox(max_read=64 * 1024 * 1024, max_asks=10_000)

    async def probe(self, reader: FileReader) -> Probed:
        """See `ports.MediaProbe`."""
        try:
            outcome = await self._sandbox.run(reader, "facts")
            return Probed(read_facts(outcome.body, reader.size), outcome.missing)
        except ChildFailed as error:
            log.info("a file could not be looked into", problem=str(error))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            log.info("a file gave nonsense", problem=type(error).__name__)
        return Probed(None)


def read_facts(answer: bytes, size: int) -> MediaFacts | None:
    """MediaInfo's JSON as facts; None if there is no picture and no sound."""
    media = json.loads(answer).get("media") or {}
    tracks: list[_Track] = list(media.get("track") or ())[:_MAX_TRACKS]
    of = {kind: [t for t in tracks if t.get("@type") == kind] for kind in _KINDS}
    if not of["General"] or not (of["Video"] or of["Audio"]):
        return None
    general = of["General"][0]
    duration = _number(general.get("Duration"))
    bitrate = _number(general.get("OverallBitRate")) or (size * 8 / duration if duration else None)
    kind = (general.get("Format"), general.get("Format_Profile"))
    extras = [extra for menu in of["Menu"] if isinstance(extra := menu.get("extra"), dict)]
    return MediaFacts(
        container="QuickTime" if kind == ("MPEG-4", "QuickTime") else _name(general),
        duration=round(duration, 3) if duration else None,
        bitrate=int(bitrate) if bitrate else None,
        video=_video(of["Video"][0]) if of["Video"] else None,
        audio=tuple(_audio(track) for track in of["Audio"]),
        subtitles=tuple(_text(track) for track in of["Text"]),
        chapters=sum(bool(_CHAPTER.fullmatch(key)) for extra in extras for key in extra),
    )


_KINDS = ("General", "Video", "Audio", "Text", "Menu")


def _video(track: _Track) -> VideoTrack:
    rate = _number(track.get("FrameRate"))
    return VideoTrack(
        codec=_name(track),
        width=_count(track.get("Width")),
        height=_count(track.get("Height")),
        frame_rate=round(rate, 3) if rate else None,
        bit_depth=_count(track.get("BitDepth")),
        hdr=_hdr(track),
    )


def _hdr(track: _Track) -> str | None:
    said = " ".join(str(track.get(f"HDR_Format{more}", "")) for more in ("", "_Compatibility"))
    for word, name in (
        ("Dolby Vision", "Dolby Vision"),
        ("HDR10+", "HDR10+"),
        ("2094", "HDR10+"),
        ("HDR10", "HDR10"),
        ("HLG", "HLG"),
        ("2086", "HDR10"),
    ):
        if word in said:
            return name
    return {"PQ": "HDR10", "HLG": "HLG"}.get(str(track.get("transfer_characteristics")))


def _audio(track: _Track) -> AudioTrack:
    return AudioTrack(
        codec=_name(track),
        language=_language(track.get("Language")),
        channels=_count(track.get("Channels")),
        title=_text_of(track.get("Title")),
    )


def _text(track: _Track) -> TextTrack:
    return TextTrack(
        number=_count(track.get("ID")) or 0,
        codec=_name(track),
        language=_language(track.get("Language")),
        title=_text_of(track.get("Title")),
        forced=track.get("Forced") == "Yes",
    )


def _name(track: _Track) -> str:
    said = _text_of(track.get("Format")) or "unknown"
    if said == "MPEG Audio" and track.get("Format_Profile") != "Layer 3" and "@type" in track:
        return "MP3" if track["@type"] == "General" else "MPEG Audio"
    return _NAMES.get(said, said)


def _language(value: object) -> str | None:
    return value if isinstance(value, str) and _LANGUAGE.fullmatch(value) else None


def _text_of(value: object) -> str | None:
    """A text that stays on one line and ends somewhere."""
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isprintable()).strip()[:_MAX_TEXT] or None


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 <= number < 2**53 else None
