"""Work that is done for every stored change, from a cursor that is stored with the work.

A callback loses what happened between "stored" and "done" when the program is killed there. A
follower does not: it reads the stored changes after its cursor, and asks the work for the cursor
when it begins and after each failure. So everything is done at least once, in order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from chilly_movies.errors import ChillyError
from chilly_movies.jobs.bus import EventBus, Subscription
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.ports import Cursors, JobStore
from chilly_movies.jobs.retry import RetryPolicy, next_delay

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 20
"""How many changes are handed over together; the cursor is reported after each such batch."""
_SIGN_OF_LIFE: Final = 3600.0
"""Seconds after which a follower with nothing to do reports its cursor again."""
PAUSES: Final = RetryPolicy(base=1.0, cap=300.0)
"""The waits between tries of work that fails; it is never given up."""


class Work(Protocol):
    """What a follower does."""

    async def cursor(self) -> int | None:
        """The number up to which all is done, stored with what was done; None = it never began."""
        ...

    async def handle(self, changes: Sequence[Change]) -> None:
        """Do the work for these changes in their order, and store it with the cursor.

        When this returns the cursor is the number of the last one; on the way it may be stored
        often. After a crash a change may come again. A change has no `job`, which may be gone.

        Raises:
            Exception: what is after the cursor is handed over again, after a pause.
        """
        ...

    async def resync(self, jobs: Sequence[Job], seq: int) -> None:
        """Begin anew: these are all jobs after the change `seq`, the cursor from now on.

        Called the first time, and when changes after the cursor are not kept any more.
        """
        ...


class Follower:
    """One piece of work that follows the stored changes.

    Args:
        name: what its cursor is kept under.
        work: what it does.
        ledger: where the jobs are.
        bus: rings when there is something new.
        store: where the changes are.
        cursors: where the cursor is reported; what is after it is kept.
        pauses: the waits after failures.
    """

    def __init__(
        self,
        name: str,
        work: Work,
        ledger: Ledger,
        bus: EventBus,
        store: JobStore,
        cursors: Cursors,
        pauses: RetryPolicy = PAUSES,
    ) -> None:
        self.name = name
        self._work, self._ledger, self._bus, self._store = work, ledger, bus, store
        self._cursors, self._pauses = cursors, pauses
        self._seq = 0
        self._failures = 0
        self._bell = asyncio.Event()

    @property
    def behind(self) -> int:
        """About how many changes it still has to do."""
        return max(0, self._ledger.seq - self._seq)

    async def run(self) -> None:
        """Follow until cancelled, or until the bus is closed."""
        async with self._bus.subscribe() as heard:  # first, so that a change is read or rings
            heard.shortcut, heard.alarm = self._ring, self._bell.set
            while heard.waiting() is not None:
                try:
                    await self._begin()
                    await self._follow(heard)
                except Exception as error:  # noqa: BLE001 (what comes after is not lost)
                    self._log(error)
                    self._failures += 1
                    await asyncio.sleep(next_delay(self._failures, self._pauses, random.random))

    def _ring(self, change: Change) -> bool:
        """Takes a change from the bus: it will be read from the store."""
        if change.durable:
            self._bell.set()
        return True

    def _log(self, error: Exception) -> None:
        if isinstance(error, ChillyError):
            log.warning("a follower tries again", follower=self.name, problem=str(error))
        else:
            log.error("a follower failed", follower=self.name, exc_info=error)

    async def _begin(self) -> None:
        """Learn from the work how far it is; begin anew if what it still needs is not there."""
        cursor = await self._work.cursor()
        newest = self._ledger.seq
        lost = cursor is None or cursor > newest or not await self._cursors.keeps_all_after(cursor)
        if cursor is None or lost:
            cursor = newest
            await self._work.resync(list(self._ledger), cursor)
        self._seq = cursor
        await self._cursors.report(self.name, cursor)

    async def _follow(self, heard: Subscription) -> None:
        while heard.waiting() is not None:
            self._bell.clear()
            await self._catch_up()
            with suppress(TimeoutError):
                async with asyncio.timeout(_SIGN_OF_LIFE):
                    await self._bell.wait()
                    continue
            await self._cursors.report(self.name, self._seq)

    async def _catch_up(self) -> None:
        """Do all that is stored."""
        while True:
            newest = self._ledger.seq
            changes = await self._store.changes_since(self._seq)
            if not changes:
                break
            for first in range(0, len(changes), _AT_ONCE):
                some = changes[first : first + _AT_ONCE]
                await self._work.handle(some)
                self._seq, self._failures = some[-1].seq, 0
                await self._cursors.report(self.name, self._seq)
        self._seq = max(self._seq, newest)  # numbers that no change has


class Followers:
    """All that follow the jobs of one downloader.

    Args:
        ledger: where the jobs are.
        bus: where changes are told.
        store: where they are stored.
        cursors: where followers report how far they are.
    """

    def __init__(
        self, ledger: Ledger, bus: EventBus, store: JobStore, cursors: Cursors | None
    ) -> None:
        self._ledger, self._bus, self._store = ledger, bus, store
        self._cursors = cursors or KeepsAll()
        self._running: dict[str, tuple[Follower, asyncio.Task[None]]] = {}

    def begin(self, name: str, work: Work, pauses: RetryPolicy = PAUSES) -> None:
        """Let the work follow from its cursor on. The downloader is open.

        Args:
            name: of this follower and no other.
            work: what it does.
            pauses: the waits after failures.
        """
        follower = Follower(name, work, self._ledger, self._bus, self._store, self._cursors, pauses)
        task = asyncio.create_task(follower.run(), name=f"follower {name}")
        self._running[name] = (follower, task)

    async def end(self, name: str) -> None:
        """Let it follow no more, for good: nothing is kept for it."""
        if name in self._running:
            await self._stop([self._running.pop(name)[1]])
        await self._cursors.forget(name)

    def behind(self) -> Mapping[str, int]:
        """About how many changes each still has to do, by name."""
        return {name: follower.behind for name, (follower, _) in self._running.items()}

    async def aclose(self) -> None:
        """Stop all; they go on from their cursors at the next start."""
        running, self._running = self._running, {}
        await self._stop([task for _, task in running.values()])

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class KeepsAll:
    """`Cursors` over a store that forgets nothing."""

    async def report(self, _name: str, _seq: int) -> None:
        """See `ports.Cursors`."""

    async def forget(self, _name: str) -> None:
        """See `ports.Cursors`."""

    async def keeps_all_after(self, _seq: int) -> bool:
        """See `ports.Cursors`."""
        return True
