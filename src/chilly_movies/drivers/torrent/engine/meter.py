"""Bytes per second, from a counter that may begin anew."""

from __future__ import annotations

from collections import deque

_METER_SECONDS = 2.0


class Sum:
    """The sum of a counter that begins anew when a torrent was paused.

    Attributes:
        total: what it counted in all.
    """

    def __init__(self) -> None:
        self._counted = 0
        self.total = 0

    def add(self, counted: int) -> int:
        """The sum after this value of the counter."""
        self.total += counted - self._counted if counted >= self._counted else counted
        self._counted = counted
        return self.total


class Meter(Sum):
    """Bytes per second over the last seconds.

    The engine's own figure is smoothed so much that it lags half a minute behind after each start.
    """

    def __init__(self) -> None:
        super().__init__()
        self._samples: deque[tuple[float, int]] = deque()

    def rate(self, now: float, counted: int) -> int:
        """The rate after this sample of a counter."""
        self._samples.append((now, self.add(counted)))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _METER_SECONDS:
            self._samples.popleft()
        began, first = self._samples[0]
        return int((self.total - first) / (now - began)) if now > began else 0
