"""What the child process does with subtitles: files beside films, and text tracks inside them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from chilly_movies.media.confinement import confine

if TYPE_CHECKING:
    from chilly_movies.media.child import RemoteFile

_GLANCE = 64
"""Bytes that are read for what an element is and whose."""


def sidecar(file: BinaryIO, words: Sequence[str]) -> bytes:
    """A subtitle file as WebVTT; `words` are the ending, the language and the picture rate."""
    from chilly_movies.media.convert import to_vtt

    confine(importing=True)  # encodings are modules
    ending, language, fps = words
    return _cues(to_vtt(file.read(), ending, language, float(fps) or None), complete=True)


def embedded(file: BinaryIO, words: Sequence[str]) -> bytes:
    """A film's text track as WebVTT; its number is the only word."""
    from chilly_movies.media import matroska, mp4

    confine(importing=True)
    number = int(words[0])
    if file.read(4) == b"\x1a\x45\xdf\xa3":
        raw = cast("RemoteFile", cast("io.BufferedReader", file).raw)
        glance = cast("BinaryIO", io.BufferedReader(raw.again(), _GLANCE))
        vtt, complete = matroska.track_to_vtt(file, number, glance)
    else:
        vtt, complete = mp4.track_to_vtt(file, number)
    return _cues(vtt, complete=complete)


def _cues(vtt: str, *, complete: bool) -> bytes:
    return json.dumps({"vtt": vtt, "complete": complete}).encode()
