"""Hands changes to whoever listens. Publishing never waits and never raises.

Every subscriber has a bounded queue of its own in which progress of one job replaces older
progress of that job. One that lets state changes pile up is dropped, so that it harms nobody.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from chilly_movies.jobs.events import SNAPSHOT, Change
from chilly_movies.jobs.models import Status

_QUEUE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which changes a listener wants; None = it does not matter.

    Attributes:
        ids: of these jobs.
        events: with these names; snapshots are always wanted.
        statuses: after which the job has one of these.
    """

    ids: frozenset[str] | None = None
    events: frozenset[str] | None = None
    statuses: frozenset[Status] | None = None

    def accepts(self, change: Change) -> bool:
        """Whether the change is wanted."""
        return (
            (self.ids is None or change.id in self.ids)
            and (self.statuses is None or change.status in self.statuses)
            and (self.events is None or change.event in self.events or change.event == SNAPSHOT)
        )


EVERYTHING = Filter()


class Subscription(AsyncIterator[Change]):
    """One listener's queue: iterate over it, leave it with `close()` or `async with`.

    Attributes:
        overflowed: True if it was dropped because it did not keep up.
        shortcut: is offered each change when none waits; what it takes is not queued. It must
            neither wait nor raise.
        alarm: called when something waits, and at the end, for whoever does not wait itself. It
            must neither wait nor raise.
    """

    def __init__(self, bus: EventBus, wanted: Filter, size: int) -> None:
        self._bus = bus
        self._wanted = None if wanted == EVERYTHING else wanted
        self._size = size
        self._waiting: OrderedDict[object, Change] = OrderedDict()
        self._wake: asyncio.Event | None = None  # made by who waits: a thousand may not
        self._closed = False
        self.overflowed = False
        self.shortcut: Callable[[Change], bool] | None = None
        self.alarm: Callable[[], None] | None = None

    def names(self, event: str) -> bool:
        """Whether this listener asked for events of this name, and not for all."""
        wanted = self._wanted.events if self._wanted is not None else None
        return wanted is not None and event in wanted

    def put(self, change: Change) -> None:
        """Take a change if it concerns this listener. Called by the bus."""
        if self._closed or (self._wanted is not None and not self._wanted.accepts(change)):
            return
        if self.shortcut is not None and not self._waiting and self.shortcut(change):
            return
        key = change.seq if change.durable else change.replaces
        self._waiting.pop(key, None)
        self._waiting[key] = change
        if len(self._waiting) > self._size:
            self.overflowed = True
            self._waiting.clear()
            self.close()
        self._ring()

    def close(self) -> None:
        """Take no more changes; what waits can still be read. Idempotent."""
        self._closed = True
        self._bus.forget(self)
        self._ring()

    def nudge(self) -> None:
        """Let `batch` return, even if nothing waits."""
        if self._wake is not None:
            self._wake.set()

    def _ring(self) -> None:
        self.nudge()
        if self.alarm is not None:
            self.alarm()

    async def _woken(self) -> None:
        if self._wake is None:
            self._wake = asyncio.Event()
        self._wake.clear()
        await self._wake.wait()

    async def batch(self) -> list[Change] | None:
        """Wait for changes or a nudge; all that wait, in order. None at the end."""
        if not self._waiting and not self._closed:
            await self._woken()
        return self.waiting()

    def waiting(self) -> list[Change] | None:
        """All that wait now, in order. None at the end."""
        if not self._waiting:
            return None if self._closed else []
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting

    async def __anext__(self) -> Change:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._woken()
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

    def subscribe(
        self, job_id: str | None = None, *, wanted: Filter = EVERYTHING, size: int = _QUEUE_SIZE
    ) -> Subscription:
        """Begin to listen.

        Args:
            job_id: only this job's changes; None = as the filter says.
            wanted: which changes.
            size: how many changes may wait before the listener is dropped.
        """
        if job_id is not None:
            wanted = replace(wanted, ids=frozenset({job_id}))
        subscription = Subscription(self, wanted, size)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    def publish(self, change: Change) -> None:
        """Put the change into every queue it concerns."""
        for subscription in tuple(self._subscriptions):
            subscription.put(change)

    def tell(self, change: Change) -> None:
        """Put what is no change of a job into the queues of those that asked for its name."""
        for subscription in tuple(self._subscriptions):
            if subscription.names(change.event):
                subscription.put(change)

    def forget(self, subscription: Subscription) -> None:
        """Called by a subscription that closes."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End all subscriptions once they are read empty. Idempotent."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.close()
