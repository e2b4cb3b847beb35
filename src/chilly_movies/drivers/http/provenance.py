"""Which place sent which bytes of a file. Pure."""

from __future__ import annotations

from chilly_movies.drivers.http.hosts import Host
from chilly_movies.drivers.http.spans import Spans


class Provenance:
    """Knows for each byte that came in this run who sent it last."""

    def __init__(self) -> None:
        self._spans: dict[Host, Spans] = {}

    def note(self, host: Host, begin: int, end: int) -> None:
        """A place sent a range of bytes."""
        for other, spans in self._spans.items():
            if other is not host:
                spans.remove(begin, end)
        self._spans.setdefault(host, Spans()).add(begin, end)

    def hosts_of(self, begin: int, end: int) -> list[Host]:
        """Who sent bytes of a range."""
        return [
            host
            for host, spans in self._spans.items()
            if (gap := spans.gap_from(begin, end)) is None or gap != (begin, end)
        ]

    def spans_of(self, host: Host) -> Spans:
        """What a place sent, and nobody sent again since; a copy."""
        return Spans(self._spans.get(host, Spans()))

    @property
    def total(self) -> int:
        """How many bytes it knows the senders of."""
        return sum(spans.total for spans in self._spans.values())

    @property
    def senders(self) -> list[Host]:
        """All places that bytes are from, the one with the fewest first."""
        found = [host for host, spans in self._spans.items() if spans.total]
        return sorted(found, key=lambda host: self._spans[host].total)
