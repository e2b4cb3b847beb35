"""Swarms that are not there: for front-end authors and tests."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit

from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.swarm import Metainfo, PieceMap, Tracker, TrackerStatus
from chilly_movies.runtime.clocks import utc_now

_PIECE_SIZE = 1 << 20
_OWN = (
    Tracker("https://tracker.example/announce", 0),
    Tracker("udp://silent.example:1337/announce", 1),
)
"""Those that every mock torrent names; nobody answers at the second one."""
_INTERVAL = timedelta(minutes=30)


class MockSwarm:
    """Implements `swarm.SwarmControl`: two trackers of its own, one of which never answers.

    Args:
        driver: whose jobs they are.
    """

    def __init__(self, driver: MockDriver) -> None:
        self._driver = driver

    async def trackers(self, job: Job) -> Sequence[Tracker]:
        """See `swarm.SwarmControl`."""
        tiers = {one.url: one.tier for one in _OWN if one.url not in job.trackers.removed}
        tiers.update(job.trackers.added)
        found = [self._as_it_does(job, Tracker(url, tier)) for url, tier in tiers.items()]
        return sorted(found, key=lambda tracker: tracker.tier)

    def _as_it_does(self, job: Job, tracker: Tracker) -> Tracker:
        if not job.is_running:
            return tracker
        if "silent" in tracker.url:
            silent = TrackerStatus.NOT_WORKING
            return replace(tracker, status=silent, message="timed out", next_announce_at=_soon())
        return replace(
            tracker,
            status=TrackerStatus.WORKING,
            seeds=job.figures.swarm_seeds,
            peers=job.figures.swarm_peers,
            downloads=1234,
            next_announce_at=_soon(),
        )

    async def vet_tracker(self, url: str) -> str:
        """See `swarm.SwarmControl`."""
        try:
            parts = urlsplit(url.strip())
            good = parts.scheme in ("http", "https", "udp", "ws", "wss") and bool(parts.hostname)
        except ValueError:
            good = False
        if not good or not url.strip().isprintable():
            raise InvalidRequest(
                "The tracker is no address like https://host/announce.", field="url"
            )
        return url.strip()

    async def choose_trackers(self, job: Job) -> None:
        """See `swarm.SwarmControl`. The job knows all there is to know."""

    async def announce(self, job: Job) -> bool:
        """See `swarm.SwarmControl`."""
        return job.is_running

    async def call(self, job: Job, address: str) -> bool:
        """See `swarm.SwarmControl`. Nobody is there."""
        _checked(address.strip().rpartition(":")[0])
        return job.is_running

    async def ban(self, job: Job, address: str) -> None:
        """See `swarm.SwarmControl`. The peer is shown no more."""
        host, _, port = address.strip().rpartition(":")
        self._driver.banned.add(_checked(host if host and port.isdigit() else address.strip()))

    async def pieces(self, job: Job) -> PieceMap | None:
        """See `swarm.SwarmControl`. They come in order."""
        if not job.files:
            return None
        count = -(-sum(file.size for file in job.files) // _PIECE_SIZE)
        have = min(count, -(-self._driver.arrived(job) // _PIECE_SIZE))
        bits = "".join("1" if number < have else "0" for number in range(8 * -(-count // 8)))
        return PieceMap(count, _PIECE_SIZE, int(bits or "0", 2).to_bytes(len(bits) // 8, "big"))

    async def metainfo(self, job: Job) -> Metainfo | None:
        """See `swarm.SwarmControl`. Nobody can use it."""
        name = job.name or "mock film"
        size = sum(file.size for file in job.files)
        info = b"d6:lengthi%de4:name%d:%be" % (size, len(name.encode()), name.encode())
        v1 = hashlib.sha1(info, usedforsecurity=False).hexdigest()
        trackers = [f"&tr={quote(one.url, safe='')}" for one in await self.trackers(job)]
        magnet = f"magnet:?xt=urn:btih:{v1}&dn={quote(name)}" + "".join(trackers)
        return Metainfo(name, magnet, b"d4:info%be" % info if job.files else None)


def _soon() -> datetime:
    return (utc_now() + _INTERVAL).replace(microsecond=0)


def _checked(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        raise InvalidRequest(f"'{host}' is no IP address.", field="address") from None
