"""The picture that stands where there is none: a plain frame with a mark in it, made here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Final

from chilly_movies.catalogue.ports import Picture

_SIZES: Final = {
    Picture.POSTER: (240, 360),
    Picture.BACKDROP: (480, 270),
    Picture.STILL: (480, 270),
}
_DARK, _LIGHT = b"\x2b\x2f\x36", b"\x4a\x50\x5a"


@cache
def neutral_picture(which: Picture) -> bytes:
    """A PNG of the usual shape of such a picture: a triangle on a dark ground."""
    width, height = _SIZES[which]
    return png(width, height, lambda x, y: _in_triangle(x - width / 2, y - height / 2))


def png(width: int, height: int, is_light: Callable[[int, int], bool]) -> bytes:
    """A PNG of two colours, a byte for each pixel (PNG 11.2)."""
    rows = (bytes([0, *(is_light(x, y) for x in range(width))]) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = zlib.compress(b"".join(rows), 9)
    chunks = ((b"IHDR", head), (b"PLTE", _DARK + _LIGHT), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _in_triangle(x: float, y: float) -> bool:
    return -36 <= x <= 48 and abs(y) <= (48 - x) / 1.75
