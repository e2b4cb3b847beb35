"""Texts taken out of films, as subtitles pysubs2 knows. Runs in the child."""

from __future__ import annotations

from dataclasses import dataclass

from pysubs2 import SSAFile

_DEFAULT_DURATION = 3000
_ASS_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle; times in milliseconds, the duration None if the film does not say."""

    start: int
    duration: int | None
    text: bytes


def from_text(cues: list[Cue]) -> SSAFile:
    """Plain texts, with the few tags of SRT."""
    made = []
    for cue in cues:
        lines = cue.text.decode("utf-8", "replace").replace("-->", "->").strip().splitlines()
        text = "\n".join(line for line in lines if line.strip())
        made.append(f"{_srt_time(cue.start)} --> {_srt_time(_end(cue))}\n{text}\n")
    return SSAFile.from_string("\n".join(made) or "\n", format_="srt")


def from_ass(head: bytes, cues: list[Cue]) -> SSAFile:
    """Lines of ASS, whose styles stand in the track's head."""
    styles = head.decode("utf-8", "replace").split("[Events]")[0]
    made = [styles, "[Events]", f"Format: {_ASS_FIELDS}"]
    for cue in cues:
        fields = " ".join(cue.text.decode("utf-8", "replace").splitlines()).split(",", 2)
        if len(fields) == 3:
            layer = fields[1] if fields[1].strip().isdigit() else "0"
            times = f"{_ass_time(cue.start)},{_ass_time(_end(cue))}"
            made.append(f"Dialogue: {layer},{times},{fields[2]}")
    return SSAFile.from_string("\n".join(made), format_="ass")


def _end(cue: Cue) -> int:
    return cue.start + (cue.duration or _DEFAULT_DURATION)


def _srt_time(ms: int) -> str:
    seconds, ms = divmod(min(ms, 359_999_999), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{ms:03}"


def _ass_time(ms: int) -> str:
    return _srt_time(ms).replace(",", ".")
