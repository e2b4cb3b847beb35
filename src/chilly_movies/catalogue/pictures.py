"""What pictures may be, and how they are fetched. They are never decoded here.

Only the first bytes and the announced size are looked at: PNG 11.2.2, JPEG (ITU-T T.81, B.2.2),
WebP (RFC 9649). A small file may announce a size that fills the memory of what shows it.
"""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from chilly_movies.catalogue.ports import Fetch
from chilly_movies.errors import (
    ChillyError,
    MetadataUnavailable,
    SourceNotFound,
    SourceUnavailable,
)

LARGEST: Final = 8 * 1024 * 1024
"""Bytes of a picture."""
_MOST_PIXELS: Final = 64 * 1024 * 1024
_PATIENCE: Final = 20.0
"""Seconds until a picture must be there."""
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a JPEG that its size follows."""
_ALONE: Final = frozenset(range(0xD0, 0xDA)) | {0x01}
"""Those that nothing follows."""


def media_type_of(body: bytes) -> str | None:
    """The media type of a picture that may be shown, None if it is none.

    It may be if it is a JPEG, PNG or WebP of at most 64 million pixels.
    """
    if body.startswith(b"\x89PNG\r\n\x1a\n") and body[12:16] == b"IHDR":
        kind, size = "image/png", _pair(body[16:24], 4, "big")
    elif body.startswith(b"\xff\xd8\xff"):
        kind, size = "image/jpeg", _jpeg_size(body)
    elif body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        kind, size = "image/webp", _webp_size(body)
    else:
        return None
    return kind if size is not None and 0 < size[0] * size[1] <= _MOST_PIXELS else None


async def fetch_picture(fetch: Fetch, url: str, *, limit: int) -> bytes | None:
    """A picture from a server, None if it is not there or is none that may be shown.

    Raises:
        MetadataUnavailable: the server does not answer.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            body = await fetch(url, limit=limit, what="a picture")
    except SourceNotFound:
        return None
    except (TimeoutError, SourceUnavailable):
        raise MetadataUnavailable("The server of the pictures does not answer.") from None
    except ChillyError:
        return None  # too large, or in a place that we must not reach: another try changes nothing
    return body if isinstance(body, bytes) and media_type_of(body) is not None else None


def _pair(field: bytes, size: int, order: Literal["big", "little"]) -> tuple[int, int] | None:
    """Two numbers of so many bytes, one after the other; None if the field ends before."""
    if len(field) != 2 * size:
        return None
    return int.from_bytes(field[:size], order), int.from_bytes(field[size:], order)


def _jpeg_size(body: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(body) and body[at] == 0xFF:
        marker = body[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _SOF:
            return _pair(body[at + 5 : at + 9], 2, "big")
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")
    return None


def _webp_size(body: bytes) -> tuple[int, int] | None:
    kind = body[12:16]
    if kind == b"VP8X" and (size := _pair(body[24:30], 3, "little")):
        return size[0] + 1, size[1] + 1
    if kind == b"VP8L" and len(body) >= 25:
        bits = int.from_bytes(body[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and (size := _pair(body[26:30], 2, "little")):
        return size[0] & 0x3FFF, size[1] & 0x3FFF
    return None
