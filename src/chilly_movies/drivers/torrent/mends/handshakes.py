"""WebRTC handshakes of one torrent: what became of them, and when to make new offers. Pure.

A WebRTC connection begins with an offer and an answer that pass through a WebSocket tracker. One
in about 25 with Node peers gets stuck after the answer, and the engine itself makes new offers only
at the tracker's interval, two minutes. So we ask for new offers when a handshake got stuck, and,
less and less often, while nobody is connected: at first more often if somebody was, as a browser
whose connection broke in mid-film is still there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_STUCK_AFTER = 8.0
"""Seconds from an answer to its connection after which we give up; 0.1 to 2 are usual."""
_PAUSES = (5.0, 10.0, 20.0, 40.0, 80.0, 120.0)
"""Seconds between announces while nobody is connected; trackers ask for 120."""
_AFTER_LOSS = (2.0, 2.0, 4.0, 8.0, *_PAUSES[2:])
"""The same after the last peer was lost in mid-film. The first counts from the announce before the
loss, so new offers are made at once as a rule, and then after 2, 4 and 8 s."""

_ANSWERED = "*** RTC signaling processing remote answer"
_OFFERED = "*** RTC signaling processing remote offer"
_OPENED = "*** RTC data channel open"
_FAILED = "*** RTC negotiation failed"


def is_websocket(url: str) -> bool:
    """Whether the tracker is one for WebRTC peers."""
    return url.lower().startswith(("ws://", "wss://"))


@dataclass(slots=True)
class Handshakes:
    """What the engine's log said of a torrent's handshakes, and when it last announced.

    Attributes:
        answers: answers to our offers, and offers of others.
        opened: handshakes that ended in a connection.
        failed: handshakes that were given up after an answer.
    """

    answers: int = 0
    opened: int = 0
    failed: int = 0
    _waiting_since: float | None = None
    _announced_at: float | None = None
    _pause: int = 0
    _had: bool = False
    _lost: bool = False

    def heard(self, line: str, now: float) -> None:
        """Take a line of the engine's log of this torrent."""
        if line.startswith((_ANSWERED, _OFFERED)):
            self.answers += 1
            self._waiting_since = self._waiting_since or now
        elif line.startswith(_OPENED):
            self.opened += 1
            self._waiting_since = None
            self._pause = 0
        elif line.startswith(_FAILED) and self._waiting_since is not None:
            self.failed += 1

    def announced(self, now: float) -> None:
        """The engine sent an announce with offers."""
        self._announced_at = now

    def wants_offers(self, now: float, *, connected: int, finished: bool) -> bool:
        """Whether to announce again now. True starts the next, longer pause.

        Args:
            now: seconds of a monotonic clock.
            connected: WebRTC peers at the moment.
            finished: we have everything and only wait for others.
        """
        if connected:
            self._lost = False
        elif self._had and not finished:  # the last peer is gone
            self._lost, self._pause = True, 0
        self._had = connected > 0
        if self._waiting_since is not None and now - self._waiting_since > _STUCK_AFTER:
            self._waiting_since = None
            self.failed += 1
            return self._ask(now)
        if connected or self._announced_at is None:
            return False
        pauses = _AFTER_LOSS if self._lost and not finished else _PAUSES
        last = len(pauses) - 1
        if now - self._announced_at < pauses[min(max(self._pause, 1 if finished else 0), last)]:
            return False
        self._pause = min(self._pause + 1, last)
        return self._ask(now)

    def _ask(self, now: float) -> bool:
        self._announced_at = now
        return True


def why_no_peer(
    handshakes: Handshakes, trackers: Mapping[str, str | None], notes: Sequence[str]
) -> str | None:
    """One clause on why no WebRTC peer is connected, None if nothing is known.

    Args:
        handshakes: of the torrent.
        trackers: WebSocket trackers that answered, with their problem or None.
        notes: what else holds WebRTC back.
    """
    if notes:
        return notes[0]
    problems = [url for url, problem in trackers.items() if problem is not None]
    if problems and len(problems) == len(trackers):
        return f"WebRTC: the tracker {problems[0]} refuses or does not answer"
    if handshakes.failed and not handshakes.opened:
        return "WebRTC: a peer answered but no connection came about (ICE failed), trying again"
    if trackers and not handshakes.answers:
        return "WebRTC: nobody answered our offers yet"
    return None
