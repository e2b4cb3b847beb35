"""Small real films, made by ffmpeg and kept for the length of the test session.

A test asks the `films` fixture: `films.mp4(moov="last")`, `films.mkv()`. The same wish gives the
same file, so it must not be changed; copy it first.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Moov = Literal["first", "last", "fragments"]

SRT = (
    "1\n00:00:00,500 --> 00:00:02,000\nGood evening.\n\n"
    "2\n00:00:02,500 --> 00:00:04,000\n<i>Nobody</i> is here.\nReally & truly.\n"
)
"""Two English cues, the second on two lines and with a tag."""

ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 640
PlayResY: 360

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,20,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,2,2,2,\
10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.50,0:00:02.00,Default,,0,0,0,,Guten Abend.
Dialogue: 0,0:00:02.50,0:00:04.00,Default,,0,0,0,,{\\i1}Niemand{\\i0} ist hier.\\NWirklich.
"""
"""Two German cues, the second on two lines and partly italic."""

_CHAPTERS = """;FFMETADATA1
title=Test film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=2000
title=Beginning
[CHAPTER]
TIMEBASE=1/1000
START=2000
END=4000
title=End
"""
_EXACT = ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact")
_TIMEOUT = 120


@dataclass(frozen=True, slots=True)
class Films:
    """Makes films below a folder, each once.

    Attributes:
        folder: where they lie; shared by processes that run at the same time.
    """

    folder: Path

    def mp4(
        self,
        *,
        seconds: int = 6,
        kbits: int = 600,
        moov: Moov = "first",
        video: Sequence[str] = (),
        audio: Sequence[str] = ("-c:a", "aac", "-b:a", "64k"),
        subtitles: bool = False,
    ) -> Path:
        """H.264 and AAC, 320x180, 25 pictures and one key picture a second.

        Args:
            seconds: how long it plays.
            kbits: of video a second; it is noise, so the size is near `kbits * seconds / 8`.
            moov: where the index lies: before or after the media, or in fragments.
            video: another video codec as ffmpeg arguments, `("-c:v", "libx265")` say.
            audio: another audio codec.
            subtitles: `SRT` in English is in it, too.
        """
        flags = {"first": "+faststart", "fragments": "+frag_keyframe+empty_moov"}
        arguments = _sources(seconds, tones=1)
        if subtitles:
            arguments += ["-i", str(self.sidecar("film.en.srt", SRT)), "-c:s", "mov_text"]
            arguments += ["-metadata:s:s:0", "language=eng"]
        arguments += [*(video or _h264(kbits)), *audio]
        arguments += ["-movflags", flags[moov]] if moov in flags else []
        return self._make("mp4", arguments)

    def webm(self, *, seconds: int = 4) -> Path:
        """VP8 and Opus."""
        codecs = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"]
        arguments = [*_sources(seconds, tones=1), *codecs, "-c:a", "libopus", "-b:a", "48k"]
        return self._make("webm", arguments)

    def mkv(
        self,
        *,
        seconds: int = 6,
        kbits: int = 600,
        cues_first: bool = False,
        signs: str = "Signs",
    ) -> Path:
        """H.264, English and French AAC, two chapters, `SRT` in English and `ASS` in German.

        Args:
            seconds: how long it plays.
            kbits: of video a second.
            cues_first: the index lies before the media, not after.
            signs: title of the German subtitles.
        """
        srt, ass = self.sidecar("film.en.srt", SRT), self.sidecar("film.de.ass", ASS)
        chapters = self.sidecar("film.chapters", _CHAPTERS)
        arguments = [
            *_sources(seconds, tones=2), "-i", str(srt), "-i", str(ass), "-i", str(chapters),
            "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map", "4:s",
            "-map_metadata", "5", *_h264(kbits), "-c:a", "aac", "-b:a", "64k", "-c:s", "copy",
            "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fre",
            "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger",
            "-metadata:s:s:1", f"title={signs}", "-disposition:s:1", "forced",
        ]  # fmt: skip
        arguments += ["-cues_to_front", "1"] if cues_first else []
        return self._make("mkv", arguments)

    def sidecar(self, name: str, text: str | bytes) -> Path:
        """A file of its own beside the films."""
        data = text if isinstance(text, bytes) else text.encode()
        path = self.folder / hashlib.sha256(data).hexdigest()[:12] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as made:
            made.write(data)
        os.replace(made.name, path)  # noqa: PTH105 (a whole file at once, whoever else writes it)
        return path

    def _make(self, ending: str, arguments: Sequence[str]) -> Path:
        """Run ffmpeg, unless it made the same film before."""
        digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:16]
        path = self.folder / f"{digest}.{ending}"
        if not path.exists():
            part = self.folder / f"{digest}.{os.getpid()}.part.{ending}"
            self.folder.mkdir(parents=True, exist_ok=True)
            run_ffmpeg(*arguments, *_EXACT, str(part))
            part.rename(path)
        return path


def run_ffmpeg(*arguments: str) -> None:
    """Run ffmpeg to its end; must succeed."""
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def count_frames(address: str | Path, *given: str, video: bool = True) -> int:
    """Decode a film to its end with ffmpeg; how many pictures, or else sound packets, it had.

    Must succeed without one decoding error.

    Args:
        address: of the film.
        given: words about it, before it on the command line.
        video: whether pictures are counted.
    """
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-xerror"]
    command += [*given, "-i", str(address)]
    command += ["-map", "0:v:0" if video else "0:a:0", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    return sum(1 for line in done.stdout.splitlines() if not line.startswith(b"#"))


def _sources(seconds: int, *, tones: int) -> list[str]:
    """A picture of noise, which does not compress, and sounds of different pitch."""
    picture = f"testsrc2=size=320x180:rate=25:duration={seconds},noise=alls=60:allf=t"
    found = ["-f", "lavfi", "-i", picture]
    for number in range(tones):
        found += ["-f", "lavfi", "-i", f"sine=frequency={440 + 220 * number}:duration={seconds}"]
    return found


def _h264(kbits: int) -> list[str]:
    rate = f"{kbits}k"
    return [
        "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25",
        "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate,
    ]  # fmt: skip
