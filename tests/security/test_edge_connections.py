"""Connections that are slow, endless or too many, against a real server on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import pytest
from uvicorn.server import ServerState

from chilly_movies.app import create_app
from chilly_movies.catalogue.mock import MockMetadataProvider
from chilly_movies.mock import MockDownloader
from chilly_movies.runtime.vitals import give_back
from chilly_movies.server import connections
from chilly_movies.server.connections import ConnectionLimiter, GuardedProtocol
from chilly_movies.server.serving import _Server, bind, server_config

pytestmark = pytest.mark.anyio

HELLO = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
KIB = 1024


@dataclass
class Door:
    """A server and who lets connections in."""

    port: int
    limiter: ConnectionLimiter

    @asynccontextmanager
    async def client(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A plain connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def ask(self, *parts: bytes) -> tuple[int, bytes]:
        """Send the parts, one after the other; the status and everything up to the end."""
        async with self.client() as (reader, writer):
            for part in parts:
                writer.write(part)
                await writer.drain()
            answer = await read_all(reader)
        return int(answer.split(b" ", 2)[1]) if answer else 0, answer


async def until(wanted: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while True:
            if wanted():
                return
            await asyncio.sleep(0.01)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    got = b""
    try:
        async with asyncio.timeout(20):
            while data := await reader.read(65536):
                got += data
    except ConnectionError:
        pass
    return got


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules in less time."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_SWEEP", 0.05)


@asynccontextmanager
async def door(
    per_client: int = 512, after_crowd: Callable[[], None] = give_back
) -> AsyncIterator[Door]:
    limiter = ConnectionLimiter(per_client, after_crowd=after_crowd)
    downloader = MockDownloader()
    app = create_app(downloader, metadata=MockMetadataProvider())
    [listener] = bind("127.0.0.1", 0)
    server = _Server(server_config(app, limiter), downloader.end_events)
    task = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    try:
        yield Door(listener.getsockname()[1], limiter)
    finally:
        server.should_exit = True
        await task
        await downloader.aclose()
        listener.close()


def refusal(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    fields = head.lower()
    for field in (b"content-security-policy", b"x-content-type-options: nosniff",
                  b"referrer-policy: no-referrer", b"cross-origin-resource-policy",
                  b"content-type: application/problem+json"):  # fmt: skip
        assert field in fields
    told = json.loads(body)
    assert (told["status"], told["code"]) == (status, code)


async def test_a_head_of_64_kib_is_the_most_however_it_comes(quick: None) -> None:
    async with door() as server:
        many = b"".join(b"X-%05d: 1\r\n" % n for n in range(8000))
        endless = b"X: " + b"a" * 40 * KIB
        for parts in (
            [HELLO + b"X: " + b"a" * 100 * KIB + b"\r\n\r\n"],
            [HELLO + endless, b"b" * 40 * KIB],
            [HELLO + many + b"\r\n"],
            [b"GET /" + b"a" * 100 * KIB + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
            [HELLO, many],
        ):
            _, answer = await server.ask(*parts)
            refusal(answer, 431, "headers_too_large")
        status, _ = await server.ask(
            HELLO + b"X: " + b"a" * 25 * KIB, b"a" * 25 * KIB, b"\r\nConnection: close\r\n\r\n"
        )
        assert status == 200


async def test_100_mb_of_head_are_cut_off_early() -> None:
    async with door() as server, server.client() as (reader, writer):
        sent = 0
        try:
            writer.write(HELLO + b"X: ")
            while sent < 100 * 1024 * KIB and not reader.at_eof():
                writer.write(b"a" * 64 * KIB)
                sent += 64 * KIB
                await writer.drain()
        except ConnectionError:
            pass
        assert sent < 16 * 1024 * KIB


async def test_half_a_head_is_given_up_in_time_and_silence_too(quick: None) -> None:
    async with door() as server:
        _, answer = await server.ask(HELLO)
        refusal(answer, 408, "request_timeout")
        _, answer = await server.ask(b"G")
        refusal(answer, 408, "request_timeout")
        assert await server.ask() == (0, b"")
        async with server.client() as (reader, writer):  # the second request of a connection
            writer.write(HELLO + b"\r\n")
            assert (await reader.readuntil(b"}"))[:12] == b"HTTP/1.1 200"
            writer.write(b"GET /he")
            answer = await read_all(reader)
            assert b"HTTP/1.1 408" in answer


async def test_a_head_that_trickles_is_given_up_although_it_never_stops(quick: None) -> None:
    async with door() as server, server.client() as (reader, writer):
        reading = asyncio.create_task(read_all(reader))
        writer.write(HELLO)
        while not reading.done():
            writer.write(b"X: 1\r\n")
            await asyncio.sleep(0.02)
        refusal(reading.result(), 408, "request_timeout")


async def test_a_body_nobody_wants_is_not_listened_to_for_ever(quick: None) -> None:
    async with door() as server, server.client() as (reader, writer):
        writer.write(HELLO + b"Content-Length: 1000000000\r\n\r\n")
        reading = asyncio.create_task(read_all(reader))
        while not reading.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert reading.result().startswith(b"HTTP/1.1 200")


async def test_no_http_at_all_gets_an_answer_in_our_shape(quick: None) -> None:
    async with door() as server:
        both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00", b"HELO evil\r\n\r\n",
                         b"GET / HTTP/9\r\n\r\n", HELLO + both):  # fmt: skip
            _, answer = await server.ask(nonsense)
            refusal(answer, 400, "bad_request")


async def test_a_client_that_does_not_read_is_given_up(quick: None) -> None:
    async with door() as server, server.client() as (reader, writer):
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        try:
            for _ in range(300):
                writer.write(asked)
                await asyncio.sleep(0)
            await until(lambda: not server.limiter._open)
        except ConnectionError:
            pass


async def test_too_many_connections_cost_the_idle_ones_not_the_new_one() -> None:
    async with door(per_client=20) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
        status, _ = await server.ask(HELLO + b"Connection: close\r\n\r\n")
        assert status == 200
        assert 0 < server.limiter._open["127.0.0.1"] <= 20
        closed = [await read_all(reader) for reader, _ in idle[:30]]
        assert closed == [b""] * 30
        for _, writer in idle:
            writer.close()


async def test_when_all_are_busy_the_new_one_is_refused_and_says_so(quick: None) -> None:
    async with door(per_client=5) as server:
        listeners = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b": listening")
            listeners.append(writer)
        _, answer = await server.ask(HELLO + b"\r\n")
        refusal(answer, 503, "too_many_connections")
        for writer in listeners:
            writer.close()
        await until(lambda: not server.limiter._open)
        status, _ = await server.ask(HELLO + b"Connection: close\r\n\r\n")
        assert status == 200


async def test_nothing_is_remembered_of_connections_that_are_gone(quick: None) -> None:
    async with door() as server:
        for _ in range(20):
            await server.ask(HELLO + b"Connection: close\r\n\r\n")
        await until(lambda: not server.limiter._open)
        assert not server.limiter._waiting
        assert not server.limiter._due


async def test_who_does_not_send_his_body_or_read_his_answer_gives_way_too() -> None:
    async with door(per_client=10) as server:
        slow = []
        for number in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            if number % 2:
                writer.write(
                    b"POST /download/start HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
                )
            else:
                reader._transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 60)
            slow.append((reader, writer))
        await until(lambda: len(server.limiter._owing) == 10)
        for _ in range(3):
            status, _ = await server.ask(HELLO + b"Connection: close\r\n\r\n")
            assert status == 200
        assert len(server.limiter._owing) < 10
        for _, writer in slow:
            writer.close()


async def test_thousands_of_requests_in_one_breath_end_the_connection() -> None:
    async with door() as server:
        status, answer = await server.ask((HELLO + b"\r\n") * 2000)
        assert answer.count(b"HTTP/1.1 200") < connections.MAX_AHEAD
        status, answer = await server.ask(
            (HELLO + b"\r\n") * 20 + HELLO + b"Connection: close\r\n\r\n"
        )
        assert (status, answer.count(b"HTTP/1.1 200")) == (200, 21)


class Wire(asyncio.Transport):
    """A connection of which a test decides how its bytes come."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 3000)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def wired() -> tuple[Any, Wire]:
    """The server's side of a connection, and the connection."""
    config = server_config(create_app(MockDownloader(), metadata=MockMetadataProvider()))
    config.load()
    make: Any = config.http_protocol_class
    protocol, wire = make(config=config, server_state=ServerState(), app_state={}), Wire()
    protocol.connection_made(wire)
    return protocol, wire


