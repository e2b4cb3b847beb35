"""One listener of events, without a task of its own while it keeps up.

There may be a thousand, so a change costs each of them one write of bytes that all share, and one
that waits costs little memory.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache

from chilly_movies.api.wire.handover import Connection, StreamOwner
from chilly_movies.api.wire.schemas import event_message
from chilly_movies.jobs.bus import Subscription
from chilly_movies.jobs.events import Change

HEARTBEAT = 15.0
"""Seconds of silence after which a listener gets a sign that we are there."""
PATIENCE = 60.0
"""Seconds a listener may take to read what was sent before it is dropped."""
STILL_HERE = b": still here\n\n"
_END = b"0\r\n\r\n"


class Listener(StreamOwner):
    """A listener that hands what a subscription brings to a connection.

    What the connection takes goes to it at once. When it is full, changes wait in the
    subscription, and a task brings them once it takes something again.

    Args:
        subscription: what is listened to; closed at the end.
        sent: the number of the last change that was written already.
    """

    __slots__ = ("_connection", "_gone", "_moved", "_sent", "_subscription", "_timer", "_work")

    def __init__(self, subscription: Subscription, sent: int) -> None:
        super().__init__()
        self._subscription = subscription
        self._sent = sent
        self._gone = False
        self._moved = 0.0
        self._connection: Connection
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None

    def begin(self, connection: Connection) -> None:
        """Writes to this connection from now on, what waits already first."""
        self._connection = connection
        self._moved = asyncio.get_running_loop().time()
        self._subscription.shortcut = self._take
        self._subscription.alarm = self._catch_up_soon
        if not self._gone:
            self._timer = asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)
        self._catch_up_soon()

    def left(self) -> None:
        """Ends the subscription, as the connection is gone. Idempotent."""
        self._gone = True
        if self._timer is not None:
            self._timer.cancel()
        self._subscription.shortcut = self._subscription.alarm = None  # they hold us
        self._subscription.close()
        super().left()

    def _take(self, change: Change) -> bool:
        """Writes a change at once; returns False if the connection is full."""
        if change.is_news_after(self._sent):
            if not self._connection.write(_encoded(change)):
                return False
            self._note(change.seq)
        return True

    def _note(self, seq: int) -> None:
        self._sent = seq
        self._moved = asyncio.get_running_loop().time()

    def _catch_up_soon(self) -> None:
        if self._work is None and not self._gone:
            self._work = asyncio.create_task(self._catch_up(), name="slow listener")

    async def _catch_up(self) -> None:
        try:
            more = True
            while more:
                async with asyncio.timeout(PATIENCE):
                    await self._connection.drain()
                more = not self._gone and self._bring()
        except TimeoutError:
            self._connection.abort()
        finally:
            self._work = None

    def _bring(self) -> bool:
        """Writes all that waits; returns False if nothing does."""
        changes = self._subscription.waiting()
        if changes is None:
            self._connection.write(_END)
            self._connection.close()
            return False
        new = [event_message(change) for change in changes if change.is_news_after(self._sent)]
        if new:
            self._connection.write(chunk(b"".join(new)))
            self._note(changes[-1].seq)
        return bool(changes)

    def _beat(self) -> None:
        """Sends a heartbeat after 15 s in which nothing was sent."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._moved + HEARTBEAT:
            if not self._connection.write(chunk(STILL_HERE)):
                self._catch_up_soon()  # which does not wait for ever
            self._moved = loop.time()
        self._timer = loop.call_at(self._moved + HEARTBEAT, self._beat)


def chunk(data: bytes) -> bytes:
    """Frames data as a chunk of an HTTP answer (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=64)
def _encoded(change: Change) -> bytes:
    """Encodes the change as a chunk; made once for all listeners."""
    return chunk(event_message(change))
