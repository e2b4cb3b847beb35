"""The places a file comes from: each is one link, with patience of its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chilly_movies.errors import DownloadError, SourceUnavailable
from chilly_movies.jobs.secrets import Secret

_WORTH_IT = 64 * 1024
"""Bytes; a connection that brought so many was no failure, however it ended."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for, in one run of a job.

    Attributes:
        silence: seconds without a byte after which a connection is given up.
        connect: seconds a connection may take to be made.
        tries: how often in a row a server may send nothing until it is given up.
        pause: seconds until it is asked again, doubled each time.
        longest_pause: and never more than so many.
        longest_wish: seconds; a server that wants to be left alone for longer is given up.
    """

    silence: float = 30.0
    connect: float = 10.0
    tries: int = 4
    pause: float = 0.5
    longest_pause: float = 8.0
    longest_wish: float = 20.0


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one version of a file from another (RFC 9110, 8.8).

    Attributes:
        etag: its entity tag as it was sent, None if there was none.
        modified: its Last-Modified, as it was sent.
        size: bytes, None if they are not known.
    """

    etag: str | None = None
    modified: str | None = None
    size: int | None = None

    @property
    def condition(self) -> str | None:
        """What an If-Range is made of: a strong tag, else a date; None if there is neither."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified

    def differs(self, other: Version) -> bool:
        """Whether the two cannot be of the same bytes."""
        if None not in (self.size, other.size) and self.size != other.size:
            return True
        if self.etag is not None and other.etag is not None:
            return self.etag.removeprefix("W/") != other.etag.removeprefix("W/")
        return None not in (self.modified, other.modified) and self.modified != other.modified


@dataclass(eq=False, slots=True)
class Host:
    """One place the bytes come from.

    Attributes:
        link: as it was given, without user name and password.
        secret: what its server alone is told.
        most: connections it bears.
        patience: how long it is waited for.
        final: where the link led to, None = it has to be followed.
        ranges: whether its server sends parts, None if that is not known yet.
        version: of the file that it has.
        rests_until: it is not asked before, by a clock that only grows.
        problem: why it sent nothing the last time, None if it did send.
        given_up: what ended it for this run.
        gained: bytes it sent in this run.
    """

    link: str
    secret: Secret | None = field(default=None, repr=False)
    most: int = 1
    patience: Patience = field(default_factory=Patience)
    final: str | None = None
    ranges: bool | None = None
    version: Version = field(default_factory=Version)
    rests_until: float = 0.0
    problem: DownloadError | None = None
    given_up: DownloadError | None = None
    gained: int = 0
    _failures: int = 0

    @property
    def name(self) -> str:
        """The server's name or address, for people."""
        return urlsplit(self.link).netloc.rpartition("@")[2]

    def has_room(self, running: int, now: float) -> bool:
        """Whether one connection more may be opened, beside so many."""
        most = 1 if self.ranges is not True else self.most
        return self.given_up is None and running < most and now >= self.rests_until

    def sent(self, count: int, new: int) -> None:
        """Bytes came from it, of which some were not there before."""
        self.gained += count
        if new:
            self._failures, self.problem = 0, None

    def failed(self, error: DownloadError, now: float, *, moved: int, others: int) -> None:
        """A connection ended before its time.

        Args:
            error: why.
            now: seconds that only grow.
            moved: bytes that it brought and that were not there before.
            others: how many of its connections go on. A server that refuses the next one bears no
                more than these.
        """
        stale = self.final not in (None, self.link) and not error.retryable
        self.problem, self.final = error, None
        asked = error.retry_after if isinstance(error, SourceUnavailable) else None
        patience = self.patience
        if not (error.retryable or stale):  # a place the link led to may be for a while only
            self.given_up = error
        if moved and error.retryable:
            self.rests_until = now + (asked or (0.0 if moved >= _WORTH_IT else patience.pause))
            return
        if others:
            self.most = max(1, min(self.most, others))
            self.rests_until = now + (asked or patience.longest_pause)
            return
        self._failures += 1
        pause = min(patience.longest_pause, patience.pause * 2 ** (self._failures - 1))
        if self._failures >= patience.tries or (asked or 0.0) > patience.longest_wish:
            self.given_up = error
        self.rests_until = now + max(pause, asked or 0.0)


def why_nothing(hosts: list[Host], now: float) -> str | None:
    """One clause for why nothing comes, None if no place has said why."""
    troubled = [host for host in hosts if host.problem is not None and host.given_up is None]
    if not troubled:
        return None
    host = min(troubled, key=lambda one: one.rests_until)
    seconds = max(0.0, host.rests_until - now)
    again = f"; it is asked again in {seconds:.0f} s" if seconds >= 1 else ""
    return f"{str(host.problem).removesuffix('.')}{again}"


def why_dropped(hosts: list[Host]) -> str | None:
    """One clause for why places of several are asked no more, None if all still are."""
    found = [str(host.given_up).removesuffix(".") for host in hosts if host.given_up is not None]
    return "; ".join(found[:2]) if found and len(hosts) > 1 else None


def worst(hosts: list[Host]) -> DownloadError:
    """What ends an attempt in which no place is left: an error that may pass, if there is one."""
    found = [host.given_up for host in hosts if host.given_up is not None]
    found.sort(key=lambda error: not error.retryable)
    return found[0] if found else SourceUnavailable("The link's server sends nothing.")
