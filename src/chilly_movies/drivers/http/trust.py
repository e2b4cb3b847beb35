"""What is believed of the bytes that several places send, and which place is dropped for them.

With hashes of pieces each piece is compared as soon as it is there. Without them a place is
believed once a sample of what it has is like what came from others; and if the whole film does not
have its checksum, what one place sent is fetched again from the others, place by place, until the
one is found whose bytes were different. It is dropped alone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from functools import partial

from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.http.arrival import Arrival
from chilly_movies.drivers.http.hosts import Host
from chilly_movies.drivers.http.pieces import PieceCheck
from chilly_movies.drivers.http.provenance import Provenance
from chilly_movies.drivers.http.requests import Answer, Requests
from chilly_movies.drivers.http.spans import Spans
from chilly_movies.errors import SourceRejected

_SAMPLE = 64 * 1024
_BLOCK = 1 << 20
_WRONG = 3
"""How often a piece of several places may be wrong until all of them are dropped."""


class Trust:
    """Judges the places of one file.

    Args:
        arrival: the file.
        hosts: its places; the list may grow.
        check: the hashes of its pieces, None if they are not known.
    """

    def __init__(self, arrival: Arrival, hosts: list[Host], check: PieceCheck | None) -> None:
        self._arrival, self._hosts, self._check = arrival, hosts, check
        self._sent = Provenance()
        self._due: deque[int] = deque()
        self._wrong: dict[int, int] = {}
        self._believed: set[Host] = set()
        self._asked_again: set[Host] = set()
        self._held: tuple[Host, list[tuple[int, int, bytes]]] | None = None
        arrival.right = None if check is None else check.right
        arrival.step = 1 if check is None else check.length
        for begin, end in arrival.spans:
            self._take_due(begin, end)

    # --- pieces -----------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether pieces are there that were not compared yet."""
        return bool(self._due)

    def wrote(self, host: Host, begin: int, end: int) -> None:
        """Bytes came from a place, and are written."""
        if len(self._hosts) > 1:
            self._sent.note(host, begin, end)
        self._take_due(begin, end)

    def _take_due(self, begin: int, end: int) -> None:
        if self._check is not None:
            spans = self._arrival.spans
            covers = self._check.take_due(begin, end, lambda b, e: spans.run_from(b) >= e)
            self._due.extend(covers)

    async def compare(self) -> None:
        """Compares the pieces that are there; a wrong one is fetched again.

        Raises:
            DiskError: the disk refused.
        """
        check, arrival = self._check, self._arrival
        while check is not None and self._due:
            number = self._due[0]
            begin, end = check.span(number)
            digest = await on_disk(partial(_digest, check, arrival, begin, end))
            self._due.popleft()
            if not check.judge(number, digest):
                self._refuse(number, begin, end)
            arrival.tell()

    def _refuse(self, number: int, begin: int, end: int) -> None:
        """Forget a wrong piece; of several places that it is from, nobody knows which was wrong."""
        senders = self._sent.hosts_of(begin, end) if len(self._hosts) > 1 else self._hosts
        self._arrival.spans.remove(begin, end)
        self._arrival.wasted += end - begin
        self._wrong[number] = self._wrong.get(number, 0) + 1
        if len(senders) == 1 or self._wrong[number] >= _WRONG:
            for host in senders:
                drop(host, "sent wrong data")

    # --- samples ----------------------------------------------------------------------------

    def may_begin(self, host: Host, *, others: bool) -> bool:
        """Whether a place may be asked; while others send, not before there is a sample of them."""
        known = host in self._believed or self._check is not None
        return known or not others or self._sample(host) is not None

    async def admit(self, host: Host, requests: Requests) -> None:
        """Compare a sample of what a place has with what came from others, before the first use.

        Raises:
            SourceRejected: it has other bytes.
            DownloadError: it does not answer, or the disk refused.
        """
        if host in self._believed or self._check is not None:
            return
        sample = self._sample(host)
        if sample is not None:
            begin, end = sample
            async with requests.open(host, begin, end, None) as answer:
                theirs = await _read(answer, begin, end, requests)
            ours = await on_disk(lambda: self._arrival.read(begin, end))
            if theirs != ours:
                raise dropped(host, "has other bytes")
        self._believed.add(host)

    def _sample(self, host: Host) -> tuple[int, int] | None:
        """A few bytes that are there and not from this place; None if there are none."""
        others, own = Spans(self._arrival.spans), self._sent.spans_of(host)
        for begin, end in own:
            others.remove(begin, end)
        begin, end = max(others, key=lambda span: span[1] - span[0], default=(0, 0))
        enough = min(_SAMPLE, self._arrival.size or 0)
        return (end - enough, end) if 0 < enough <= end - begin else None

    # --- the whole --------------------------------------------------------------------------

    @property
    def knows_all(self) -> bool:
        """Whether it is known of every byte who sent it; what came in an earlier run is not."""
        return self._sent.total >= self._arrival.spans.total

    async def suspect(self) -> bool:
        """Give up what one place sent, to fetch it again from others; False if that is no use.

        Raises:
            DiskError: the disk refused.
        """
        for host in self._sent.senders:
            others = [one for one in self._hosts if one is not host and one.given_up is None]
            if host in self._asked_again or not others:
                continue
            self._asked_again.add(host)
            spans = list(self._sent.spans_of(host))
            self._held = host, await on_disk(partial(self._digests, spans))
            for begin, end in spans:
                self._arrival.spans.remove(begin, end)
                self._arrival.wasted += end - begin
            host.given_up = SourceRejected(
                f"The film does not have its checksum, and nobody but {host.name} sends it all."
            )
            return True
        return False

    async def settle(self) -> None:
        """Compare what the others sent with what the suspected place had sent.

        Raises:
            DiskError: the disk refused.
        """
        if self._held is None:
            return
        (host, before), self._held = self._held, None
        spans = [(begin, end) for begin, end, _ in before]
        if await on_disk(partial(self._digests, spans)) == before:
            host.given_up = None
        else:
            drop(host, "sent other bytes than the others")

    def _digests(self, spans: list[tuple[int, int]]) -> list[tuple[int, int, bytes]]:
        """The hash of each block of some ranges. Blocks."""
        blocks = [
            (begin, min(last, begin + _BLOCK))
            for first, last in spans
            for begin in range(first, last, _BLOCK)
        ]
        return [(b, e, hashlib.sha256(self._arrival.read(b, e)).digest()) for b, e in blocks]


def _digest(check: PieceCheck, arrival: Arrival, begin: int, end: int) -> bytes:
    return check.digest(arrival.read(begin, end))


def dropped(host: Host, why: str) -> SourceRejected:
    """The error of a place that is asked no more."""
    return SourceRejected(f"{host.name} {why}, and is asked no more.")


def drop(host: Host, why: str) -> None:
    """Ask a place no more in this run."""
    if host.given_up is None or isinstance(host.given_up, SourceRejected):
        host.given_up = dropped(host, why)


async def _read(answer: Answer, begin: int, end: int, requests: Requests) -> bytes:
    """The bytes of a range out of an answer that may begin before it."""
    data, skip = b"", begin - answer.part.begin
    while len(data) < skip + end - begin:
        block = await answer.block(1, 0.0, requests.patience.silence)
        if not block:
            break
        data += bytes(block)
    return data[skip : skip + end - begin]
