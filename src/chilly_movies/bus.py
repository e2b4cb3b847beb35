"""Hands changes to whoever listens. Publishing never waits and never raises.

Every subscriber has a bounded queue of its own in which progress of one job replaces older
progress of that job. One that lets state changes pile up is dropped, so that it harms nobody.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from chilly_movies.events import Change

_QUEUE_SIZE = 1000


class Subscription(AsyncIterator[Change]):
    """One listener's queue: iterate over it, leave it with `close()` or `async with`.

    Attributes:
        overflowed: True if it was dropped because it did not keep up.
    """

    def __init__(self, bus: EventBus, job_id: str | None, size: int) -> None:
        self._bus = bus
        self._job_id = job_id
        self._size = size
        self._waiting: OrderedDict[str | int, Change] = OrderedDict()
        self._wake = asyncio.Event()
        self._closed = False
        self.overflowed = False

    def put(self, change: Change) -> None:
        """Take a change if it concerns this listener. Called by the bus."""
        if self._closed or (self._job_id is not None and change.id != self._job_id):
            return
        key = change.seq if change.durable else change.id
        self._waiting.pop(key, None)
        self._waiting[key] = change
        if len(self._waiting) > self._size:
            self.overflowed = True
            self._waiting.clear()
            self.close()
        self._wake.set()

    def close(self) -> None:
        """Take no more changes; what waits can still be read. Idempotent."""
        self._closed = True
        self._bus.forget(self)
        self._wake.set()

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popitem(last=False)[1]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class EventBus:
    """The list of subscriptions."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def subscribe(self, job_id: str | None = None, *, size: int = _QUEUE_SIZE) -> Subscription:
        """Begin to listen.

        Args:
            job_id: only this job's changes.
            size: how many changes may wait before the listener is dropped.
        """
        subscription = Subscription(self, job_id, size)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def publish(self, change: Change) -> None:
        """Put the change into every queue it concerns."""
        for subscription in tuple(self._subscriptions):
            subscription.put(change)

    def forget(self, subscription: Subscription) -> None:
        """Called by a subscription that closes."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End all subscriptions once they are read empty. Idempotent."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.close()
