"""What was sent and received: by each job over all its runs, and by all jobs together. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """What a job moved over all its runs, and how its swarm is while it runs.

    Attributes:
        uploaded: payload bytes that were sent to peers.
        downloaded: payload bytes that came, the wasted ones included.
        wasted: bytes of those that did not have the right hash, or were there already.
        seconds_active: seconds it ran, seeding included.
        seconds_seeding: seconds of those in which it was complete.
        last_activity_at: when payload moved last, None = never, or nobody counted.
        distributed_copies: how often the connected peers and this server together have the whole
            torrent, None if unknown.
        swarm_seeds: peers of the swarm that have everything, as trackers tell, None if none does.
        swarm_peers: peers of the swarm, seeds included, as trackers tell, None if none does.
        found: bytes that lay here already, so that they were not fetched.
    """

    uploaded: int = 0
    downloaded: int = 0
    wasted: int = 0
    seconds_active: int = 0
    seconds_seeding: int = 0
    last_activity_at: datetime | None = None
    distributed_copies: float | None = None
    swarm_seeds: int | None = None
    swarm_peers: int | None = None
    found: int = 0

    @property
    def at_rest(self) -> Figures:
        """The same without what only a run knows."""
        if (self.distributed_copies, self.swarm_seeds, self.swarm_peers) == (None, None, None):
            return self
        return replace(self, distributed_copies=None, swarm_seeds=None, swarm_peers=None)

    def plus(self, left: Figures | None) -> Figures:
        """The same and what the sources moved that were left before."""
        return self if left is None else self._summed(left, 1)

    def minus(self, left: Figures | None) -> Figures:
        """The same without what those moved."""
        return self if left is None else self._summed(left, -1)

    def _summed(self, other: Figures, sign: int) -> Figures:
        names = ("uploaded", "downloaded", "wasted", "seconds_active", "seconds_seeding")
        sums = {name: max(0, getattr(self, name) + sign * getattr(other, name)) for name in names}
        moved_at = self.last_activity_at or other.last_activity_at
        return replace(self, **sums, last_activity_at=moved_at)

    @property
    def in_vain(self) -> Figures:
        """The same where nothing of what came is kept."""
        return replace(self.at_rest, wasted=max(self.wasted, self.downloaded))


@dataclass(frozen=True, slots=True)
class Moved:
    """What all jobs together moved since a point in time; payload bytes, as in `Figures`."""

    since: datetime
    downloaded: int = 0
    uploaded: int = 0
    wasted: int = 0

    def plus(self, before: Figures, after: Figures) -> Moved:
        """The sum with what one job moved between two of its figures."""
        return Moved(
            self.since,
            self.downloaded + max(0, after.downloaded - before.downloaded),
            self.uploaded + max(0, after.uploaded - before.uploaded),
            self.wasted + max(0, after.wasted - before.wasted),
        )


class Totals:
    """Adds up what all jobs move; jobs that are removed later stay in.

    Args:
        clock: the present time, aware.

    Attributes:
        session: since this program began to run.
        all_time: since the first run of all that counted.
        is_saved: nothing was added since `all_time` was last stored.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.session = self.all_time = Moved(clock())
        self.is_saved = False

    def load(self, stored: Moved | None) -> None:
        """Go on from what was stored; None = nothing ever was."""
        if stored is not None:
            self.all_time, self.is_saved = stored, True

    def add(self, before: Figures | None, after: Figures | None) -> None:
        """Count what a job moved.

        What it moved before anybody counted (`before` is None) is not known to be new.
        """
        if before is None or after is None or after is before:
            return
        session = self.session.plus(before, after)
        if session != self.session:
            self.session, self.all_time = session, self.all_time.plus(before, after)
            self.is_saved = False
