"""Which bytes are pictures that may be shown."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.catalogue.neutral import neutral_picture, png
from chilly_movies.catalogue.pictures import fetch_picture, media_type_of
from chilly_movies.catalogue.ports import Picture
from chilly_movies.errors import MetadataUnavailable, SourceNotFound, SourceUnavailable

pytestmark = pytest.mark.anyio

SMALL = png(2, 2, lambda x, y: x == y)


def png_of(width: int, height: int) -> bytes:
    return SMALL[:16] + struct.pack(">II", width, height) + SMALL[24:]


def jpeg_of(width: int, height: int) -> bytes:
    size = b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(10) + b"\xff" + size + b"\xff\xd9"


def webp_of(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + bytes(4) + rest + bytes(8)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SMALL, "image/png"),
        (jpeg_of(640, 480), "image/jpeg"),
        (webp_of(b"VP8X", bytes(4) + b"\x7f\x02\x00\xdf\x01\x00"), "image/webp"),
        (webp_of(b"VP8L", b"\x2f\x7f\xc2\x77\x00"), "image/webp"),
        (webp_of(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a\x80\x02\xe0\x01"), "image/webp"),
        (png_of(50_000, 50_000), None),
        (png_of(0, 7), None),
        (jpeg_of(65_000, 65_000), None),
        (b"GIF89a\x01\x00\x01\x00", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", None),
        (b"<html>", None),
        (b"", None),
        (SMALL[:18], None),
        (b"\xff\xd8\xff" * 9, None),
    ],
)
def test_pictures_are_told_by_their_first_bytes_and_bombs_by_their_size(
    body: bytes, expected: str | None
) -> None:
    assert media_type_of(body) == expected


@given(
    st.sampled_from(
        [b"", b"\xff\xd8\xff\xe0", SMALL[:16], b"RIFF....WEBPVP8X", b"RIFF....WEBPVP8L"]
    ),
    st.binary(max_size=200),
)
def test_no_bytes_raise_anything(beginning: bytes, rest: bytes) -> None:
    media_type_of(beginning + rest)


@pytest.mark.parametrize("which", Picture)
def test_the_neutral_picture_is_one_and_small(which: Picture) -> None:
    body = neutral_picture(which)
    assert media_type_of(body) == "image/png"
    assert len(body) < 4096


async def test_only_pictures_come_from_a_server_and_silence_is_told_from_absence() -> None:
    answers: dict[str, bytes | str | Exception] = {
        "good": SMALL,
        "page": b"<html>",
        "gone": SourceNotFound("gone"),
        "down": SourceUnavailable("down"),
    }

    async def fetch(url: str, **_: object) -> bytes | str:
        answer = answers[url]
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await fetch_picture(fetch, "good", limit=99) == SMALL
    assert await fetch_picture(fetch, "page", limit=99) is None
    assert await fetch_picture(fetch, "gone", limit=99) is None
    with pytest.raises(MetadataUnavailable):
        await fetch_picture(fetch, "down", limit=99)
