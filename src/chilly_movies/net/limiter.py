"""How fast all drivers together may be: one limit for each direction, which may change.

A driver that moves bytes in Python takes a `Share` for each run of a job and asks it for every
chunk; all shares draw on one bucket. An engine that limits itself is told its part, and tells what
came: that is taken off the bucket, so the sum keeps to the limit whoever has more to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from chilly_movies.net.bucket import Bucket, Turn

MAX_RATE = 2**31 - 1
"""Bytes per second; the torrent engine counts no further."""

_BUSY = 2.0
"""Seconds after which a share that took nothing needs no part."""
_FIRST, _GROWTH, _MARGIN, _SPARE = 0.25, 2.0, 1.1, 0.02
"""The part of those that wait: at first this much of what is fair, then growing by this factor with
each settling; of those that do not wait: what they use and so much more, and this much of all."""
_SMOOTH = 3.0
"""Seconds over which the engine's speed is averaged."""
_OWED, _REPAID, _LEAST = 2.0, 3.0, 0.05
"""What the engine's average is off by counts up to so many seconds of the limit, and is made up for
in so many seconds; but those that move bytes themselves keep this much of the limit."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A limit for each direction, in bytes per second; 0 = unlimited."""

    download: int = 0
    upload: int = 0


_PORTION, _LEAST_PORTION, _MOST_PORTION = 0.05, 16 * 1024, 512 * 1024
"""Seconds of a limit that one request should be for, and bytes that it is for in any case."""


class Share:
    """What one run of a job may fetch: its fair part of the limit, and no more than its own limit.

    Attributes:
        limit: the job's own limit in bytes per second, 0 = unlimited; may be set at any time.
        taken: bytes that passed.
    """

    def __init__(
        self, common: Bucket, limit: int, limiter: SpeedLimiter, clock: Callable[[], float]
    ) -> None:
        self.taken = 0
        self.turn = Turn()
        self._common, self._limiter, self._clock = common, limiter, clock
        self._own, self._own_turn = Bucket(limit, clock), Turn()
        self._asked_at, self._asking = float("-inf"), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def take(self, count: int) -> None:
        """Returns as soon as so many bytes may pass: at once if nothing limits them.

        Several tasks of one run may ask at once; together they get what one would get. Cancelling
        is safe. Ask for what came before more is read: what is not read holds its sender back.

        Args:
            count: any number of bytes.
        """
        self.taken += count
        if self._own.rate:
            await self._own.take(self._own_turn, count)
        if self._common.rate:
            self._asking += 1
            try:
                await self._common.take(self.turn, count)
            finally:
                self._asking -= 1
                self._asked_at = self._clock()

    def count(self, count: int) -> None:
        """Counts bytes that came without asking: whoever asks next pays them off."""
        self.taken += count
        self._asked_at = self._clock()
        self._own.spend(count)
        self._common.spend(count)

    @property
    def limit(self) -> int:
        """See the class."""
        return int(self._own.rate)

    @limit.setter
    def limit(self, limit: int) -> None:
        self._own.set_rate(limit)

    @property
    def rate(self) -> int:
        """Bytes per second it may fetch at present, 0 = unlimited; for what limits itself."""
        others = sum(1 for share in self._limiter.busy() if share is not self)
        fair = int(self._common.rate / (others + 1))
        known = [rate for rate in (fair, self.limit) if rate]
        return min(known, default=0)

    @property
    def portion(self) -> int:
        """Bytes to ask for at once, so that a limit holds within each second."""
        rate = min((rate for rate in (self._common.rate, self._own.rate) if rate), default=None)
        wanted = _MOST_PORTION if rate is None else int(_PORTION * rate)
        return max(_LEAST_PORTION, min(_MOST_PORTION, wanted))

    @property
    def is_waiting(self) -> bool:
        """Whether something it asked for may not pass yet."""
        return self._asking > 0

    @property
    def is_busy(self) -> bool:
        """Whether it asks for something, or did a moment ago."""
        return self.is_waiting or self._clock() - self._asked_at < _BUSY

    def close(self) -> None:
        """Gives its part back. Idempotent."""
        self._limiter.leave(self)