@pytest.mark.parametrize("ends", [b"\r\n", b""], ids=["whole", "without its end"])
async def test_a_head_that_comes_at_once_is_no_larger_either(ends: bytes) -> None:
    protocol, wire = wired()
    protocol.data_received(HELLO + b"".join(b"X-%05d: 1\r\n" % n for n in range(8000)) + ends)
    refusal(wire.written, 431, "headers_too_large")
    protocol.connection_lost(None)


async def test_a_field_without_end_is_no_larger_either() -> None:
    protocol, wire = wired()
    protocol.data_received(HELLO + b"X: ")
    for _ in range(9):
        protocol.data_received(b"a" * 8 * KIB)
    refusal(wire.written, 431, "headers_too_large")
    protocol.connection_lost(None)


async def test_memory_is_given_back_once_when_most_of_a_crowd_has_left(
    quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_CROWD", 8)
    given_back: list[int] = []
    async with door(after_crowd=lambda: given_back.append(1)) as server:

        async def crowd(size: int) -> list[asyncio.StreamWriter]:
            pairs = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(size)]
            await until(lambda: server.limiter._crowd >= size)
            return [writer for _, writer in pairs]

        async def leave(writers: list[asyncio.StreamWriter]) -> None:
            for writer in writers:
                writer.close()
            await until(lambda: not server.limiter._open and server.limiter._timer is None)

        await leave(await crowd(4))
        assert given_back == []
        await leave(await crowd(10))
        assert given_back == [1]
        await leave(await crowd(10))
        assert given_back == [1, 1]


