"""WebSocket clients of our tracker, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chilly_movies.tracker.http import AnnounceUrl, Tracker, serve_tracker
from chilly_movies.tracker.signalling import MAX_MESSAGE_BYTES, MAX_SDP
from chilly_movies.tracker.websocket import Limits

HASH = bytes(range(236, 256))
WITHIN = 20.0
GENEROUS = Limits(per_address=1_000, rate=1e9, burst=1e9)


def chars(data: bytes) -> str:
    return data.decode("latin-1")


def peer_id(number: int) -> str:
    return chars(b"-WW0000-\xff\xfe%010d" % number)


def offers(count: int, sdp: str = "v=0 offer") -> list[dict[str, Any]]:
    return [
        {"offer_id": chars(b"%020d" % i), "offer": {"type": "offer", "sdp": sdp}}
        for i in range(count)
    ]


def announce(number: int, **changes: Any) -> dict[str, Any]:
    fields = {"action": "announce", "info_hash": chars(HASH), "peer_id": peer_id(number)}
    return {**fields, "left": 5, "numwant": 10, "offers": [], **changes}


SCRAPE = {"action": "scrape", "info_hash": [chars(b"%020d" % i) for i in range(64)]}


async def say(client: ClientConnection, message: dict[str, Any]) -> None:
    await client.send(json.dumps(message))


async def hear(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WITHIN):
        heard: dict[str, Any] = json.loads(await client.recv())
    return heard


async def ask(client: ClientConnection, message: dict[str, Any]) -> dict[str, Any]:
    await say(client, message)
    return await hear(client)


def dial(url: str, **options: Any) -> connect:
    return connect(url, proxy=None, compression=None, **options)


@asynccontextmanager
async def served(limits: Limits = GENEROUS) -> AsyncIterator[tuple[Tracker, AnnounceUrl]]:
    """A tracker; at the end it must have forgotten all who came, and nothing may run on."""
    tracker = Tracker(interval=60, limits=limits)
    async with serve_tracker(tracker) as url:
        before = asyncio.all_tasks()
        yield tracker, url
        await settled(before)
        assert len(tracker.sockets) == 0
        assert tracker.swarms.totals() == (0, 0)


async def settled(before: set[asyncio.Task[Any]]) -> None:
    """Waits until all tasks that came since have ended."""
    async with asyncio.timeout(WITHIN):
        while further := asyncio.all_tasks() - before:
            await asyncio.wait(further)


# Signalling


STRANGE: dict[str, Callable[[int], str | bytes]] = {
    "empty": lambda _: "",
    "broken JSON": lambda i: json.dumps(announce(1))[: 5 + i],
    "no object": lambda i: json.dumps([i, "announce"]),
    "a bare number": str,
    "bencoded": lambda _: "d8:announce0:e",
    "nested": lambda i: "[" * (30_000 + i),
    "nested objects": lambda i: '{"a":' * (5_000 + i),
    "a long number": lambda i: '{"left": ' + "9" * (5_000 + i) + "}",
    "no action": lambda _: json.dumps({"info_hash": chars(HASH)}),
    "unknown action": lambda i: json.dumps({"action": f"do {i}"}),
    "a short info hash": lambda i: json.dumps(announce(1, info_hash="x" * (i % 20))),
    "a long info hash": lambda i: json.dumps(announce(1, info_hash="x" * (21 + i))),
    "a hex info hash": lambda _: json.dumps(announce(1, info_hash=HASH.hex())),
    "an info hash beyond Latin-1": lambda i: json.dumps(announce(1, info_hash=chr(256 + i) * 20)),
    "half a surrogate pair": lambda _: json.dumps(announce(1, info_hash="\ud800" * 20)),
    "numbers for ids": lambda i: json.dumps(announce(1, peer_id=i)),
    "lists for ids": lambda _: json.dumps(announce(1, peer_id=["x"] * 20)),
    "offers as an object": lambda i: json.dumps(announce(1, offers={"length": i, "0": {}})),
    "offers of null": lambda _: json.dumps(announce(1, offers=[None] * 10)),
    "offers without sdp": lambda _: json.dumps(announce(1, offers=[{"offer": {}}])),
    "a huge offer": lambda i: json.dumps(announce(1, offers=offers(1, "x" * (MAX_SDP + 1 + i)))),
    "an offer of halves": lambda _: json.dumps(announce(1, offers=offers(1, "\udfff"))),
    "an answer to nobody": lambda _: json.dumps(announce(1, answer={"type": "answer", "sdp": "x"})),
    "an answer as text": lambda i: json.dumps(announce(1, answer="v=0", to_peer_id=peer_id(i))),
    "prototypes": lambda _: json.dumps({"__proto__": announce(1), "constructor": {}}),
    "an event as a number": lambda i: json.dumps(announce(1, event=i)),
    "a scrape of all": lambda _: json.dumps({"action": "scrape"}),
    "a scrape of numbers": lambda i: json.dumps({"action": "scrape", "info_hash": [i] * 5}),
    "binary": lambda i: os.urandom(20 + i),
    "binary JSON": lambda _: json.dumps(announce(1)).encode(),
}
"""Each of these is answered with a failure reason."""

FATAL: dict[str, tuple[int, Callable[[ClientConnection], Any]]] = {
    "too large": (1009, lambda client: client.send("x" * (MAX_MESSAGE_BYTES + 1))),
    "too large offers": (
        1009,
        lambda client: client.send(json.dumps(announce(1, offers=offers(20, "x" * 4_000)))),
    ),
    "too large in parts": (1009, lambda client: client.send(["x" * 9_000] * 8)),
    "no UTF-8": (1007, lambda client: client.send(b'{"action": "\xff"}', text=True)),
    "no UTF-8 in parts": (1007, lambda client: client.send([b"\xff", b"x"], text=True)),
    "parts of nothing": (1008, lambda client: client.send([""] * 1_500)),
}
"""Each of these ends the connection, with this code."""


async def torment(url: str, rounds: int) -> int:
    """Sends all of that, so many times each; the number of messages."""
    sent = 0
    for make in STRANGE.values():
        async with dial(url, ping_interval=None) as client:
            for i in range(rounds):
                await client.send(make(i))
                assert (await hear(client))["failure reason"]
                sent += 1
    for code, act in FATAL.values():
        for _ in range(rounds):
            async with dial(url, ping_interval=None) as client:
                with contextlib.suppress(ConnectionClosed):
                    await act(client)
                async with asyncio.timeout(WITHIN):
                    await client.wait_closed()
                assert client.close_code in (code, 1006)  # 1006: it was still sending
                sent += 1
    return sent
