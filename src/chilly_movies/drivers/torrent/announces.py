"""Announces that trackers have not answered yet, and one peer id for each torrent.

The engine tells a tracker `stopped` (BEP 3) only if it answered the announce before, and sends it
beside whatever follows. A torrent that is taken out and added again, as each film is once it is
published, is counted twice by a tracker that hears `started` first.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

from chilly_movies.drivers.torrent.webrtc import is_websocket

_KNOWN, _UNKNOWN = 3.0, 1.0
"""Seconds a tracker is waited for that has answered before, and one that has not yet."""
_SENT_WITHIN = 0.5
_PEER_ID_SIZE = 20


class Announces:
    """What HTTP and UDP trackers were asked for one torrent, and did not answer yet.

    WebSocket trackers are left out: theirs arrive in the order in which they were sent.
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._told_all = asyncio.Event()

    @property
    def told_all(self) -> bool:
        """Whether `completed` was sent."""
        return self._told_all.is_set()

    async def until_told_all(self) -> None:
        """Wait until `completed` is sent, for half a second at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told_all.wait(), _SENT_WITHIN)

    def asked(self, url: str, event: str) -> None:
        """An announce was sent there.

        Args:
            url: of the tracker.
            event: as BEP 3 names them; anything else for none.
        """
        if not is_websocket(url):
            self._open[url] += 1
            if event == "completed":
                self._told_all.set()

    def answered(self, url: str) -> None:
        """One was answered there, or failed."""
        self._open[url] -= 1
        self._open += Counter()  # forgets what is zero
        self._news.set()

    async def settled(self, standings: Mapping[str, str | None]) -> None:
        """Wait until all are answered, for 3 s at most.

        A tracker that has not answered yet is waited for 1 s, one that failed before not at all.

        Args:
            standings: what is wrong with each tracker that has answered, None if nothing is.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        ends = {u: _UNKNOWN if u not in standings else _KNOWN for u in self._open
                if standings.get(u) is None}  # fmt: skip
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
            session.apply_settings({"peer_fingerprint": self._of(hashes, self._prefix)})
            return session.add_torrent(params)

    def _of(self, hashes: Iterable[str], prefix: str) -> str:
        name = " ".join(sorted(hashes)).encode()
        digest = hashlib.blake2b(name, key=self._secret, digest_size=15).digest()
        return (prefix + base64.urlsafe_b64encode(digest).decode())[:_PEER_ID_SIZE]