async def test_what_came_of_a_body_that_nobody_wants_is_not_kept() -> None:
    head = b"POST /download/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    async with door() as server, server.client() as (reader, writer):
        writer.write(head + b"Content-Length: 30000\r\n\r\n" + b"x" * 10_000)
        assert b" 415 " in await reader.readline()
        await until(lambda: server.limiter._waiting)
        [connection] = server.limiter._waiting
        assert connection.cycle.body == b""


@pytest.mark.parametrize(
    "sent",
    [
        HELLO + b"\r\n",
        HELLO + b"X: " + b"a" * 100 * KIB + b"\r\n\r\n",
        HELLO + b"".join(b"X-%04d: 1234567890\r\n" % n for n in range(5000)) + b"\r\n",
        HELLO + b"X-Half: a",
        b"POST /download/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        (HELLO + b"\r\n") * 40,
        b"no HTTP at all\r\n\r\n",
    ],
    ids=["answered", "long field", "many fields", "half a head", "half a body", "many", "no HTTP"],
)
async def test_what_a_connection_held_goes_with_it_and_waits_for_no_collector(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    alive: WeakSet[GuardedProtocol] = WeakSet()
    enter = ConnectionLimiter.enter

    def noted(limiter: ConnectionLimiter, connection: GuardedProtocol) -> bool:
        alive.add(connection)
        return enter(limiter, connection)

    monkeypatch.setattr(ConnectionLimiter, "enter", noted)
    async with door() as server:
        await server.ask(HELLO + b"Connection: close\r\n\r\n")  # what the first one makes
        gc.disable()
        try:
            async with server.client() as (reader, writer):
                writer.write(sent)
                await until(lambda: alive)
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await read_all(reader)
            await until(lambda: not alive)
        finally:
            gc.enable()
