"""The engine lets go of WebSocket trackers, however these behave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from chilly_movies.drivers.torrent.mends.tracker_sockets import port_of, shut_connections
from chilly_movies.tracker.http import Tracker, serve_tracker
from tests.integration.engine import running, until
from tests.peers.netns import network_namespace

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

REALTIME = 10.0
HASH = "ab" * 20
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def magnet(url: str, info_hash: str = HASH) -> str:
    return f"magnet:?xt=urn:btih:{info_hash}&tr={url}"


@asynccontextmanager
async def silent(*, shake_hands: bool) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A tracker that takes connections, perhaps becomes a WebSocket, and never says anything."""
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if shake_hands:
            lines = (line.partition(b":") for line in head.split(b"\r\n"))
            key = next(v.strip() for k, _, v in lines if k.lower() == b"sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            await reader.read(1)
        asked.set()
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asked


@pytest.mark.parametrize("shake_hands", [True, False])
async def test_a_tracker_that_never_answers_does_not_hold_the_end_up(
    tmp_path: Path, *, shake_hands: bool
) -> None:
    """The engine alone would freeze here for good, as the tracker is in this process."""
    async with silent(shake_hands=shake_hands) as (url, asked):
        async with running(tmp_path, interface=None, webtorrent=True) as downloader:
            await downloader.start(id="a", source_urn=magnet(url))
            await asyncio.wait_for(asked.wait(), 20)
            began = time.monotonic()
        assert time.monotonic() - began < REALTIME


async def test_a_stopped_tracker_process_does_not_hold_the_end_up(tmp_path: Path) -> None:
    chilly = Path(sys.executable).with_name("chilly")
    process = await asyncio.create_subprocess_exec(
        chilly, "tracker", "--port", "0", "--json", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))["ws"]
        async with running(tmp_path, interface=None, webtorrent=True) as downloader:
            await downloader.start(id="a", source_urn=magnet(url))
            await until(downloader, "a", lambda job: "nobody answered" in (job.reason or ""))
            os.kill(process.pid, signal.SIGSTOP)
            began = time.monotonic()
        assert time.monotonic() - began < REALTIME
    finally:
        process.kill()
        await process.wait()


async def test_a_tracker_forgets_a_job_that_was_paused_and_knows_it_again(tmp_path: Path) -> None:
    tracker = Tracker()
    async with (
        serve_tracker(tracker) as url,
        running(tmp_path, interface=None, webtorrent=True) as downloader,
    ):
        for id_ in ("a", "b"):
            await downloader.start(id=id_, source_urn=magnet(url.ws, id_ * 40))
        await members(tracker, 2)
        assert len(tracker.sockets) == 1
        await downloader.pause("a")
        await downloader.pause("b")
        await members(tracker, 0)
        await downloader.resume("b")
        await members(tracker, 1)


@contextmanager
def unanswering() -> Iterator[int]:
    """A port on loopback where nobody answers a SYN: whoever listens there has no more room."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield port


def is_asked(port: int) -> bool:
    """Whether somebody on this machine waits for the answer to a SYN (proc_pid_net(5))."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(state == "02" and to.endswith(f":{port:04X}") for _, _, to, state, *_ in lines)


@contextmanager
def syns_to(port: int) -> Iterator[Callable[[], int]]:
    """Counts the SYN packets that arrive on loopback for a port; needs root."""
    seen: list[bytes] = []
    ended = threading.Event()

    def count() -> None:
        while not ended.is_set():
            try:
                packet, (_, _, kind, *_) = raw.recvfrom(100)
            except TimeoutError:
                continue
            tcp = packet[4 * (packet[0] & 15) :]  # RFC 791: the header's length in words
            to, flags = struct.unpack_from("!H", tcp, 2)[0], tcp[13] & 0x12
            if packet[9] == socket.IPPROTO_TCP and kind == socket.PACKET_HOST:
                seen.extend([packet] if (to, flags) == (port, 0x02) else [])

    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as raw:
        raw.bind(("lo", 0x0800))
        raw.settimeout(0.1)
        counting = threading.Thread(target=count)
        counting.start()
        try:
            yield lambda: len(seen)
        finally:
            ended.set()
            counting.join()


async def test_no_packet_goes_to_a_silent_tracker_after_the_last_torrent_went(
    tmp_path: Path,
) -> None:
    """The system would send its SYN again after 1 and 3 s, and ever more rarely for two minutes."""
    with network_namespace(), unanswering() as port, syns_to(port) as count:
        async with running(tmp_path, interface=None, webtorrent=True) as downloader:
            await downloader.start(id="a", source_urn=magnet(f"wss://127.0.0.1:{port}/"))
            async with asyncio.timeout(30):
                while not count():  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.02)
            await downloader.pause("a")
            before = count()
            await asyncio.sleep(3.5)
            assert count() == before


async def test_a_silent_tracker_is_left_alone_while_another_torrent_needs_its_own(
    tmp_path: Path,
) -> None:
    tracker = Tracker()
    with unanswering() as port:
        async with (
            serve_tracker(tracker) as url,
            running(tmp_path, interface=None, webtorrent=True) as downloader,
        ):
            await downloader.start(id="a", source_urn=magnet(f"wss://127.0.0.1:{port}/"))
            await downloader.start(id="b", source_urn=magnet(url.ws, "cd" * 20))
            await members(tracker, 1)
            async with asyncio.timeout(30):
                while not is_asked(port):  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(0.02)
            await downloader.pause("a")
            assert not is_asked(port)
            assert tracker.swarms.totals()[1] == 1


async def members(tracker: Tracker, wanted: int) -> None:
    async with asyncio.timeout(20):
        while tracker.swarms.totals()[1] != wanted:  # noqa: ASYNC110  # the tracker tells nobody
            await asyncio.sleep(0.02)


def test_a_tracker_s_port_is_read_from_its_address() -> None:
    urls = ("wss://t.example", "ws://t.example/a", "WS://[::1]:81/", "ws://t.example:99999/")
    assert [port_of(url) for url in urls] == [443, 80, 81, 0]


def test_hanging_up_leaves_what_is_not_the_engines_alone() -> None:
    """No descriptor is copied or closed, and connections of Python's own stay."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as ours, listener.accept()[0] as theirs:
            before = sorted(path.name for path in Path("/dev/fd").iterdir())
            assert shut_connections([port], connecting=True) == 0
            assert sorted(path.name for path in Path("/dev/fd").iterdir()) == before
            ours.sendall(b"still here")
            assert theirs.recv(20) == b"still here"
            os.set_inheritable(ours.fileno(), True)  # as the engine's are
            assert shut_connections([port]) == 1
            assert theirs.recv(20) == b""
