"""The WebSocket face of the tracker: connections, and what one client may cost.

What is said in them is in `signalling`. A web page of any origin may connect: that is what
browser peers are.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from chilly_movies.tracker.signalling import Client, Signalling
from chilly_movies.tracker.swarms import IPAddress, parse_address

_TRY_AGAIN_LATER = 1013
_GOING_AWAY = 1001


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of what clients may cost.

    Attributes:
        connections: how many in all.
        per_address: how many from one IPv4 address or IPv6 network of 64 bits.
        rate: messages a second one may cause in the long run; faster ones are read later.
        burst: messages it may cause at once.
        queued: messages that may wait for it to read them.
        queued_characters: how long these may be together.
        stall: seconds it may take to read one message.
        idle: seconds it may say nothing; pings do not count.
    """

    connections: int = 1_000
    per_address: int = 64
    rate: float = 100.0
    burst: float = 500.0
    queued: int = 64
    queued_characters: int = 262_144
    stall: float = 10.0
    idle: float = 300.0


class TokenBucket:
    """Tells how long to wait so that no more than `rate` a second is spent in the long run.

    Args:
        rate: how much a second is earned.
        burst: how much can be saved up.
        clock: tells the time in seconds; monotonic.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._saved = burst
        self._counted = clock()

    def spend(self, amount: float) -> float:
        """Spends, on credit if needed; the seconds to wait until nothing is owed."""
        now = self._clock()
        earned = (now - self._counted) * self._rate
        self._saved = min(self._burst, self._saved + earned) - amount
        self._counted = now
        return max(0.0, -self._saved / self._rate)


class Outbox:
    """A bounded queue of what waits to be sent to one client.

    What others send it is left out when there is no room, which costs at worst one attempt
    to connect: nobody gets a client dropped by flooding it. Its own answers pile up only if
    it asks without reading.

    Args:
        limits: how much may wait.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._texts: deque[str] = deque()
        self._length = 0
        self._filled = asyncio.Event()
        self.overflowed = asyncio.Event()

    def put(self, text: str, /, *, from_others: bool) -> None:
        """Takes a message, or says in `overflowed` that it did not."""
        length = self._length + len(text)
        if len(self._texts) < self._limits.queued and length <= self._limits.queued_characters:
            self._texts.append(text)
            self._length = length
            self._filled.set()
        elif not from_others:
            self.overflowed.set()

    async def get(self) -> str:
        """Waits for the next message."""
        while not self._texts:
            self._filled.clear()
            await self._filled.wait()
        text = self._texts.popleft()
        self._length -= len(text)
        return text


class Sockets:
    """Serves the WebSocket clients of a tracker.

    Args:
        signalling: acts on what they say.
        limits: what they may cost.
    """

    def __init__(self, signalling: Signalling, limits: Limits | None = None) -> None:
        self._signalling = signalling
        self._limits = limits or Limits()
        self._open: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        """The number of open connections."""
        return self._open.total()

    async def serve(self, socket: WebSocket) -> None:
        """Serves one connection until either side ends it."""
        try:
            ip = parse_address(socket.client.host if socket.client else "")
        except ValueError:
            await _deny(socket, "cannot tell your address", 403)
            return
        place = _place(ip)
        if self._open[place] >= self._limits.per_address:
            await _deny(socket, "too many connections from your address", 429)
            return
        if len(self) >= self._limits.connections:
            await _deny(socket, "too many connections", 503)
            return
        outbox = Outbox(self._limits)
        client = Client(ip, socket.client.port if socket.client else 0, outbox.put)
        self._open[place] += 1
        try:
            await socket.accept()
            await self._converse(socket, client, outbox)
        except _ENDINGS:
            pass  # it went before it was let in
        finally:
            self._signalling.leave(client)
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]  # a place without connections is forgotten
        if WebSocketState.DISCONNECTED in (socket.client_state, socket.application_state):
            return
        with suppress(*_ENDINGS):  # the server below waits for nobody who is slow
            async with asyncio.timeout(0.1):
                slow = outbox.overflowed.is_set()
                await socket.close(_TRY_AGAIN_LATER if slow else _GOING_AWAY)

    async def _converse(self, socket: WebSocket, client: Client, outbox: Outbox) -> None:
        """Reads and writes until one of them ends, or the client does not read its answers."""

        async def read() -> None:
            bucket = TokenBucket(self._limits.rate, self._limits.burst)
            while True:
                async with asyncio.timeout(self._limits.idle):
                    message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                cost = self._signalling.take(client, message.get("text"))
                # Even a wait of nothing lets the others have their turn.
                await asyncio.sleep(bucket.spend(cost))

        async def write() -> None:
            while True:
                text = await outbox.get()
                async with asyncio.timeout(self._limits.stall):
                    await socket.send_text(text)

        tasks = [
            asyncio.create_task(read(), name="tracker-read"),
            asyncio.create_task(write(), name="tracker-write"),
            asyncio.create_task(outbox.overflowed.wait(), name="tracker-overflow"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, _ENDINGS):
                raise end


_ENDINGS = (TimeoutError, WebSocketDisconnect, OSError)
"""How a conversation ends that did not go wrong on our side."""


def _place(ip: IPAddress) -> Hashable:
    """What counts as one address: an IPv6 host has a network of 64 bits to choose from."""
    if ip.version == 4:
        return ip
    return ipaddress.IPv6Network((ip, 64), strict=False)


async def _deny(socket: WebSocket, reason: str, status: int) -> None:
    with suppress(*_ENDINGS):
        await socket.send_denial_response(PlainTextResponse(reason, status))
