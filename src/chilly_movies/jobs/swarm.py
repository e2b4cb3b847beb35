"""The swarm of a job: its trackers, peers, pieces and torrent file, and the port for them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chilly_movies.jobs.models import Job

MAX_TRACKERS = 100
"""Of one torrent, those it names itself included."""
LAST_TIER = 99


class TrackerStatus(StrEnum):
    """How a tracker is doing."""

    WORKING = "working"
    NOT_WORKING = "not-working"
    UPDATING = "updating"
    NOT_CONTACTED = "not-contacted"
    DISABLED = "disabled"
    """A setting keeps it out; its message says which."""


@dataclass(frozen=True, slots=True)
class Tracker:
    """A tracker of one torrent.

    Attributes:
        url: announce URL; it may hold a passkey.
        tier: those of lower tiers are asked first (BEP 12).
        seeds: peers that have everything, as it tells, None if it does not.
        peers: all peers, seeds included, as it tells, None if it does not.
        downloads: how often the torrent was downloaded, as it tells, None if it does not.
        next_announce_at: when it is asked next, None if that is not planned.
        message: why it does not work, or what it says besides its answer; one plain line.
    """

    url: str
    tier: int
    status: TrackerStatus = TrackerStatus.NOT_CONTACTED
    seeds: int | None = None
    peers: int | None = None
    downloads: int | None = None
    next_announce_at: datetime | None = None
    message: str | None = None

    @property
    def id(self) -> str:
        """A name that tells nothing of a passkey."""
        return hashlib.blake2b(self.url.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class PieceMap:
    """Which pieces of a torrent are there.

    Attributes:
        count: how many pieces it has.
        piece_size: bytes of every piece but the last.
        have: a bit per piece, the first one the highest of the first byte (BEP 3), 1 = verified.
    """

    count: int
    piece_size: int
    have: bytes


@dataclass(frozen=True, slots=True)
class Metainfo:
    """What names a torrent to others.

    Attributes:
        name: what its file is called.
        magnet: a link with its info hashes and trackers.
        data: its `.torrent` file, None before its metadata and all hashes of pieces are known.
    """

    name: str
    magnet: str
    data: bytes | None


class SwarmControl(Protocol):
    """What a driver of torrents can do beside downloading them."""

    async def trackers(self, job: Job) -> Sequence[Tracker]:
        """The trackers of a job, in the order of their tiers, whether or not it runs."""
        ...

    async def vet_tracker(self, url: str) -> str:
        """The announce URL in the form in which it is kept.

        Raises:
            InvalidRequest: it is none, or may not be talked to.
        """
        ...

    async def choose_trackers(self, job: Job) -> None:
        """Take over the job's choice of trackers. It holds for jobs that do not run, anyway."""
        ...

    async def announce(self, job: Job) -> bool:
        """Ask every tracker for peers now that was not asked in the last 30 s.

        Returns:
            False if the job does not run.
        """
        ...

    async def call(self, job: Job, address: str) -> bool:
        """Connect to a peer.

        Args:
            job: a job that is not private.
            address: IP address and port.

        Returns:
            False if the job does not run.

        Raises:
            InvalidRequest: the address is none, or may not be talked to.
            NotReadable: the torrent is private.
        """
        ...

    async def ban(self, job: Job, address: str) -> None:
        """Drop a peer, and never talk to its IP address again until the program ends.

        Args:
            job: the job.
            address: an IP address; a port behind it does not count.

        Raises:
            InvalidRequest: it is none.
        """
        ...

    async def pieces(self, job: Job) -> PieceMap | None:
        """Which pieces are there; None before the metadata is known."""
        ...

    async def metainfo(self, job: Job) -> Metainfo | None:
        """What names the torrent to others; None if a link to its file was not fetched yet."""
        ...
