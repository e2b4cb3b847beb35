"""How the trackers of one torrent answered, and what of their words is repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine.engine_errors import why_tracker

_MOST_SIGNS = 200
_OUTDATED = 7200.0
"""Seconds after which an answer says nothing any more beside one over another address."""
_TRACKER_REFUSED, _NOT_REACHED = 173, 180
_FROM_NOWHERE = "no address of this machine reaches it"

Endpoint = tuple[tuple[str, int], str]
"""The address of this machine that asked, and the version of the hash that it asked for."""


def words(text: str) -> str:
    """What a stranger says, in one line of at most 200 signs without control characters."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 8 * _MOST_SIGNS])
    line = " ".join(shown.split())
    return line if len(line) <= _MOST_SIGNS else line[: _MOST_SIGNS - 1].rstrip() + "…"


def problem_of(error: lt.error_code, said: str) -> str:
    """Why an announce failed: the tracker's words, or else the engine's.

    Args:
        error: the engine's code.
        said: what the tracker answered. Of a UDP tracker's words the engine keeps none.
    """
    if text := words(said):
        return text
    known = {_TRACKER_REFUSED: "it refused", _NOT_REACHED: _FROM_NOWHERE}
    own = known.get(error.value()) if error.category().name() == "libtorrent" else None
    return own or why_tracker(error)


def warning_of(message: str, url: str) -> str:
    """A tracker's warning, which no field of the alert holds.

    Args:
        message: the alert's, which is `name (url)[address-version] warning: words`.
        url: of the tracker.
    """
    return message.partition(f"({url})[")[2].partition("] warning: ")[2]


def endpoint_of(alert: Any) -> Endpoint:
    """Over which address of this machine a tracker was asked, and for which hash."""
    return alert.local_endpoint, alert.version.name


@dataclass(frozen=True, slots=True)
class TrackerStanding:
    """How a tracker last answered.

    Attributes:
        peers: how many it named.
        problem: what went wrong, None if it answered.
        warning: what it says besides its answer, None if nothing.
    """

    peers: int = 0
    problem: str | None = None
    warning: str | None = None


class Standings:
    """The last answers of a torrent's trackers over each address of this machine.

    A machine may have addresses that do not reach a tracker (a bridge of containers, a VPN, IPv6
    beside IPv4): it failed only if it did over all of them.

    Attributes:
        by_url: the best standing of each tracker.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.by_url: dict[str, TrackerStanding] = {}
        self._clock = clock
        self._over: dict[str, dict[Endpoint, tuple[float, TrackerStanding]]] = {}
        self._warnings: dict[tuple[str, Endpoint], str] = {}

    def warned(self, url: str, over: Endpoint, text: str) -> None:
        """Notes a warning, which belongs to the answer that comes right after it."""
        self._warnings[url, over] = words(text)

    def forget(self, urls: Iterable[str]) -> None:
        """These trackers are the torrent's no more."""
        for url in urls:
            self.by_url.pop(url, None)
            self._over.pop(url, None)

    def answered(self, url: str, over: Endpoint, standing: TrackerStanding) -> None:
        """Notes an answer, or a failure."""
        warning = self._warnings.pop((url, over), None)
        now, known = self._clock(), self._over.setdefault(url, {})
        known.pop(over, None)  # the newest stands last
        known[over] = (now, replace(standing, warning=warning or None))
        fresh = [one for when, one in known.values() if now - when < _OUTDATED]
        good = [one for one in fresh if one.problem is None]
        # that one address does not lead there says less than what came over another
        told = [one for one in fresh if one.problem != _FROM_NOWHERE]
        self.by_url[url] = max(good, key=lambda one: one.peers) if good else (told or fresh)[-1]