class SpeedLimiter:
    """The present limit of all traffic; whoever sends asks it, and is told when it changes.

    Args:
        usual: the limit as long as nobody sets another.
        clock: seconds that only grow.

    Attributes:
        usual: the same.
        rates: the present one.
        engine_rates: the part of it that an engine which limits itself may use.
    """

    def __init__(
        self, usual: Rates | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.usual = self.rates = self.engine_rates = usual or Rates()
        self._subscribers: list[Callable[[], None]] = []
        self._clock = clock
        self._bucket = Bucket(self.rates.download, clock)
        self._shares: dict[Share, int] = {}
        self._settled_at = self._clock()
        self._speed = self._owed = self._part = 0.0

    def set(self, rates: Rates) -> None:
        """Lets a limit hold from now on."""
        if rates != self.rates:
            self.rates = rates
            self._whole()
            self._tell()

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Calls `changed` after each change; how it is now the subscriber asks."""
        self._subscribers.append(changed)

    def unsubscribe(self, changed: Callable[[], None]) -> None:
        """Calls it no more. Idempotent."""
        if changed in self._subscribers:
            self._subscribers.remove(changed)

    def _tell(self) -> None:
        for changed in tuple(self._subscribers):
            changed()

    # --- those that move bytes themselves ---------------------------------------------------

    def share(self, limit: int = 0) -> Share:
        """The share of one run of a job; close it when the run ends.

        Args:
            limit: the job's own limit in bytes per second, 0 = unlimited.
        """
        share = Share(self._bucket, limit, self, self._clock)
        self._shares[share] = 0
        return share

    def leave(self, share: Share) -> None:
        """Forgets a share that was closed. Idempotent."""
        self._shares.pop(share, None)

    def busy(self) -> list[Share]:
        """The shares that need a part now."""
        return [share for share in self._shares if share.is_busy]

    # --- an engine that limits itself -------------------------------------------------------

    @property
    def is_limited(self) -> bool:
        """Whether an engine has to tell what it fetches."""
        return bool(self.rates.download)

    def settle(self, received: int, jobs: int) -> None:
        """Counts what the engine fetched since the last call, and divides the limit anew.

        Called about once a second while `is_limited`. Those that wait come up to what is fair by
        the number of jobs, in steps; what one side does not use the other has. An engine lets bytes
        by in portions of seconds, so its speed is an average, and what that is off by is made up
        for in the course of some seconds.

        Args:
            received: bytes.
            jobs: how many of its jobs fetch something.
        """
        now = self._clock()
        seconds, self._settled_at = max(0.05, now - self._settled_at), now
        limit, known = self.rates.download, self._speed
        self._speed += min(1.0, seconds / _SMOOTH) * (received / seconds - known)
        if not self._shares or not limit:
            self._owed = 0.0
            if self.engine_rates != self.rates:
                self._whole()
                self._tell()
            return
        if self._part:  # it was divided before
            left = (limit - self._bucket.rate) * seconds
            owed = self._owed + received - left
            self._owed = max(-_OWED * limit, min(_OWED * limit, owed))
        self._part = self._part_of_shares(seconds, jobs)
        engine = limit - self._part if jobs else limit
        rest = limit - min(engine, self._speed) - self._owed / _REPAID
        self._bucket.set_rate(max(_LEAST * limit, min(limit, rest)))
        self._grant(int(engine))

    def _part_of_shares(self, seconds: float, jobs: int) -> float:
        """Bytes per second for all shares together, at most what is fair."""
        busy, limit = self.busy(), self.rates.download
        moved = sum(share.taken - before for share, before in self._shares.items()) / seconds
        waited = any(share.is_waiting or share.turn.waited for share in busy)
        for share in self._shares:
            self._shares[share] = share.taken
            share.turn.waited = False
        fair = limit * len(busy) / max(1, len(busy) + jobs)
        if waited:
            return min(fair, max(_FIRST * fair, _GROWTH * self._part))
        return min(fair, _MARGIN * moved + _SPARE * limit)

    def _grant(self, download: int) -> None:
        """Tells the engine its part if that is another."""
        known = self.engine_rates.download
        if abs(download - known) > known // 50:
            self.engine_rates = Rates(download, self.rates.upload)
            self._tell()

    def release(self) -> None:
        """The engine fetches nothing any more: all is for the others."""
        self._speed = 0.0
        self._whole()

    def _whole(self) -> None:
        self._owed = self._part = 0.0
        self._bucket.set_rate(self.rates.download)
        self.engine_rates = self.rates
