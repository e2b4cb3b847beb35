"""Which addresses are shut out, as peers there sent wrong data. Pure.

The engine bans such a peer by its address and port, for several peers may share an address: a
family behind one router. But one that comes back does so from another port, and is a stranger to
the engine. So when an address is caught twice in one torrent, it is shut out for a while. The
engine errs, too, and bans honest peers that filled a piece together with a liar; an address that
brought more than all that was wrong is therefore left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TERM = 900.0
"""Seconds an address is shut out."""
_FIRST_TERM = 15.0
"""The same for the first time: it may be an honest peer that filled pieces together with a liar,
and the only one that has the film."""
_TOO_OFTEN = 2
_AT_ONCE = 1.0
"""Bans within so many seconds are one: each wrong piece of a peer brings one."""
_REMEMBERED = 2000


@dataclass(slots=True)
class _BanCount:
    """How often peers of an address were banned, and when that was the last time."""

    times: int = 0
    last: float = -_AT_ONCE


class BanRecord:
    """What the addresses of one torrent did."""

    def __init__(self) -> None:
        self._counts: dict[str, _BanCount] = {}
        self._came: dict[tuple[str, int], int] = {}

    def note(self, came: Mapping[tuple[str, int], int]) -> None:
        """So many bytes came over each connection there is."""
        for peer, count in came.items():
            known = self._came.pop(peer, 0)
            if count or known:
                self._came[peer] = max(count, known)
        _shorten(self._came)

    def came_from(self, address: str) -> int:
        """Bytes that came from an address, right or wrong."""
        return sum(count for (host, _), count in self._came.items() if host == address)

    def count(self, address: str, now: float) -> bool:
        """A peer at this address was banned; whether that happens too often."""
        known = self._counts.pop(address, None) or _BanCount()
        self._counts[address] = known  # at the end: the first ones are forgotten first
        _shorten(self._counts)
        known.times += now - known.last >= _AT_ONCE
        known.last = now
        return known.times >= _TOO_OFTEN


class Bans:
    """The addresses nobody talks to, whatever the torrent."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._for_good: dict[str, None] = {}
        self._pardoned: dict[str, None] = {}
        self._served: dict[str, None] = {}

    def pardon(self, address: str) -> bool:
        """Returns whether this is the first time that an address is pardoned."""
        known = address in self._pardoned
        self._pardoned[address] = None
        _shorten(self._pardoned)
        return not known

    def ban_for_good(self, address: str) -> None:
        """Ban the address without end: its user wants that."""
        self._for_good[address] = None
        _shorten(self._for_good)

    def ban(self, address: str, now: float) -> bool:
        """Ban the address; returns True if it was not banned just now."""
        if address in self._until:
            return False
        self._until[address] = now + (_TERM if address in self._served else _FIRST_TERM)
        _shorten(self._until)
        return True

    def served(self, now: float) -> bool:
        """Lets addresses back whose term is over; returns whether there are any."""
        over = [address for address, until in self._until.items() if until <= now]
        for address in over:
            del self._until[address]
            self._served[address] = None
        _shorten(self._served)
        return bool(over)

    def addresses(self) -> tuple[str, ...]:
        """Those that are shut out."""
        return (*self._until, *self._for_good)


def _shorten(records: dict[Any, Any]) -> None:
    while len(records) > _REMEMBERED:
        del records[next(iter(records))]
