"""Server-sent events (WHATWG HTML, section 9.2), written straight to the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from chilly_movies.api.schemas import event_message
from chilly_movies.bus import Subscription
from chilly_movies.downloader import Downloader
from chilly_movies.errors import JobNotFound
from chilly_movies.events import Change
from chilly_movies.intake import check_id

_HEARTBEAT = 15.0
_PATIENCE = 60.0
"""Seconds a listener may take to read what was sent before it is dropped."""
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
    return EventStream(downloader, job_id, _last_seen(request))


def _last_seen(request: Request) -> int | None:
    """The number of the last event the client saw; None if it gives none that can be one."""
    text = request.headers.get("last-event-id") or request.query_params.get("lastEventId") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 17 else None


class EventStream(Response):
    """One listener's connection: what it missed, then changes as they happen."""

    def __init__(self, downloader: Downloader, job_id: str | None, last_seen: int | None) -> None:
        super().__init__()
        self._downloader = downloader
        self._job_id = job_id
        self._last_seen = last_seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        async with self._downloader.listen(self._job_id) as subscription:
            gone = asyncio.create_task(_close_when_gone(receive, subscription))
            try:
                await self._write(subscription, send)
            except OSError:
                pass  # the client left in the middle of a write, or does not read
            finally:
                gone.cancel()
                with suppress(asyncio.CancelledError):
                    await gone

    async def _write(self, subscription: Subscription, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        sent = 0
        async for change, numbered in self._missed():
            message = event_message(change)
            if not numbered or change.seq <= sent:  # no number is sent twice
                message = message.partition(b"\n")[2]
            sent = change.seq
            await _send(send, message)
        await _send(send, b": listening\n\n")
        waiting: asyncio.Future[Change] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(subscription))
                done, _ = await asyncio.wait([waiting], timeout=_HEARTBEAT)
                if not done:
                    await _send(send, b": still here\n\n")
                    continue
                change, waiting = waiting.result(), None
                if change.seq > sent:
                    await _send(send, event_message(change))
        except StopAsyncIteration:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if waiting is not None:
                waiting.cancel()

    async def _missed(self) -> AsyncIterator[tuple[Change, bool]]:
        """What comes before the live changes, and whether the client is to note its number.

        Of a snapshot only the last message has an `id:`, so that a client whose connection broke
        in the middle of it gets it anew.
        """
        since, told = self._last_seen, self._downloader.told_seq
        if since is not None and since > self._downloader.last_seq:
            since = None  # not one of our numbers: begin anew
        snapshot: Sequence[Change] = ()
        if since is None:
            with suppress(JobNotFound):  # removed since the request came
                snapshot = await self._downloader.snapshot(self._job_id)
            since = None if self._job_id is None else 0
        if since is not None:
            async for change in self._replay(since, told):
                yield change, True
        for change in snapshot:
            yield change, change is snapshot[-1]

    async def _replay(self, since: int, told: int) -> AsyncIterator[Change]:
        """Stored changes with numbers after `since`, up to and including `told`."""
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


async def _send(send: Send, body: bytes) -> None:
    async with asyncio.timeout(_PATIENCE):
        await send({"type": "http.response.body", "body": body, "more_body": True})
