"""Takes one text track out of an MP4 film without reading the film. Runs in the child.

ISO/IEC 14496-12 and -30: the index (`moov`) says where each text lies. Films in fragments, as live
recorders write them, have no such index and are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from chilly_movies.media.convert import write_vtt
from chilly_movies.media.cues import Cue, from_text, from_vtt

_MAX_INDEX = 64 * 1024 * 1024
_MAX_CUES = 50_000
_MAX_TEXT = 64 * 1024
_MAX_EDITS = 100
_HANDLERS = (b"text", b"sbtl", b"subt")
_CODECS = (b"tx3g", b"wvtt")


@dataclass(frozen=True, slots=True)
class _Track:
    """Where the texts of a track lie, and when each is shown; times in milliseconds."""

    codec: bytes
    samples: list[tuple[int, int, int, int]]
    """Start, end, place and size."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """A part of a track that is shown; milliseconds of the track, and what they come later."""

    shift: int
    start: int
    end: int | None


def track_to_vtt(file: BinaryIO, number: int) -> tuple[str, bool]:
    """A text track as WebVTT, and whether all of it is there.

    Args:
        file: the film, or what has arrived of it.
        number: the container's number of the track.

    Raises:
        ValueError: there is no such text track.
    """
    track = _find(_index(file), number)
    if not track.samples:
        raise ValueError("the index names no texts")
    cues, complete = [], True
    for start, end, place, size in track.samples[:_MAX_CUES]:
        file.seek(place)
        data = file.read(min(size, _MAX_TEXT))
        if len(data) < min(size, _MAX_TEXT):
            complete = False
            continue
        texts = _texts(track.codec, data)
        cues += [Cue(start, end - start, text, settings) for text, settings in texts]
    made = from_vtt(cues) if track.codec == b"wvtt" else from_text(cues)
    return write_vtt(made), complete


def _index(file: BinaryIO) -> bytes:
    """The content of `moov`."""
    place, end = 0, file.seek(0, 2)
    while place < end:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            break
        size, kind = struct.unpack_from(">I4s", head)
        skip = 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
            skip = 16
        size = end - place if size == 0 else size
        if size < skip:
            break
        if kind == b"moov" and size <= _MAX_INDEX:
            file.seek(place + skip)
            data = file.read(size - skip)
            if len(data) == size - skip:
                return data
            break
        place += size
    raise ValueError("the index has not arrived, or there is none")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        if size < 8:
            return
        yield kind, data[place + 8 : place + size]
        place += size


def _box(data: bytes, *path: bytes) -> bytes:
    """The first box at this path.

    Raises:
        ValueError: there is none.
    """
    for name in path:
        found = next((body for kind, body in _boxes(data) if kind == name), None)
        if found is None:
            raise ValueError("a box is missing")
        data = found
    return data


def _find(index: bytes, number: int) -> _Track:
    for kind, trak in _boxes(index):
        if kind != b"trak":
            continue
        head = _box(trak, b"tkhd")
        (track_id,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
        if track_id == number and _box(trak, b"mdia", b"hdlr")[8:12] in _HANDLERS:
            return _track(trak, index)
    raise ValueError("no such text track")


def _edits(index: bytes, trak: bytes, scale: int) -> list[_Edit]:
    """What of the track is shown when (edit list, 14496-12 section 8.6.6); empty = all."""
    try:
        box, head = _box(trak, b"edts", b"elst"), _box(index, b"mvhd")
    except ValueError:
        return []
    (film_scale,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    if not film_scale:
        return []
    edits, begins = [], 0
    for length, media, _rate in list(_rows(box, ">QqI" if box[0] else ">IiI"))[:_MAX_EDITS]:
        lasts = length * 1000 // film_scale
        if media >= 0:
            start = media * 1000 // scale
            edits.append(_Edit(begins - start, start, start + lasts if lasts else None))
        begins += lasts
    return edits or [_Edit(begins, 0, None)]  # a delay, and no word of what comes


def _track(trak: bytes, index: bytes) -> _Track:
    head = _box(trak, b"mdia", b"mdhd")
    (scale,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    table = _box(trak, b"mdia", b"minf", b"stbl")
    codec = _box(table, b"stsd")[12:16]
    if codec not in _CODECS or not scale:
        raise ValueError("not a text track we know")
    edits = _edits(index, trak, scale) or [_Edit(0, 0, None)]
    samples, ticks = [], 0
    runs = _rows(_box(table, b"stts"), ">II")
    lengths = (length for count, length in runs for _ in range(count))
    for length, place, size in zip(lengths, _places(table), _sizes(table), strict=False):
        start, end = ticks * 1000 // scale, (ticks + length) * 1000 // scale
        for edit in edits:  # a text whose part of the track was cut out is never shown
            begins, ends = max(start, edit.start), end if edit.end is None else min(end, edit.end)
            if begins < ends:
                samples.append((begins + edit.shift, ends + edit.shift, place, size))
        ticks += length
        if len(samples) >= 2 * _MAX_CUES:  # every second one may be a gap
            break
    return _Track(codec, samples)


def _sizes(table: bytes) -> Iterator[int]:
    box = _box(table, b"stsz")
    size, count = struct.unpack_from(">II", box, 4)
    if size:
        yield from (size for _ in range(count))
    else:
        yield from (row[0] for row in struct.iter_unpack(">I", box[12 : 12 + 4 * count]))


def _places(table: bytes) -> Iterator[int]:
    """Where each sample lies: chunks of samples that follow one another."""
    try:
        chunks = [row[0] for row in _rows(_box(table, b"stco"), ">I")]
    except ValueError:
        chunks = [row[0] for row in _rows(_box(table, b"co64"), ">Q")]
    runs = list(_rows(_box(table, b"stsc"), ">III"))
    sizes = _sizes(table)
    for number, (first, count, _) in enumerate(runs):
        last = runs[number + 1][0] - 1 if number + 1 < len(runs) else len(chunks)
        for place in chunks[max(0, first - 1) : last]:
            at = place
            for _ in range(count):
                yield at
                size = next(sizes, None)
                if size is None:
                    return
                at += size


def _rows(box: bytes, form: str) -> Iterator[tuple[int, ...]]:
    (count,) = struct.unpack_from(">I", box, 4)
    step = struct.calcsize(form)
    body = box[8 : 8 + count * step]
    yield from struct.iter_unpack(form, body[: len(body) // step * step])


def _texts(codec: bytes, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What a sample shows, and its settings; nothing if it is a gap."""
    if codec == b"wvtt":
        for kind, cue in _boxes(data):
            parts = dict(_boxes(cue)) if kind == b"vttc" else {}
            if b"payl" in parts:
                yield parts[b"payl"], parts.get(b"sttg", b"")
    elif len(data) > 2:
        (length,) = struct.unpack_from(">H", data)
        text = data[2 : 2 + length]
        if text[:2] in (b"\xfe\xff", b"\xff\xfe"):
            text = text.decode("utf-16", "replace").encode()
        if text:
            yield text, b""
