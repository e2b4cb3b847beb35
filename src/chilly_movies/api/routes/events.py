"""Server-sent events (WHATWG HTML, section 9.2), written straight to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from chilly_movies.api.wire.handover import HANDOVER
from chilly_movies.api.wire.listener import HEARTBEAT, PATIENCE, STILL_HERE, Listener
from chilly_movies.api.wire.schemas import ASKED_FOR, event_message
from chilly_movies.errors import InvalidRequest, JobNotFound
from chilly_movies.jobs.bus import Filter, Subscription
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import EVENT_NAMES, Change, Removed
from chilly_movies.jobs.models import Status
from chilly_movies.jobs.requests import check_id

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


async def stream_events(request: Request) -> Response:
    """All jobs' events, or one job's if the path has an id.

    A new listener of all jobs gets a snapshot, one of a single job that job's history so far and
    then its snapshot. With `Last-Event-ID` (or `?lastEventId=`) what was missed is replayed.
    """
    downloader: Downloader = request.app.state.downloader
    job_id = request.path_params.get("id")
    if job_id is not None:
        await downloader.status(check_id(job_id))
    return EventStream(downloader, job_id, _filter(request.query_params), _last_seen(request))


def _last_seen(request: Request) -> int | None:
    """Reads the number of the last event the client saw; None if it names none that can be one."""
    text = request.headers.get("last-event-id") or request.query_params.get("lastEventId") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else None


def _filter(query: QueryParams) -> Filter:
    """Reads which events the client wants.

    Raises:
        InvalidRequest: an id has the wrong form, or there is no such event or status.
    """
    ids, events, statuses = (query.getlist(name) for name in ("id", "event", "status"))
    names = (*EVENT_NAMES, *ASKED_FOR)
    for field, given, known in (("event", events, names), ("status", statuses, Status)):
        if unknown := set(given) - set(known):
            raise InvalidRequest(
                f"There is no {field} '{min(unknown)[:40]}'; there is: {', '.join(known)}.",
                field=field,
            )
    return Filter(
        frozenset(map(check_id, ids)) or None,
        frozenset(events) or None,
        frozenset(map(Status, statuses)) or None,
    )


class EventStream(Response):
    """The answer to one listener: what it missed, then changes as they happen.

    Our own server then keeps the connection without us (see `Listener`); with any other one the
    changes go through `send`.
    """

    def __init__(
        self, downloader: Downloader, job_id: str | None, wanted: Filter, last_seen: int | None
    ) -> None:
        super().__init__()
        self._downloader = downloader
        self._job_id = job_id
        self._wanted = wanted
        self._last_seen = last_seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        subscription = await self._downloader.subscribe(self._job_id, self._wanted)
        listener: Listener | None = None
        gone = asyncio.create_task(_close_when_gone(receive, subscription))
        try:
            async with asyncio.timeout(None) as limit:
                writer = EventWriter(scope, send, limit, subscription.nudge)
                try:
                    listener = await self._write(subscription, writer)
                finally:
                    writer.close()
        except OSError:
            pass  # the client left in the middle of a write, or does not read
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
            if listener is None:
                subscription.close()
        if listener is not None:
            writer.hand_over(listener)

    async def _write(self, subscription: Subscription, writer: EventWriter) -> Listener | None:
        """Writes the stream to its end; or what was missed, and returns what writes the rest."""
        await writer.begin()
        told = self._downloader.last_seq
        # a number above ours is none of ours: begin anew
        since = self._last_seen if (self._last_seen or 0) <= told else None
        writer.sent = since or 0
        if since is None:
            subscription.waiting()  # a snapshot says all that was told until now
        async for change, numbered in self._missed(since, told):
            message = event_message(change)
            if not numbered:
                message = message.partition(b"\n")[2]
            writer.sent = change.seq
            await writer.write(message)
        await writer.write(b": listening\n\n")
        if writer.can_hand_over:
            return Listener(subscription, writer.sent)
        while (changes := await subscription.batch()) is not None:
            new = [event_message(c) for c in changes if c.is_news_after(writer.sent)]
            if new:
                writer.sent = changes[-1].seq
                await writer.write(b"".join(new))
            elif writer.idle:
                await writer.write(STILL_HERE)
        await writer.end()
        return None

    async def _missed(self, since: int | None, told: int) -> AsyncIterator[tuple[Change, bool]]:
        """Yields what comes before the live changes, and whether the client is to note its number.

        Of a snapshot only the last message has an `id:`, so that a client whose connection broke
        in the middle of it gets it anew.
        """
        snapshot: Sequence[Change] = ()
        if since is None:
            with suppress(JobNotFound):  # removed since the request came
                snapshot = await self._downloader.snapshot(self._job_id)
                snapshot = [change for change in snapshot if self._wanted.accepts(change)]
            if self._job_id is not None:
                for change in await self._life(told):
                    yield change, True
        else:
            async for change in self._replay(since, told):
                yield change, True
        for change in snapshot:
            yield change, change is snapshot[-1]

    async def _life(self, told: int) -> Sequence[Change]:
        """Returns the job's history; a removed job that had the same id before is another one."""
        life: list[Change] = []
        async for change in self._stored(0, told):
            if life and life[-1].event == Removed.name:
                life.clear()
            life.append(change)
        return [change for change in life if self._wanted.accepts(change)]

    async def _replay(self, since: int, told: int) -> AsyncIterator[Change]:
        async for change in self._stored(since, told):
            if self._wanted.accepts(change):
                yield change

    async def _stored(self, since: int, told: int) -> AsyncIterator[Change]:
        """Yields stored changes with numbers after `since`, up to and including `told`."""
        while batch := await self._downloader.changes_since(since, self._job_id):
            for change in batch:
                if change.seq > told:
                    return
                yield change
            since = batch[-1].seq


