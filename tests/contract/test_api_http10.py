"""Clients of HTTP/1.0, which know no chunks: radios, televisions, `ab`, and nginx as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from chilly_movies.jobs.models import Status
from chilly_movies.mock import MockDownloader
from tests.contract.rig import SCRIPT, Pace, reach
from tests.contract.web import serving

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def asking(url: str, line: str) -> AsyncIterator[tuple[list[bytes], asyncio.StreamReader]]:
    """The head of an answer, line by line in small letters, and what follows it."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(f"{line} HTTP/1.0\r\nHost: {where.netloc}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        yield head.lower().split(b"\r\n"), reader
    finally:
        writer.close()


async def test_events_come_as_plain_bytes_until_the_connection_ends() -> None:
    pace = Pace()
    pace.hold()
    downloader = MockDownloader(SCRIPT, tick=1.0, sleep=pace.sleep)
    async with downloader, serving(downloader) as live, asyncio.timeout(20):
        async with asking(live.url, "GET /events") as (head, body):
            assert not [line for line in head if line.startswith(b"transfer-encoding")]
            assert b"connection: close" in head
            assert await body.readline() == b": listening\n"
            await downloader.start(id="a", source_urn="https://films.example/a")
            assert await body.readline() == b"\n"
            assert (await body.readline()).startswith((b"id: ", b"event: "))
            pace.flow()
            await reach(downloader, "a", Status.COMPLETED)
            await live.stop()
            rest = await body.read()
        assert rest.endswith(b"\n\n")
        assert b'"status":"completed"' in rest
        lines = [line for line in rest.split(b"\n") if line]
        assert all(line.startswith((b"id: ", b"event: ", b"data: ", b":")) for line in lines)


async def test_no_answer_of_any_kind_comes_in_chunks() -> None:
    downloader = MockDownloader(SCRIPT, tick=0.0)
    async with downloader, serving(downloader) as live, asyncio.timeout(20):
        await downloader.start(id="a", source_urn="https://films.example/a")
        await reach(downloader, "a", Status.COMPLETED)
        for line in ("GET /health", "GET /docs", "GET /openapi.json", "GET /stream/a/0", "GET /no",
                     "GET /stream/a.m3u8", "HEAD /stream/a/0", "HEAD /events"):  # fmt: skip
            async with asking(live.url, line) as (head, body):
                assert not [one for one in head if one.startswith(b"transfer-encoding")], line
                length = [int(one.split()[1]) for one in head if one.startswith(b"content-length")]
                if not line.startswith("HEAD"):
                    assert [len(await body.read())] == length, line
