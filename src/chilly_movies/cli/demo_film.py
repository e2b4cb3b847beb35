"""The film of `chilly demo`: made here, so that nothing is fetched, and one that can be watched."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
from asyncio.subprocess import DEVNULL
from pathlib import Path

_MIB = 1024 * 1024
_WIDTH, _HEIGHT, _RATE = 160, 90, 25
_FRAME = _WIDTH * _HEIGHT * 3
_ROOM = 4
"""MiB that what ffmpeg makes may need."""
_LONGEST_AVI = 64 * _MIB
_WITHIN = 60.0
_FFMPEG = (
    "-f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=330 -t 15 -c:v libx264 "
    "-preset ultrafast -crf 30 -pix_fmt yuv420p -c:a aac -movflags +faststart -f mp4"
)


async def make_film(folder: Path, mib: int) -> Path:
    """Makes a film of exactly `mib` MiB: an MP4 that browsers play, or without ffmpeg an AVI.

    What is left is filled up with random bytes, which players skip.

    Returns:
        the film, in the folder.
    """
    film, size = folder / "Chilly Demo.mp4", mib * _MIB
    if mib >= _ROOM and await _encode(film) and film.stat().st_size + 8 <= size:
        # a box without a size ends with the file (ISO/IEC 14496-12)
        await asyncio.to_thread(_fill_up, film, size, struct.pack(">I4s", 0, b"free"))
        return film
    film.unlink(missing_ok=True)
    film = film.with_suffix(".avi")
    await asyncio.to_thread(_write_avi, film, min(size, _LONGEST_AVI))
    await asyncio.to_thread(_fill_up, film, size)
    return film


async def _encode(film: Path) -> bool:
    """Has ffmpeg make 15 s with sound; False if it is not installed or cannot."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return False
    words = ["-nostdin", "-v", "error", *_FFMPEG.split(), f"file:{film}"]
    try:
        process = await asyncio.create_subprocess_exec(
            ffmpeg, *words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_WITHIN):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _fill_up(film: Path, size: int, first: bytes = b"") -> None:
    with film.open("ab") as file:
        file.write(first)
        for left in range(size - film.stat().st_size - len(first), 0, -_MIB):
            file.write(os.urandom(min(_MIB, left)))


def _write_avi(film: Path, size: int) -> None:
    """Writes uncompressed pictures of 160 x 90 at 25 a second (AVI 1.0, `DIB `, 24 bits)."""
    head = 12 + 12 + 64 + 12 + 64 + 48  # all before the list of frames
    count = (size - head - 12 - 8 - 8) // (8 + _FRAME + 16)
    # a pattern that moves to the side, with a bar that shows how much of the film is over
    period = bytes(value for x in range(2 * _WIDTH) for value in ((x * 8) % 256, (x * 3) % 256, 96))
    done, left = b"\xff\xff\xff", b"\x30\x30\x30"
    pictures = []  # each with the head of its chunk
    for number in range(count):
        rows = [period[3 * ((number + y) % _WIDTH) :][: 3 * _WIDTH] for y in range(_HEIGHT - 4)]
        over = number * _WIDTH // count
        bar = done * over + left * (_WIDTH - over)
        pictures.append(b"00db" + struct.pack("<I", _FRAME) + b"".join([bar] * 4 + rows))
    index = b"".join(
        struct.pack("<4s3I", b"00db", 16, 4 + at * (8 + _FRAME), _FRAME) for at in range(count)
    )
    movie = _list(b"movi", b"".join(pictures))
    body = b"AVI " + _avi_head(count) + movie + _chunk(b"idx1", index)
    junk = size - 8 - len(body) - 8
    film.write_bytes(_chunk(b"RIFF", body + _chunk(b"JUNK", os.urandom(junk))))


def _avi_head(count: int) -> bytes:
    main = struct.pack(
        "<10I16x", 10**6 // _RATE, _FRAME * _RATE, 0, 0x10, count, 0, 1, _FRAME, _WIDTH, _HEIGHT
    )
    stream = struct.pack(
        "<4s4sI2H8I4H",
        b"vids",
        b"DIB ",
        0,
        0,
        0,
        0,
        1,
        _RATE,
        0,
        count,
        _FRAME,
        0,
        0,
        0,
        0,
        _WIDTH,
        _HEIGHT,
    )
    bitmap = struct.pack("<3I2H6I", 40, _WIDTH, _HEIGHT, 1, 24, 0, _FRAME, 0, 0, 0, 0)
    streams = _list(b"strl", _chunk(b"strh", stream) + _chunk(b"strf", bitmap))
    return _list(b"hdrl", _chunk(b"avih", main) + streams)


def _list(kind: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", kind + content)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content
