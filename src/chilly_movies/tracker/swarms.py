"""Who takes part in which swarm: what a tracker knows, bounded in memory, without I/O."""

from __future__ import annotations

import ipaddress
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> IPAddress:
    """Reads an IP address; one without a zone, and IPv4 in its own form.

    Raises:
        ValueError: it is none.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(frozen=True, slots=True)
class Peer:
    """One client in a swarm, as others are told about it.

    One without a `channel` is dialled at its address. One with a channel cannot be dialled:
    it is reached through that channel, a WebSocket say, and its address says nothing more.
    """

    peer_id: bytes
    ip: IPAddress
    port: int
    complete: bool
    channel: Hashable | None = None

    @property
    def key(self) -> Hashable:
        """The key that tells it from the other peers of its swarm."""
        if self.channel is None:
            return self.ip, self.port
        return self.channel, self.peer_id

    def can_meet(self, other: Peer) -> bool:
        """Tells whether it makes sense to introduce the two to each other."""
        if self.channel is None or other.channel is None:
            return self.channel is other.channel and self.key != other.key
        return self.peer_id != other.peer_id

    @property
    def compact(self) -> bytes:
        """The address in 6 bytes, or 18 for IPv6."""
        return self.ip.packed + self.port.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class SwarmCounts:
    """The number of clients of a swarm, and how often its content was completed."""

    complete: int = 0
    incomplete: int = 0
    downloaded: int = 0


@dataclass(slots=True)
class _Entry:
    peer: Peer
    seen: float


class _Swarm:
    """The peers of one info hash, the one heard of longest ago first."""

    def __init__(self) -> None:
        self.entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self.seeds = 0
        self.downloaded = 0

    def put(self, peer: Peer, now: float) -> None:
        self.drop(peer.key)
        self.entries[peer.key] = _Entry(peer, now)
        self.seeds += peer.complete

    def drop(self, key: Hashable) -> None:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.seeds -= entry.peer.complete

    def trim(self, max_peers: int, oldest: float) -> None:
        while self.entries:
            key, entry = next(iter(self.entries.items()))
            if entry.seen >= oldest and len(self.entries) <= max_peers:
                return
            self.drop(key)


class SwarmTable:
    """Who takes part in which swarm. Its memory is bounded by its three limits.

    When full, the swarm or peer heard of longest ago makes room for the new one. Peers are
    keyed by address or channel, so nobody can replace or remove somebody else's entry. All
    peers of a swarm count together, but only those of one kind are introduced to each other.

    Args:
        max_swarms: how many info hashes are kept.
        max_peers: how many peers are kept for each.
        peer_ttl: seconds after which a silent peer is forgotten.
        clock: tells the time in seconds; monotonic.
    """

    def __init__(
        self,
        *,
        max_swarms: int = 1_000,
        max_peers: int = 200,
        peer_ttl: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._swarms: OrderedDict[bytes, _Swarm] = OrderedDict()
        self._max_swarms = max_swarms
        self._max_peers = max_peers
        self._peer_ttl = peer_ttl
        self._clock = clock
        self._random = random.Random()  # noqa: S311  # a fair choice of peers, not a secret

    def __len__(self) -> int:
        """The number of swarms."""
        return len(self._swarms)

    def join(self, info_hash: bytes, peer: Peer, *, just_completed: bool = False) -> None:
        """Adds a peer or refreshes what is known of it."""
        now = self._clock()
        swarm = self._swarms.setdefault(info_hash, _Swarm())
        self._swarms.move_to_end(info_hash)
        swarm.put(peer, now)
        swarm.downloaded += just_completed
        swarm.trim(self._max_peers, now - self._peer_ttl)
        # from the stale end: those over the limit, and those without peers
        while len(self._swarms) > 1:
            oldest, swarm = next(iter(self._swarms.items()))
            swarm.trim(self._max_peers, now - self._peer_ttl)
            if swarm.entries and len(self._swarms) <= self._max_swarms:
                return
            del self._swarms[oldest]

    def leave(self, info_hash: bytes, peer: Peer) -> None:
        """Removes a peer; an unknown one is no error."""
        swarm = self._swarms.get(info_hash)
        if swarm is not None:
            swarm.drop(peer.key)

    def peers_for(self, info_hash: bytes, peer: Peer, wanted: int) -> list[Peer]:
        """Picks at most `wanted` others at random; for a complete peer, incomplete ones first.

        Complete ones are not held back: aria2 says it has nothing left to fetch while it
        looks for the metadata of a magnet link, and only a complete peer may have that.
        """
        swarm = self._fresh(info_hash)
        if swarm is None:
            return []
        others = [e.peer for e in swarm.entries.values() if peer.can_meet(e.peer)]
        self._random.shuffle(others)
        if peer.complete:
            others.sort(key=lambda other: other.complete)
        return others[:wanted]

    def counts(self, info_hash: bytes) -> SwarmCounts:
        """Counts a swarm; an unknown one is empty."""
        swarm = self._fresh(info_hash)
        if swarm is None:
            return SwarmCounts()
        return SwarmCounts(swarm.seeds, len(swarm.entries) - swarm.seeds, swarm.downloaded)

    def totals(self) -> tuple[int, int]:
        """Counts the swarms that have peers, and their peers."""
        counts = [self.counts(info_hash) for info_hash in self._swarms]
        sizes = [count.complete + count.incomplete for count in counts]
        return sum(size > 0 for size in sizes), sum(sizes)

    def _fresh(self, info_hash: bytes) -> _Swarm | None:
        swarm = self._swarms.get(info_hash)
        if swarm is not None:
            swarm.trim(self._max_peers, self._clock() - self._peer_ttl)
        return swarm
