"""What trackers are told of a torrent, and in which order; one peer id for each torrent.

The engine tells a tracker `stopped` (BEP 3) only if it answered the announce before, and sends it
beside whatever follows. A torrent that is taken out and added again, as each film is once it is
published, is counted twice by a tracker that hears `started` first.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine.standings import TrackerStanding
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket

_KNOWN, _UNKNOWN = 3.0, 1.0
"""Seconds a tracker is waited for that has answered before, and one that has not yet."""
_SENT_WITHIN = 0.5
_JUST_NOW = 30.0
"""Seconds after an announce in which the user's wish for another one is not granted."""
_PEER_ID_SIZE = 20


class Announces:
    """What HTTP and UDP trackers were told of one torrent, and did not answer yet.

    WebSocket trackers are left out: theirs arrive in the order in which they were sent.

    Args:
        handle: the engine's torrent.
    """

    def __init__(self, handle: lt.torrent_handle) -> None:
        self._handle = handle
        self._open: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._completed = asyncio.Event()
        self._kept_back: list[Any] = []
        self._asked_at: dict[str, float] = {}

    def hush(self) -> None:
        """Take the trackers away from the engine, so that none hears of a mere check."""
        if not self._kept_back:
            self._kept_back = self._handle.trackers()
            self._handle.replace_trackers([])

    def speak(self) -> None:
        """Give them back."""
        if kept := self._kept_back:
            self._kept_back = []
            self._handle.replace_trackers(kept)

    def listed(self) -> list[Any]:
        """The trackers it has, also while they are taken away."""
        return self._kept_back or self._handle.trackers()

    def replace(self, entries: list[Any]) -> None:
        """Give it these trackers instead; those it had before are asked anew."""
        if self._kept_back:
            self._kept_back = entries
        else:
            self._handle.replace_trackers(entries)

    def add(self, url: str, tier: int) -> None:
        """Give it one more tracker."""
        if self._kept_back:
            self._kept_back.append({"url": url, "tier": tier})
        else:
            self._handle.add_tracker({"url": url, "tier": tier})

    def ask_now(self, now: float) -> None:
        """Ask every tracker that was not asked a moment ago, whatever interval it wants.

        Args:
            now: monotonic seconds.
        """
        for index, tracker in enumerate(self._handle.trackers()):
            if now - self._asked_at.get(tracker["url"], -math.inf) >= _JUST_NOW:
                self._asked_at[tracker["url"]] = now
                self._handle.force_reannounce(0, index, lt.torrent_handle.ignore_min_interval)

    async def tell_completed(self, standings: Mapping[str, TrackerStanding]) -> None:
        """Tell that it is whole, if none that answers knows: the last byte came before an answer.

        Args:
            standings: how each tracker last answered, by URL.
        """
        known = any(not (is_websocket(u) or s.problem) for u, s in standings.items())
        if self._completed.is_set() or not known:
            return
        if (await asyncio.to_thread(self._handle.status)).is_seeding:
            self._handle.force_reannounce(0, -1, lt.torrent_handle.ignore_min_interval)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._completed.wait(), _SENT_WITHIN)
            await self.wait_answered(standings)

    def asked(self, url: str, event: str) -> None:
        """An announce was sent there.

        Args:
            url: of the tracker.
            event: as BEP 3 names them; anything else for none.
        """
        self._asked_at[url] = time.monotonic()
        if not is_websocket(url):
            self._open[url] += 1
            if event == "completed":
                self._completed.set()

    def answered(self, url: str) -> None:
        """One was answered there, or failed."""
        self._open[url] -= 1
        self._open += Counter()  # forgets what is zero
        self._news.set()

    async def wait_answered(self, standings: Mapping[str, TrackerStanding]) -> None:
        """Wait until all are answered, for 3 s at most.

        A tracker that has not answered yet is waited for 1 s, one that failed before not at all.

        Args:
            standings: how each tracker last answered, by URL.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        ends = {
            url: _KNOWN if url in standings else _UNKNOWN
            for url in self._open
            if url not in standings or standings[url].problem is None
        }
        while left := max((ends[u] for u in self._open if u in ends), default=0.0):
            self._news.clear()
            try:
                async with asyncio.timeout_at(began + left):
                    await self._news.wait()
            except TimeoutError:
                return


class PeerIds:
    """The peer ids of an engine: a torrent that comes back gets its old one (BEP 20).

    Those of two torrents tell nothing of each other.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._prefix: str | None = None
        self._one_at_a_time = Lock()

    def add(self, session: Any, params: Any, hashes: Iterable[str]) -> Any:
        """Add a torrent under its peer id, which the engine makes of its fingerprint. Blocks."""
        with self._one_at_a_time:
            if self._prefix is None:
                self._prefix = str(session.get_settings()["peer_fingerprint"])
            name = " ".join(sorted(hashes)).encode()
            digest = hashlib.blake2b(name, key=self._secret, digest_size=15).digest()
            peer_id = (self._prefix + base64.urlsafe_b64encode(digest).decode())[:_PEER_ID_SIZE]
            session.apply_settings({"peer_fingerprint": peer_id})
            return session.add_torrent(params)
