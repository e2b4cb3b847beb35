"""How fast all drivers together may be: one limit for each direction, which may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_RATE = 2**31 - 1
"""Bytes per second; the torrent engine counts no further."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A limit for each direction, in bytes per second; 0 = unlimited."""

    download: int = 0
    upload: int = 0


class SpeedLimiter:
    """The present limit of all traffic; whoever sends asks it, and is told when it changes.

    Args:
        usual: the limit as long as nobody sets another.

    Attributes:
        usual: the same.
        rates: the present one.
    """

    def __init__(self, usual: Rates | None = None) -> None:
        self.usual = self.rates = usual or Rates()
        self._subscribers: list[Callable[[], None]] = []

    def set(self, rates: Rates) -> None:
        """Lets a limit hold from now on."""
        if rates != self.rates:
            self.rates = rates
            for changed in tuple(self._subscribers):
                changed()

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Calls `changed` after each change; how it is now the subscriber asks."""
        self._subscribers.append(changed)

    def unsubscribe(self, changed: Callable[[], None]) -> None:
        """Calls it no more. Idempotent."""
        if changed in self._subscribers:
            self._subscribers.remove(changed)
