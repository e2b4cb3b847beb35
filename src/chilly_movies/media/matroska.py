"""Takes one text track out of an MKV or WebM film without reading the film. Runs in the child.

The index of most films (the cues) names every subtitle, so that only the end of the file and the
few bytes of each subtitle are read. Without such an index the film is gone through from its
beginning, as far as it has arrived and time allows.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from chilly_movies.media.convert import write_vtt
from chilly_movies.media.cues import Cue, from_ass, from_text
from chilly_movies.media.ebml import Ebml, Element, Missing

_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_INFO, _SCALE = 0x1549A966, 0x2AD7B1
_TRACKS, _TRACK_ENTRY, _NUMBER, _TYPE = 0x1654AE6B, 0xAE, 0xD7, 0x83
_CODEC, _PRIVATE = 0x86, 0x63A2
_ENCODINGS, _ENCODING, _COMPRESSION = 0x6D80, 0x6240, 0x5034
_ALGORITHM, _SETTINGS = 0x4254, 0x4255
_CUES, _CUE_POINT, _CUE_TIME, _CUE_POSITIONS = 0x1C53BB6B, 0xBB, 0xB3, 0xB7
_CUE_TRACK, _CUE_CLUSTER, _CUE_RELATIVE, _CUE_DURATION = 0xF7, 0xF1, 0xF0, 0xB2
_CLUSTER, _CLUSTER_TIME = 0x1F43B675, 0xE7
_BLOCK_GROUP, _BLOCK, _BLOCK_DURATION, _SIMPLE_BLOCK = 0xA0, 0xA1, 0x9B, 0xA3
_SUBTITLES = b"\x11"
_ZLIB, _STRIPPING = 0, 3
_ASS = frozenset({"S_TEXT/ASS", "S_TEXT/SSA", "S_ASS", "S_SSA"})
_CODECS = _ASS | {"S_TEXT/UTF8", "S_TEXT/ASCII", "S_TEXT/WEBVTT", "D_WEBVTT/SUBTITLES"}
_SECONDS = 5.0
"""How long a film without an index is gone through."""
_MAX_CUES = 50_000
_MAX_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    codec: str
    private: bytes
    zipped: bool
    stripped: bytes


def track_to_vtt(file: BinaryIO, number: int) -> tuple[str, bool]:
    """A text track as WebVTT, and whether all of it is there.

    Args:
        file: the film, or what has arrived of it.
        number: the container's number of the track.

    Raises:
        ValueError: there is no such text track.
    """
    film = _Film(file)
    track = film.track(number)
    cues, complete = film.cues(track)
    subs = from_ass(track.private, cues) if track.codec in _ASS else from_text(cues)
    return write_vtt(subs), complete


class _Film:
    """The parts of a Matroska segment that matter here; times in milliseconds."""

    def __init__(self, file: BinaryIO) -> None:
        self._ebml = Ebml(file)
        place = self._ebml.element(0).end
        self._segment = self._ebml.element(place)
        self._scale = 1_000_000
        self._places: dict[int, int] = {}
        self._tracks: Element | None = None
        self._first_cluster: Element | None = None
        self._read_head()

    def _read_head(self) -> None:
        with suppress(Missing):
            for el in self._ebml.children(self._segment):
                if el.id == _SEEK_HEAD:
                    self._read_places(el)
                elif el.id == _INFO:
                    scale = self._ebml.values(el).get(_SCALE)
                    self._scale = _integer(scale) or self._scale
                elif el.id == _TRACKS:
                    self._tracks = el
                elif el.id == _CUES:
                    self._places[_CUES] = el.place
                elif el.id == _CLUSTER:
                    self._first_cluster = el
                    return

    def _read_places(self, head: Element) -> None:
        for seek in self._ebml.children(head):
            if seek.id != _SEEK:  # a checksum, say, whose content is no elements
                continue
            found = self._ebml.values(seek)
            if _integer(found.get(_SEEK_ID)) == _CUES and _SEEK_POSITION in found:
                place = self._segment.start + _integer(found[_SEEK_POSITION])
                with suppress(Missing):
                    cues = self._ebml.element(place)
                    if cues.id == _CUES:
                        self._places[_CUES] = place

    def track(self, number: int) -> _Track:
        """The text track of this number."""
        for entry in self._ebml.children(self._tracks) if self._tracks else ():
            if entry.id != _TRACK_ENTRY:
                continue
            found = self._ebml.values(entry)
            codec = found.get(_CODEC, b"").decode("ascii", "replace").rstrip("\0")
            wanted = _integer(found.get(_NUMBER)) == number and found.get(_TYPE) == _SUBTITLES
            if wanted and codec in _CODECS:
                zipped, stripped = self._packing(entry)
                return _Track(number, codec, found.get(_PRIVATE, b""), zipped, stripped)
        raise ValueError("no such text track")

    def _packing(self, entry: Element) -> tuple[bool, bytes]:
        """Whether its texts are compressed, and which bytes were taken off their front."""
        level = [entry]
        for wanted in (_ENCODINGS, _ENCODING, _COMPRESSION):
            level = [
                el for parent in level for el in self._ebml.children(parent) if el.id == wanted
            ]
        for compression in level:
            found = self._ebml.values(compression)
            kind = _integer(found.get(_ALGORITHM))
            if kind == _STRIPPING:
                return False, found.get(_SETTINGS, b"")
            return kind == _ZLIB, b""
        return False, b""

    def cues(self, track: _Track) -> tuple[list[Cue], bool]:
        """Its subtitles, and whether these are all."""
        indexed = self._indexed(track)
        if not indexed:
            return self._walk(track)
        cues, complete = [], True
        for when, duration, place in indexed[:_MAX_CUES]:
            try:
                block = self._block(self._ebml.element(place), track)
            except Missing:
                complete = False
                continue
            if block is not None:
                length = duration if duration is not None else block.duration
                cues.append(Cue(when, length, block.text))
        return cues, complete

    def _indexed(self, track: _Track) -> list[tuple[int, int | None, int]]:
        """Start, duration and place of each subtitle in the index; empty if it names none."""
        found: list[tuple[int, int | None, int]] = []
        if _CUES not in self._places:
            return found
        try:
            index = self._ebml.element(self._places[_CUES])
            for point in self._ebml.children(index):
                if point.id != _CUE_POINT:
                    continue
                when = 0
                for el in self._ebml.children(point):
                    if el.id == _CUE_TIME:
                        when = _integer(self._ebml.value(el))
                    elif el.id == _CUE_POSITIONS:
                        found += self._positions(track, when, self._ebml.values(el))
        except Missing:  # half an index would hide the other half of the subtitles
            return []
        return found

    def _positions(
        self, track: _Track, when: int, at: dict[int, bytes]
    ) -> list[tuple[int, int | None, int]]:
        if _integer(at.get(_CUE_TRACK)) != track.number or _CUE_RELATIVE not in at:
            return []
        place = self._segment.start + _integer(at.get(_CUE_CLUSTER))
        duration = self._ms(_integer(at[_CUE_DURATION])) if _CUE_DURATION in at else None
        # a cluster's content begins after its id and size, which have no fixed length
        try:
            start = self._ebml.element(place).start
        except Missing:
            start = self._ebml.size  # it will be missing there, too
        return [(self._ms(when), duration, start + _integer(at[_CUE_RELATIVE]))]

    def _walk(self, track: _Track) -> tuple[list[Cue], bool]:
        """Go through all clusters that are there; complete only if that was the whole file."""
        cues: list[Cue] = []
        until = time.monotonic() + _SECONDS
        place = self._first_cluster.place if self._first_cluster else self._segment.end
        try:
            el = self._first_cluster
            while el is not None and len(cues) < _MAX_CUES:
                if time.monotonic() > until:
                    return cues, False
                if el.id == _CLUSTER:
                    cues += self._in_cluster(track, el)
                place = el.end
                el = self._ebml.element(place) if place < self._segment.end else None
        except Missing:
            return cues, place >= self._ebml.size
        return cues, True

    def _in_cluster(self, track: _Track, cluster: Element) -> Iterator[Cue]:
        start = 0
        for el in self._ebml.children(cluster):
            if el.id == _CLUSTER:  # the one before did not say where it ends
                start = 0
            elif el.id == _CLUSTER_TIME:
                start = _integer(self._ebml.value(el))
            elif el.id in (_BLOCK_GROUP, _SIMPLE_BLOCK):
                block = self._block(el, track)
                if block is not None:
                    yield Cue(self._ms(start + block.start), block.duration, block.text)

    def _block(self, el: Element, track: _Track) -> Cue | None:
        """A block as a cue, its start relative and in ticks; None if it is another track's."""
        if el.size > _MAX_TEXT:  # a picture: not even looked at
            return None
        block = el if el.id == _SIMPLE_BLOCK else None
        duration: int | None = None
        if el.id == _BLOCK_GROUP:
            for child in self._ebml.children(el):
                if child.id == _BLOCK:
                    block = child
                elif child.id == _BLOCK_DURATION:
                    duration = self._ms(_integer(self._ebml.value(child)))
        data = self._ebml.value(block) if block else b""
        if len(data) < 4 or data[0] != 0x80 | track.number:  # past 127 a number takes two bytes
            return None
        (when,) = struct.unpack_from(">h", data, 1)
        text = _unpacked(data[4:], track)
        return None if text is None else Cue(when, duration, text)

    def _ms(self, ticks: int) -> int:
        return ticks * self._scale // 1_000_000


def _unpacked(data: bytes, track: _Track) -> bytes | None:
    if not track.zipped:
        return track.stripped + data
    try:
        return zlib.decompressobj().decompress(data, _MAX_TEXT)
    except zlib.error:
        return None


def _integer(value: bytes | None) -> int:
    return int.from_bytes((value or b"")[:8], "big")