async def _close_when_gone(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()


class EventWriter:
    """A writer to one connection that notices when it does not move.

    Attributes:
        sent: the number of the last change that was written.

    Args:
        scope: of the request.
        send: of the connection.
        limit: expires when the client does not read for too long.
        nudge: called when nothing was written for so long that a heartbeat is due.
    """

    def __init__(
        self, scope: Scope, send: Send, limit: asyncio.Timeout, nudge: Callable[[], None]
    ) -> None:
        self.sent = 0
        server = (scope.get("extensions") or {}).get(HANDOVER)
        self._server: dict[str, Any] | None = server if scope["method"] == "GET" else None
        self._send = send
        self._limit = limit
        self._nudge = nudge
        self._loop = asyncio.get_running_loop()
        self._moved = self._loop.time()
        self._writing = False
        self._timer = self._loop.call_later(min(HEARTBEAT, PATIENCE), self._watch_time)

    @property
    def idle(self) -> bool:
        """True when it is time for a heartbeat."""
        return self._loop.time() >= self._moved + HEARTBEAT

    @property
    def can_hand_over(self) -> bool:
        """True if the server can keep the connection without a handler."""
        return self._server is not None

    def hand_over(self, listener: Listener) -> None:
        """Gives the connection away; the handler must return at once."""
        assert self._server is not None  # noqa: S101 (for the type checker)
        listener.begin(self._server["hand_over"](self._server, listener))

    async def begin(self) -> None:
        """Sends status and headers."""
        chunked = [(b"transfer-encoding", b"chunked")] if self.can_hand_over else []
        headers = [*_HEADERS, *chunked]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, body: bytes) -> None:
        """Sends a part of the stream; waits while the client does not read."""
        self._moved = self._loop.time()
        self._writing = True
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self._writing = False

    async def end(self) -> None:
        """Ends the stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def close(self) -> None:
        """Stops the timer of heartbeats and patience."""
        self._timer.cancel()

    def _watch_time(self) -> None:
        due = self._moved + (PATIENCE if self._writing else HEARTBEAT)
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._watch_time)
        elif self._writing:
            self._limit.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_later(HEARTBEAT, self._watch_time)
            self._nudge()
