"""A token bucket for those that move bytes themselves: fair between them, and without polling.

A request is let by while the balance is positive and may put it into debt, so that any size passes
and the average holds. Those that wait are served by start-time fair queueing (Goyal, Vin and Cheng,
1996): who was served less comes first, whatever the size of its requests.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

BURST = 0.25
"""Seconds of the rate that may come at once after a pause."""
_STEP = 0.01
"""Seconds of the rate that are let by with one wake-up."""
_CLAIM = 1 << 20
"""Bytes that one may have had less than others, and still has a claim to."""
_DEBT = 1.0
"""Seconds of the rate that are paid off at most."""


@dataclass(slots=True, eq=False)
class Turn:
    """The place in the queue of one of those that share a bucket.

    Attributes:
        tag: where its next request begins, in bytes of all that was served to anybody.
        at: when it was last let by.
        waited: it had to wait since somebody set this back.
    """

    tag: float = 0.0
    at: float = float("-inf")
    waited: bool = False


class Bucket:
    """Lets bytes by at a rate.

    Args:
        rate: bytes per second, 0 = all pass at once.
        clock: seconds that only grow, as the event loop counts them.
    """

    def __init__(self, rate: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._balance, self._at = 0.0, clock()
        self._waiting: list[tuple[float, int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._served = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def rate(self) -> float:
        """Bytes per second, 0 = all pass at once."""
        return self._rate

    def set_rate(self, rate: float) -> None:
        """Lets another rate hold from now on, for those that wait, too."""
        if rate == self._rate:
            return
        self._refill()
        self._rate = rate
        self._balance = max(-_DEBT * rate, min(self._balance, BURST * rate))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            self._serve()

    async def take(self, turn: Turn, count: int) -> None:
        """Returns as soon as so many bytes may pass; cancelled it leaves no trace."""
        if not self._rate:
            return
        self._refill()
        start = self._begin(turn)
        turn.tag = start + count
        # one that asks for little at a time, and had less than others so far, need not queue up
        if turn.tag <= self._served if self._waiting else self._balance > 0:
            self._balance -= count
            self._served = max(self._served, start)
            turn.at = self._at
            return
        turn.waited = True
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (start, next(self._numbers), count, passed))
        self._arm()
        try:
            await passed
        except asyncio.CancelledError:
            turn.tag -= count
            if not passed.cancelled():  # it was let by in the same moment
                self.spend(-count)
            raise
        turn.at = self._clock()

    def _begin(self, turn: Turn) -> float:
        """Where its request begins: one that comes back after a while has no claim to the past."""
        if self._at - turn.at > BURST:
            return max(self._served, turn.tag)
        return max(self._served - _CLAIM, turn.tag)

    def spend(self, count: float) -> None:
        """Counts bytes that passed without asking; those that ask pay them off."""
        if self._rate:
            self._refill()
            self._balance = max(-_DEBT * self._rate, self._balance - count)

    def _refill(self) -> None:
        now = self._clock()
        grown = self._balance + self._rate * (now - self._at)
        self._balance, self._at = min(grown, BURST * self._rate), now

    def _arm(self) -> None:
        """Wakes up when the next portion is due, if somebody waits."""
        if self._timer is None and self._waiting:
            seconds = max(0.0, _STEP - self._balance / self._rate)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._serve)

    def _serve(self) -> None:
        self._timer = None
        self._refill()
        while self._waiting and (self._balance > 0 or not self._rate):
            start, _, count, passed = heapq.heappop(self._waiting)
            if passed.done():
                continue  # it was cancelled
            self._served = max(self._served, start)
            self._balance -= count
            passed.set_result(None)
        self._arm()
