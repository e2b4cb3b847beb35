"""What is no film but a list of places: nobody goes there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chilly_movies.media.mediainfo import MediaInfoProbe
from tests.readers import PartReader

pytestmark = pytest.mark.anyio

LISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{place}\n"
    "#EXT-X-ENDLIST\n",
    "hls of hls": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000\n{place}.m3u8\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>{place}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "smil": '<?xml version="1.0"?><smil xmlns="http://www.w3.org/2001/SMIL20/Language"><body>'
    '<switch><video src="{place}" systemBitrate="100"/></switch></body></smil>',
}
ALONE = """
import io, sys
from pymediainfo import MediaInfo
sys.stdout.write(MediaInfo.parse(io.BytesIO(sys.stdin.buffer.read()), output="JSON", parse_speed=0))
"""


@asynccontextmanager
async def canary() -> AsyncIterator[tuple[str, list[bytes]]]:
    """An address, and what was said to whoever listens there."""
    heard: list[bytes] = []

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/part.ts", heard
    finally:
        server.close()


async def alone(document: bytes) -> bytes:
    """What MediaInfo says of it in a process that nobody shut in."""
    command = [sys.executable, "-c", ALONE]
    run = await asyncio.to_thread(
        subprocess.run, command, input=document, capture_output=True, timeout=60, check=True
    )
    return bytes(run.stdout)


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_of_addresses_in_the_place_of_a_film_calls_nobody(kind: str) -> None:
    async with canary() as (place, heard):
        document = LISTS[kind].format(place=place).encode()
        await alone(document)
        assert heard, "MediaInfo does not follow this one by itself"
        heard.clear()
        await MediaInfoProbe().probe(PartReader(document))
        assert heard == []


@pytest.mark.parametrize("kind", ["hls", "dash", "smil"])
async def test_a_list_of_files_in_the_place_of_a_film_reads_none(kind: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.srt"
    secret.write_text("1\n00:00:01,000 --> 00:00:02,000\nsecret\n\n" * 3)
    document = LISTS[kind].format(place=secret).encode()
    assert b"SubRip" in await alone(document), "MediaInfo does not follow this one by itself"
    facts = (await MediaInfoProbe().probe(PartReader(document))).facts
    assert facts is None or facts.subtitles == ()
