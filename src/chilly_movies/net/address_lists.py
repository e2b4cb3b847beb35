"""Lists of addresses that people keep: block lists and allow lists. Pure but for reading a file.

Formats, mixed as you like, compressed with gzip or not:

    name:1.2.3.4-1.2.3.8               PeerGuardian text (.p2p)
    1.2.3.4 - 1.2.3.8 , 000 , name     eMule (.dat); levels above 127 are not blocked
    1.2.3.0/24                         CIDR, or one address; IPv6, too
    # ; //                             remarks
"""

from __future__ import annotations

import bisect
import gzip
import io
import ipaddress
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 2_000_000
_MAX_LINE = 1000
_MAX_BYTES = 512 * 1024 * 1024
_HALF = 1 << 64
_MASK = _HALF - 1
_GZIP = b"\x1f\x8b"
_V4 = r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})"
_P2P = re.compile(rf"(?:.*:)?\s*{_V4}\s*-\s*{_V4}\s*")
_DAT = re.compile(rf"\s*{_V4}\s*-\s*{_V4}\s*,\s*(\d+)\s*(?:,.*)?")
_PAIR_V6 = re.compile(r"\[?([0-9a-fA-F:.]+)\]?\s*-\s*\[?([0-9a-fA-F:.]+)\]?")
_ALLOWED_LEVEL = 127
_REMARKS = ("#", ";", "//")


class Ranges:
    """Ranges of addresses, sorted and without overlap: 8 bytes for an IPv4 one, 32 for IPv6."""

    def __init__(self, v4: Iterable[tuple[int, int]], v6: Iterable[tuple[int, int]]) -> None:
        self._v4_first, self._v4_last = array("I"), array("I")
        for first, last in _merged(v4):
            self._v4_first.append(first)
            self._v4_last.append(last)
        self._v6 = [array("Q") for _ in range(4)]
        for first, last in _merged(v6):
            for part, value in zip(
                self._v6, (first >> 64, first & _MASK, last >> 64, last & _MASK), strict=True
            ):
                part.append(value)

    def __len__(self) -> int:
        return len(self._v4_first) + len(self._v6[0])

    def __contains__(self, address: str) -> bool:
        """Whether an address, as text, is in one of them."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        number = int(ip)
        if ip.version == 4:
            at = bisect.bisect_right(self._v4_first, number) - 1
            return at >= 0 and number <= self._v4_last[at]
        at = bisect.bisect_right(range(len(self._v6[0])), number, key=self._v6_first) - 1
        return at >= 0 and number <= self._v6_last(at)

    def _v6_first(self, at: int) -> int:
        return int(self._v6[0][at]) * _HALF + self._v6[1][at]

    def _v6_last(self, at: int) -> int:
        return int(self._v6[2][at]) * _HALF + self._v6[3][at]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """First and last address of each, as text."""
        for first, last in zip(self._v4_first, self._v4_last, strict=True):
            yield _dotted(first), _dotted(last)
        for at in range(len(self._v6[0])):
            yield (
                str(ipaddress.IPv6Address(self._v6_first(at))),
                str(ipaddress.IPv6Address(self._v6_last(at))),
            )


@dataclass(frozen=True, slots=True)
class AddressList:
    """What a list says.

    Attributes:
        ranges: the addresses.
        malformed: lines that say nothing we understand.
        first_malformed: the number of the first of them, 0 if there is none.
        cut: it has more than `MAX_LINES` lines, and the others were not read.
    """

    ranges: Ranges
    malformed: int = 0
    first_malformed: int = 0
    cut: bool = False


def read_list(path: Path) -> AddressList:
    """Read a list; malformed lines are counted and left out.

    Raises:
        OSError: the file cannot be read, or is no gzip although it looks like it.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        try:
            return parse_lines(_lines(gzip.GzipFile(fileobj=raw) if packed else raw))
        except (EOFError, zlib.error) as error:
            raise OSError(0, f"the gzip file is broken ({error})") from None


def parse_lines(lines: Iterable[bytes]) -> AddressList:
    """The list that these lines are."""
    v4: array[int] = array("Q")
    v6: list[tuple[int, int]] = []
    malformed = first_malformed = number = 0
    cut = False
    for number, line in enumerate(lines, 1):
        if number > MAX_LINES:
            cut = True
            break
        try:
            found = _range(line)
        except ValueError:
            malformed += 1
            first_malformed = first_malformed or number
            continue
        if found is None:
            continue
        version, first, last = found
        if version == 4:
            v4.append(first << 32 | last)
        else:
            v6.append((first, last))
    pairs = ((both >> 32, both & 0xFFFFFFFF) for both in sorted(v4))
    return AddressList(Ranges(pairs, sorted(v6)), malformed, first_malformed, cut)


def _lines(file: io.BufferedIOBase) -> Iterator[bytes]:
    """Lines of a bounded length from a bounded file."""
    read, left = file.readline, _MAX_BYTES
    while left > 0 and (line := read(_MAX_LINE)):
        left -= len(line)
        yield line
        while not line.endswith(b"\n") and (line := read(_MAX_LINE)):
            left -= len(line)  # the rest of a line that is too long says nothing


def _range(raw: bytes) -> tuple[int, int, int] | None:
    """Version, first and last address of a line, None if it is a remark or blocks nothing.

    Raises:
        ValueError: it is malformed.
    """
    line = raw.decode("utf-8", "replace").replace("\0", "").strip(" \t\r\n\ufeff")
    if not line or line.startswith(_REMARKS):
        return None
    if match := _DAT.fullmatch(line):
        found = _v4_pair(match.groups()[:8])
        return None if int(match[9]) > _ALLOWED_LEVEL else found
    if match := _P2P.fullmatch(line):
        return _v4_pair(match.groups())
    bare = re.split(r"\s*(?:#|;|//)", line)[0]
    if "-" not in bare:
        network = ipaddress.ip_network(bare, strict=False)
        return network.version, int(network[0]), int(network[-1])
    if match := _PAIR_V6.fullmatch(bare):
        first, last = (int(ipaddress.IPv6Address(match[i])) for i in (1, 2))
        return _ordered(6, first, last)
    raise ValueError("neither a range nor a network")


def _v4_pair(parts: tuple[str, ...]) -> tuple[int, int, int]:
    octets = [int(part) for part in parts]  # leading zeros are decimal in these files
    if max(octets) > 255:
        raise ValueError("no address")
    first, last = (int.from_bytes(bytes(octets[i : i + 4]), "big") for i in (0, 4))
    return _ordered(4, first, last)


def _ordered(version: int, first: int, last: int) -> tuple[int, int, int]:
    if first > last:
        raise ValueError("the last address is before the first")
    return version, first, last


def _merged(pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Sorted pairs as ranges that neither overlap nor touch."""
    began: int | None = None
    ended = -1
    for first, last in pairs:
        if began is not None and first <= ended + 1:
            ended = max(ended, last)
            continue
        if began is not None:
            yield began, ended
        began, ended = first, last
    if began is not None:
        yield began, ended


def _dotted(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
