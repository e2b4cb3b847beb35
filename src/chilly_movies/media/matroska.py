"""Takes one text track out of an MKV or WebM film without reading the film. Runs in the child.

The index of most films (the cues) names every subtitle, so that only the end of the file and the
few bytes of each subtitle are read. Without such an index, or with one that names only some, the
film is gone through from its beginning, as far as it has arrived and time allows.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from chilly_movies.media.convert import write_vtt
from chilly_movies.media.cues import Cue, from_ass, from_text, from_vtt
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
_NOT_IN_CLUSTERS = frozenset({
    _CLUSTER, _CUES, _TRACKS, _SEEK_HEAD, _INFO, 0x1254C367, 0x1043A770, 0x1941A469,
})  # fmt: skip
"""The last are tags, chapters and attachments."""
_BLOCK_GROUP, _BLOCK, _BLOCK_DURATION, _SIMPLE_BLOCK = 0xA0, 0xA1, 0x9B, 0xA3
_ADDITIONS, _MORE, _ADDITIONAL = 0x75A1, 0xA6, 0xA5
_SUBTITLES = 0x11
_ZLIB, _STRIPPING = 0, 3
_ASS = frozenset({"S_TEXT/ASS", "S_TEXT/SSA", "S_ASS", "S_SSA"})
_WEBM = frozenset({"D_WEBVTT/SUBTITLES", "D_WEBVTT/CAPTIONS", "D_WEBVTT/DESCRIPTIONS"})
"""Their blocks are an identifier, settings, each on a line, and the text."""
_WEBVTT = _WEBM | {"S_TEXT/WEBVTT"}
_CODECS = _ASS | _WEBVTT | {"S_TEXT/UTF8", "S_TEXT/ASCII"}
_SECONDS = 5.0
"""How long a film without an index is gone through."""
_LOOKS, _SECONDS_LOOKING = 8, 1.0
"""At how many clusters one looks, and how long, to know whether an index names all subtitles."""
_LITTLE = 256 * 1024
"""Up to this size a film is gone through in any case: it costs as little."""
_MAX_CUES = 50_000
_MAX_TEXT = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Named:
    """A subtitle as the index names it; times in milliseconds."""

    start: int
    duration: int | None
    cluster: int
    place: int


@dataclass(frozen=True, slots=True)
class _Track:
    number: int
    codec: str
    private: bytes
    zipped: bool
    stripped: bytes


def track_to_vtt(file: BinaryIO, number: int, glance: BinaryIO | None = None) -> tuple[str, bool]:
    """A text track as WebVTT, and whether all of it is there.

    Args:
        file: the film, or what has arrived of it.
        number: the container's number of the track.
        glance: the same file, read in little bits; None = `file`.

    Raises:
        ValueError: there is no such text track.
    """
    film = _Film(file, glance or file)
    track = film.track(number)
    cues, complete = film.cues(track)
    if track.codec in _ASS:
        shown = from_ass(track.private, cues)
    else:
        shown = from_vtt(cues) if track.codec in _WEBVTT else from_text(cues)
    return write_vtt(shown), complete


class _Film:
    """The parts of a Matroska segment that matter here; times in milliseconds."""

    def __init__(self, file: BinaryIO, glance: BinaryIO) -> None:
        self._ebml = Ebml(file)
        self._glance = Ebml(glance)
        place = self._ebml.element(0).end
        self._segment = self._ebml.element(place)
        self._scale = 1_000_000
        self._places: dict[int, int] = {}
        self._tracks: Element | None = None
        self._first_cluster: Element | None = None
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
                    break

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
            wanted = (
                _integer(found.get(_NUMBER)) == number and _integer(found.get(_TYPE)) == _SUBTITLES
            )
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
            found, complete = self._walk(track, _SECONDS)
            return list(found.values()), complete
        cues, complete = {}, True  # by place
        for one in indexed[:_MAX_CUES]:
            try:
                block = self._block(self._ebml.element(one.place), track, self._ebml)
            except Missing:
                complete = False
                continue
            if block is not None:
                length = one.duration if one.duration is not None else block.duration
                cues[one.place] = Cue(one.start, length, block.text, block.settings)
        if self._ebml.size > _LITTLE and not self._names_too_few(track, indexed):
            return list(cues.values()), complete
        found, walked = self._walk(track, _SECONDS)
        # what the index names has durations that blocks may lack
        return list((found | cues).values()), walked

    def _names_too_few(self, track: _Track, indexed: list[_Named]) -> bool:
        """Whether a few clusters that the index names hold subtitles that it does not name."""
        named = {one.place for one in indexed}
        clusters = sorted({one.cluster for one in indexed})
        until = time.monotonic() + _SECONDS_LOOKING
        for place in clusters[:: max(1, len(clusters) // _LOOKS)]:
            with suppress(Missing):
                for _, el in self._elements(self._glance, place):
                    if el.id in _NOT_IN_CLUSTERS and el.place != place:
                        break
                    if el.place not in named and self._block(el, track, self._glance) is not None:
                        return True
                    if time.monotonic() > until:
                        return False
        return False

    def _indexed(self, track: _Track) -> list[_Named]:
        """Each subtitle in the index; empty if it names none."""
        found: list[_Named] = []
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

    def _positions(self, track: _Track, when: int, at: dict[int, bytes]) -> list[_Named]:
        if _integer(at.get(_CUE_TRACK)) != track.number or _CUE_RELATIVE not in at:
            return []
        place = self._segment.start + _integer(at.get(_CUE_CLUSTER))
        duration = self._ms(_integer(at[_CUE_DURATION])) if _CUE_DURATION in at else None
        # a cluster's content begins after its id and size, which have no fixed length
        try:
            start = self._ebml.element(place).start
        except Missing:
            start = self._ebml.size  # it will be missing there, too
        return [_Named(self._ms(when), duration, place, start + _integer(at[_CUE_RELATIVE]))]

    def _walk(self, track: _Track, seconds: float) -> tuple[dict[int, Cue], bool]:
        """Go through all clusters that are there; complete only if that was the whole file."""
        cues: dict[int, Cue] = {}
        until = time.monotonic() + seconds
        place = self._first_cluster.place if self._first_cluster else self._segment.end
        try:
            for start, el in self._elements(self._ebml, place):
                place = el.place
                if time.monotonic() > until or len(cues) >= _MAX_CUES:
                    return cues, False
                block = self._block(el, track, self._ebml)
                if block is not None:
                    when = self._ms(start + block.start)
                    cues[place] = Cue(when, block.duration, block.text, block.settings)
        except Missing:
            return cues, False
        return cues, True

    def _elements(self, ebml: Ebml, place: int) -> Iterator[tuple[int, Element]]:
        """All elements from there on, those in clusters, too, each with its cluster's time.

        Clusters are entered and not measured: whoever wrote them while recording did not say where
        they end (RFC 8794, section 6.2), which is where an element begins that cannot be in them.
        """
        start, ends = 0, self._segment.end
        while place < min(self._segment.end, ebml.size):
            el = ebml.element(place)
            if el.id == _CLUSTER:
                start, ends = 0, el.end
            elif el.id == _CLUSTER_TIME:
                start = _integer(ebml.value(el))
            yield start, el
            # one that is longer than its cluster is broken: the next cluster is whole
            place = ends if place < ends < el.end else el.end
            place = el.start if el.id == _CLUSTER else place

    def _block(self, el: Element, track: _Track, ebml: Ebml) -> Cue | None:
        """A block as a cue, its start relative and in ticks; None if it is another track's."""
        if el.id == _SIMPLE_BLOCK:
            return self._read(el, track, ebml)
        made: Cue | None = None
        for child in ebml.children(el) if el.id == _BLOCK_GROUP else ():
            if child.id == _BLOCK:
                made = self._read(child, track, ebml)
                if made is None:
                    return None
            elif made and child.id == _BLOCK_DURATION:
                made = replace(made, duration=self._ms(_integer(ebml.value(child))))
            elif made and child.id == _ADDITIONS and track.codec in _WEBVTT:
                beside = next((more for more in ebml.children(child) if more.id == _MORE), None)
                text = ebml.values(beside).get(_ADDITIONAL, b"") if beside else b""
                made = replace(made, settings=text.partition(b"\n")[0])
        return made

    def _read(self, block: Element, track: _Track, ebml: Ebml) -> Cue | None:
        number, length = _track_number(ebml.beginning(block, 8))
        if number != track.number or block.size > _MAX_TEXT:
            return None
        data = ebml.value(block)
        if len(data) < length + 3:
            return None
        (when,) = struct.unpack_from(">h", data, length)
        text, settings = track.stripped + data[length + 3 :], b""
        if track.zipped:
            try:
                text = zlib.decompressobj().decompress(text, _MAX_TEXT)
            except zlib.error:
                return None
        if track.codec in _WEBM:
            _identifier, settings, text = (*text.split(b"\n", 2), b"", b"")[:3]
        return Cue(when, None, text, settings)

    def _ms(self, ticks: int) -> int:
        return ticks * self._scale // 1_000_000


def _track_number(data: bytes) -> tuple[int, int]:
    """The number of the track that a block begins with, and how many bytes it takes."""
    length = 9 - data[0].bit_length() if data and data[0] else 0
    if not 0 < length <= len(data):
        return 0, 0
    return int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1), length


def _integer(value: bytes | None) -> int:
    return int.from_bytes((value or b"")[:8], "big")
