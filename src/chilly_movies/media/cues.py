"""Texts taken out of films, as subtitles. Runs in the child."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chilly_movies.media.formats import tags
from chilly_movies.media.formats.shown import Shown
from chilly_movies.media.formats.substation import Script
from chilly_movies.media.formats.timed import vtt_cue

_DEFAULT_DURATION = 3000
_MAX_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle.

    Attributes:
        start: milliseconds.
        duration: milliseconds, None if the film does not say.
        text: as the film has it.
        settings: where it stands, in the words of WebVTT.
    """

    start: int
    duration: int | None
    text: bytes
    settings: bytes = b""

    @property
    def end(self) -> int:
        """When it goes."""
        return self.start + (self.duration or _DEFAULT_DURATION)


def from_text(cues: Iterable[Cue]) -> list[Shown]:
    """Plain texts, with the few tags of SRT."""
    made = []
    for cue in cues:
        pieces, top = tags.of_srt(_lines(cue.text)[:_MAX_TEXT])
        made.append(Shown(cue.start, cue.end, pieces, top))
    return made


def from_vtt(cues: Iterable[Cue]) -> list[Shown]:
    """Texts of WebVTT cues."""
    return [
        vtt_cue(cue.start, cue.end, cue.settings.decode("utf-8", "replace"), _lines(cue.text))
        for cue in cues
    ]


def from_ass(head: bytes, cues: Iterable[Cue]) -> list[Shown]:
    """Lines of ASS, whose styles stand in the track's head."""
    script = Script()
    made = list(script.read(_lines(head)))
    for cue in cues:
        shown = script.block(cue.start, cue.end, cue.text.decode("utf-8", "replace"))
        if shown is not None:
            made.append(shown)
    return made


def _lines(data: bytes) -> str:
    text = data.decode("utf-8", "replace").replace("\0", "")
    return text.replace("\r\n", "\n").replace("\r", "\n")
