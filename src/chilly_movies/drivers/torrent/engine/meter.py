"""Bytes per second, from a counter that may begin anew."""

from __future__ import annotations

from collections import deque

_METER_SECONDS = 2.0


class Meter:
    """Bytes per second over the last seconds.

    The engine's own figure is smoothed so much that it lags half a minute behind after each start.

    Attributes:
        total: bytes in all; the engine's counter begins anew when a torrent was paused.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self._counted = 0
        self.total = 0

    def rate(self, now: float, counted: int) -> int:
        """The rate after this sample of a counter."""
        self.total += counted - self._counted if counted >= self._counted else counted
        self._counted = counted
        self._samples.append((now, self.total))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _METER_SECONDS:
            self._samples.popleft()
        began, first = self._samples[0]
        return int((self.total - first) / (now - began)) if now > began else 0
