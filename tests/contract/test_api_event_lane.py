"""What listeners may ask for, and how a connection goes on when its handler has returned."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import structlog

from chilly_movies.jobs.models import Status
from chilly_movies.mock import MockDownloader
from tests.contract.rig import SCRIPT, Pace, reach
from tests.contract.web import Live, listening, serving
from tests.doubles import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def show() -> AsyncIterator[tuple[Any, Live]]:
    """Two active jobs whose time stands still, and who serves them."""
    pace = Pace()
    pace.hold()
    async with MockDownloader(SCRIPT, tick=1.0, sleep=pace.sleep) as downloader:
        for job_id in "ab":
            await downloader.start(id=job_id, source_urn=f"https://films.example/{job_id}")
            await reach(downloader, job_id, Status.ACTIVE)
        async with serving(downloader) as live:
            yield downloader, live
        pace.flow()


async def change_all(downloader: Any) -> None:
    for job_id in "ab":
        await downloader.pause(job_id)
        await downloader.resume(job_id)
    await downloader.cancel("b")
    await downloader.cancel("a")


async def heard(live: Live, downloader: Any, query: str, last: str) -> list[tuple[str, str]]:
    """What a listener hears up to the event `last` of job a."""
    async with listening(live.url, f"/events{query}") as stream:
        async with asyncio.timeout(10):
            while await anext(stream.lines) != ": listening":
                pass
        await change_all(downloader)
        seen = [await stream.next()]
        while (seen[-1]["id"], seen[-1]["event"]) != ("a", last):
            seen.append(await stream.next())
    return [(m["id"], m["event"]) for m in seen if m["event"] not in ("progress", "started")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?id=a", [("a", "paused"), ("a", "resumed"), ("a", "canceled")]),
        ("?id=a&id=b&event=canceled", [("b", "canceled"), ("a", "canceled")]),
        ("?status=canceled&status=paused",
         [("a", "paused"), ("b", "paused"), ("b", "canceled"), ("a", "canceled")]),
    ],
)  # fmt: skip
async def test_a_listener_hears_what_it_asked_for_and_nothing_else(
    query: str, expected: list[tuple[str, str]]
) -> None:
    async with show() as (downloader, live):
        assert await heard(live, downloader, query, "canceled") == expected


async def test_snapshot_and_replay_obey_the_filter_too() -> None:
    async with show() as (downloader, live):
        await downloader.pause("b")
        async with listening(live.url, "/events?status=paused") as stream:
            first = await stream.next()
        assert (first["id"], first["event"]) == ("b", "snapshot")
        query = "/events?id=b&event=paused&event=queued&lastEventId=0"
        async with listening(live.url, query) as stream:
            assert [(await stream.next())["event"] for _ in range(2)] == ["queued", "paused"]


@pytest.mark.parametrize(
    ("query", "field"), [("event=nonsense", "event"), ("status=done", "status"), ("id=..", "id")]
)
async def test_a_filter_that_means_nothing_is_refused(query: str, field: str) -> None:
    async with show() as (_, live), httpx2.AsyncClient(base_url=live.url) as client:
        answer = await client.get(f"/events?{query}")
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_news_of_streams_reach_who_listens() -> None:
    async with show() as (downloader, live), listening(live.url, "/events?event=stream") as stream:
        await stream.next()
        await stream.next()
        downloader._ledger.tell("nobody", "stream", {"index": 0, "readers": 1})
        downloader._ledger.tell("a", "stream", {"index": 3, "readers": 1})
        message = await stream.next()
        assert (message["event"], message["id"]) == ("stream", "a")
        assert message["stream"] == {"index": 3, "readers": 1}


async def test_listeners_hear_how_many_readers_a_file_has() -> None:
    async with MockDownloader(tick=0.01) as downloader, serving(downloader) as live:
        await downloader.start(id="a", source_urn="mock:?seconds=0.1&metadataSeconds=0")
        await downloader.wait("a")
        async with listening(live.url, "/events?event=stream") as stream, asyncio.timeout(10):
            await stream.next()
            async with downloader.open_file("a", 0):
                assert (await stream.next())["stream"] == {"index": 0, "readers": 1}
            assert (await stream.next())["stream"] == {"index": 0, "readers": 0}


async def test_a_client_that_stops_reading_loses_nothing_when_it_goes_on() -> None:
    async with show() as (downloader, live):
        host, port = live.url.removeprefix("http://").split(":")
        with socket.socket() as client:
            client.connect((host, int(port)))
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: downloader._bus._subscriptions)
            [ear] = downloader._bus._subscriptions
            await until(lambda: ear.shortcut is not None)
            told = 0
            while not ear._waiting:  # until the connection takes no more
                downloader._ledger.tell("a", "stream", {"index": told, "pad": "x" * 30_000})
                told += 1
            for _ in range(50):
                downloader._ledger.tell("a", "stream", {"index": told, "pad": "y" * 30_000})
                told += 1
            got = bytearray()
            async with asyncio.timeout(20):
                while b'"index":%d,' % (told - 1) not in got[-100_000:]:
                    got += await loop.sock_recv(client, 2**20)
        places = [got.index(b'"index":%d,' % number) for number in range(told)]
        assert places == sorted(places)


async def test_the_short_way_ends_with_a_proper_end() -> None:
    async with show() as (downloader, live), httpx2.AsyncClient(base_url=live.url) as client:
        async with client.stream("GET", "/events") as answer:
            assert answer.headers["transfer-encoding"] == "chunked"
            lines = answer.aiter_lines()
            async with asyncio.timeout(10):
                while await anext(lines) != ": listening":
                    pass
            downloader._ledger.tell("a", "stream", {"index": 0, "readers": 1})
            downloader.end_events()
            rest = [line async for line in lines]
        assert any('"readers":1' in line for line in rest)


async def test_a_head_request_of_events_gets_no_body() -> None:
    async with show() as (downloader, live), httpx2.AsyncClient(base_url=live.url) as client:
        asking = asyncio.create_task(client.head("/events"))
        await until(lambda: downloader._bus._subscriptions)
        downloader._ledger.tell("a", "stream", {"index": 0, "readers": 1})
        downloader.end_events()
        async with asyncio.timeout(10):
            answer = await asking
        assert (answer.status_code, answer.content) == (200, b"")


HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def hear(
    live: Live, behind: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that listens; what it asks behind that comes in the same breath."""
    host, port = live.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /events?event=stream HTTP/1.1\r\nHost: localhost\r\n\r\n" + behind)
    async with asyncio.timeout(10):
        await reader.readuntil(b": listening\n\n")
    return reader, writer


