"""Notices connections that died without a word, and says whom to call again. Pure figures.

A network that was away for half a minute leaves connections behind that both sides believe in.
TCP sends on them ever more rarely, so that data comes back as long after the network as it was
away; and peers that could not be reached three times the engine never asks again: neither those
who were good nor those a link names, who may be all there are and not be up yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SILENCE = 12.0
"""Seconds in which peers that owe us data send nothing at all, until they are called anew."""
_RARELY = 60.0
"""After calls in vain the next ones come ever later, up to so many seconds."""
_CALL = 2.0
"""Seconds between two calls to peers that were good, while nobody is connected."""
_OFTEN = 60
"""So many calls in a row come quickly: two minutes."""
_PATIENTLY = 4.0
"""Seconds until the first call to those a link names; the next ones come ever later."""
_LONGEST_STEP = 2.0
"""A longer time between two calls of ours is our own sleep, and no silence of others."""
_KNOWN = 20

Address = tuple[str, int]


class DeadPeerWatch:
    """Watches one torrent's connections.

    Args:
        named: peers of the link or the resume data; nobody knows yet whether they are good.
    """

    def __init__(self, named: Sequence[Address] = ()) -> None:
        self._named = tuple(named[-_KNOWN:])
        self._known: dict[Address, None] = {}
        self._received = 0
        self._last = float("inf")
        self._silent = 0.0
        self._patience = _SILENCE
        self._alone = 0.0
        self._calls = 0

    def remember(self, peers: Iterable[Address]) -> None:
        """These sent us data, and can be called."""
        for peer in peers:
            self._known.pop(peer, None)
            self._known[peer] = None
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]

    def is_gone(self, now: float, received: int, *, owed: bool) -> bool:
        """Whether to end all connections and make new ones.

        Args:
            now: seconds of a monotonic clock.
            received: bytes that ever arrived.
            owed: somebody who lets us was asked for data and has not sent it.
        """
        passed = self._passed(now)
        if received != self._received or not owed:
            if received != self._received:
                self._patience = _SILENCE
            self._received, self._silent = received, 0.0
            self._alone, self._calls = 0.0, 0
            return False
        self._silent += passed
        if self._silent < self._patience:
            return False
        self._silent, self._patience = 0.0, min(_RARELY, 2 * self._patience)
        return True

    def to_call(self, now: float) -> tuple[Address, ...]:
        """Whom to call while nobody is connected."""
        self._alone += self._passed(now)
        known = tuple({**dict.fromkeys(self._named), **self._known})
        pause = _CALL if self._calls < _OFTEN else _RARELY
        if not self._known:
            pause = min(_RARELY, _PATIENTLY * 2.0 ** min(self._calls, 10))
        if not known or self._alone < pause:
            return ()
        self._alone, self._calls = 0.0, self._calls + 1
        return known

    def _passed(self, now: float) -> float:
        passed, self._last = max(0.0, now - self._last), now
        return min(passed, _LONGEST_STEP)
