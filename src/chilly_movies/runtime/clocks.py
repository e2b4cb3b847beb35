"""Two clocks: the time of day, which people set and which may leap, and one that only grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

_BOOT = getattr(time, "CLOCK_BOOTTIME", None)
_SET_BACK = 2.0
"""Seconds; less than that clocks are set by those that keep them right."""


def utc_now() -> datetime:
    """The time of day: for what people read."""
    return datetime.now(UTC)


def steady() -> float:
    """Seconds that only grow, where the system tells also while the machine sleeps."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)


class TimeOfDay:
    """Notices when the time of day was set back."""

    def __init__(self) -> None:
        self._ahead = time.time() - steady()

    def set_back(self) -> float:
        """By how many seconds since the last look; a little is nothing."""
        before, self._ahead = self._ahead, time.time() - steady()
        back = before - self._ahead
        return back if back > _SET_BACK else 0.0


def steady_time() -> Callable[[], float]:
    """Seconds since 1970 that follow no leap of the time of day from now on."""
    began = time.time() - steady()
    return lambda: began + steady()