async def test_listeners_have_no_tasks_of_their_own() -> None:
    async with show() as (_, live):
        first = await hear(live)
        await until(lambda: True)
        before = len(asyncio.all_tasks())
        others = [await hear(live) for _ in range(20)]
        await until(lambda: len(asyncio.all_tasks()) <= before)
        for _, writer in (first, *others):
            writer.close()


@pytest.mark.parametrize("behind", [b"", HEALTH, HEALTH * 9], ids=["nothing", "one", "nine"])
async def test_what_a_listener_asks_after_that_is_not_answered_and_its_stream_goes_on(
    behind: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with show() as (downloader, live):
        reader, writer = await hear(live, behind)
        [ear] = downloader._bus._subscriptions
        await until(lambda: ear.shortcut is not None)
        writer.write(HEALTH * 100)
        await writer.drain()
        async with httpx2.AsyncClient(base_url=live.url) as client:
            assert (await client.get("/health")).status_code == 200
        downloader._ledger.tell("a", "stream", {"index": 0, "readers": 1})
        downloader.end_events()
        async with asyncio.timeout(10):
            rest = await reader.read()
        assert b'"readers":1' in rest
        assert b"HTTP/1.1" not in rest
        assert rest.endswith(b"\r\n0\r\n\r\n")
        writer.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def told(logs: list[Any]) -> list[int]:
    """The status of each request in the log."""
    return [line["status"] for line in logs if line["event"] == "request"]


@pytest.mark.parametrize("behind", [b"", HEALTH], ids=["nothing", "one"])
async def test_a_listener_counts_as_a_stream_and_is_logged_until_and_when_it_leaves(
    behind: bytes,
) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    pace = Pace()
    pace.hold()
    async with MockDownloader(SCRIPT, tick=1.0, sleep=pace.sleep) as downloader:
        async with (
            serving(downloader, max_streams=1) as live,
            httpx2.AsyncClient(base_url=live.url) as client,
        ):
            with structlog.testing.capture_logs() as logs:
                _, writer = await hear(live, behind)
                [ear] = downloader._bus._subscriptions
                await until(lambda: ear.shortcut is not None)
                assert (await client.get("/events")).status_code == 429
                await until(lambda: told(logs) == [429])
                writer.close()
                await until(lambda: told(logs) == [429, 200])
                _, writer = await hear(live)
            writer.close()
        pace.flow()
