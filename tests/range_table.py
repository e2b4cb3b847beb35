"""Requests for a file of `SIZE` bytes, and the exact answer RFC 9110 asks for (or allows us)."""

from __future__ import annotations

from dataclasses import dataclass

SIZE = 1_000_003
LAST = SIZE - 1
ETAG = '"etag"'
DATE = "Wed, 02 Jan 2030 12:00:00 GMT"
EARLIER = "Wed, 02 Jan 2030 11:59:59 GMT"
LATER = "Wed, 02 Jan 2030 12:00:01 GMT"
WHOLE = ((0, LAST),)


@dataclass(frozen=True)
class Case:
    """One request and its answer. `ETAG` and the dates stand for the file's own."""

    headers: tuple[tuple[str, str], ...]
    status: int
    parts: tuple[tuple[int, int], ...] = ()
    method: str = "GET"

    def __str__(self) -> str:
        shown = ", ".join(f"{name}: {value[:60]}" for name, value in self.headers)
        return f"{self.method} {shown or 'no fields'} -> {self.status}"


def asks(ranges: str, status: int, *parts: tuple[int, int]) -> Case:
    """A GET with a Range."""
    return Case((("Range", ranges),), status, parts)


def ignored(ranges: str) -> Case:
    """A GET with a Range that does not count."""
    return asks(ranges, 200, *WHOLE)


def if_range(value: str, *, matches: bool) -> Case:
    """A GET of ten bytes with an If-Range."""
    fields = (("Range", "bytes=10-19"), ("If-Range", value))
    return Case(fields, 206, ((10, 19),)) if matches else Case(fields, 200, WHOLE)


def given(name: str, value: str, status: int, method: str = "GET") -> Case:
    """A condition."""
    return Case(((name, value),), status, WHOLE if status == 200 else (), method)


SINGLE = [
    Case((), 200, WHOLE),
    asks("bytes=0-0", 206, (0, 0)),
    asks("bytes=0-99", 206, (0, 99)),
    asks("bytes=1-1", 206, (1, 1)),
    asks("bytes=500000-600000", 206, (500_000, 600_000)),
    asks(f"bytes={LAST}-{LAST}", 206, (LAST, LAST)),
    asks("BYTES=5-6", 206, (5, 6)),
    asks("bytes=0005-006", 206, (5, 6)),
    asks("bytes=5-6,", 206, (5, 6)),
    asks("bytes=,5-6", 206, (5, 6)),
    asks("bytes= 5-6", 206, (5, 6)),
    # open
    asks("bytes=0-", 206, (0, LAST)),
    asks("bytes=999000-", 206, (999_000, LAST)),
    asks(f"bytes={LAST}-", 206, (LAST, LAST)),
    # suffix
    asks("bytes=-1", 206, (LAST, LAST)),
    asks("bytes=-500", 206, (SIZE - 500, LAST)),
    asks(f"bytes=-{SIZE}", 206, (0, LAST)),
    asks(f"bytes=-{SIZE + 1}", 206, (0, LAST)),
    asks("bytes=-" + "9" * 30, 206, (0, LAST)),
    # clamped
    asks(f"bytes=999999-{SIZE}", 206, (999_999, LAST)),
    asks("bytes=999999-99999999999999999999999999", 206, (999_999, LAST)),
    asks(f"bytes=0-{SIZE * 2}", 206, (0, LAST)),
]
UNSATISFIABLE = [
    asks(f"bytes={SIZE}-", 416),
    asks(f"bytes={SIZE}-{SIZE}", 416),
    asks("bytes=" + "9" * 40 + "-", 416),
    asks("bytes=-0", 416),
    asks("bytes=-000", 416),
    asks(f"bytes={SIZE}-,-0", 416),
    asks(f"bytes=2000000-2000001,{SIZE}-", 416),
]
SEVERAL = [
    asks("bytes=0-9,100-109", 206, (0, 9), (100, 109)),
    asks("bytes=100-109,0-9", 206, (100, 109), (0, 9)),
    asks("bytes=0-9 , 100-109,-5", 206, (0, 9), (100, 109), (LAST - 4, LAST)),
    asks("bytes=0-9,10-19", 206, (0, 19)),
    asks("bytes=0-9,5-14", 206, (0, 14)),
    asks("bytes=5-14,0-9", 206, (0, 14)),
    asks("bytes=0-0,0-0,0-0", 206, (0, 0)),
    asks("bytes=0-,-1", 206, (0, LAST)),
    asks(f"bytes=0-9,{SIZE}-", 206, (0, 9)),
    asks("bytes=0-9,,,20-29", 206, (0, 9), (20, 29)),
    asks("bytes=-0,3-4", 206, (3, 4)),
    asks("bytes=" + ",".join(f"{i * 10}-{i * 10 + 1}" for i in range(16)), 206,
         *((i * 10, i * 10 + 1) for i in range(16))),
    ignored("bytes=" + ",".join(f"{i * 10}-{i * 10 + 1}" for i in range(17))),
    ignored("bytes=" + ",".join(f"{i}-" for i in range(6000))),
    ignored("bytes=" + ",".join(["0-"] * 6000)),
]  # fmt: skip
INVALID = [
    ignored("bytes=5-2"),
    ignored("bytes=abc"),
    ignored("bytes=1-b"),
    ignored("bytes="),
    ignored("bytes=,"),
    ignored("bytes=-"),
    ignored("bytes=--5"),
    ignored("bytes=-5-"),
    ignored("bytes=+1-2"),
    ignored("bytes=0x1-2"),
    ignored("bytes=1 - 2"),
    ignored("bytes=1.5-2"),
    ignored("bytes 0-9"),
    ignored("0-9"),
    ignored("items=0-9"),
    ignored("seconds=1-2"),
    ignored("bytes=0-9,x"),
    ignored("bytes=0-9,9-5"),
    Case((("Range", "bytes=0-9"), ("Range", "bytes=20-29")), 200, WHOLE),
]
IF_RANGE = [
    if_range(ETAG, matches=True),
    if_range(f"W/{ETAG}", matches=False),
    if_range('"other"', matches=False),
    if_range("etag", matches=False),
    if_range("*", matches=False),
    if_range(f'{ETAG}, "other"', matches=False),
    if_range(DATE, matches=True),
    if_range(EARLIER, matches=False),
    if_range(LATER, matches=False),
    if_range("yesterday", matches=False),
    Case((("If-Range", ETAG),), 200, WHOLE),
    Case((("Range", f"bytes={SIZE}-"), ("If-Range", '"other"')), 200, WHOLE),
    Case((("Range", f"bytes={SIZE}-"), ("If-Range", ETAG)), 416),
]
HEAD = [
    Case((), 200, WHOLE, "HEAD"),
    Case((("Range", "bytes=0-9"),), 200, WHOLE, "HEAD"),
    Case((("Range", f"bytes={SIZE}-"),), 200, WHOLE, "HEAD"),
    given("If-None-Match", ETAG, 304, "HEAD"),
    given("If-Match", '"other"', 412, "HEAD"),
]
CONDITIONS = [
    given("If-None-Match", ETAG, 304),
    given("If-None-Match", f"W/{ETAG}", 304),
    given("If-None-Match", f'"a", {ETAG}', 304),
    given("If-None-Match", "*", 304),
    given("If-None-Match", '"other"', 200),
    given("If-Match", ETAG, 200),
    given("If-Match", f'"a", {ETAG}', 200),
    given("If-Match", "*", 200),
    given("If-Match", f"W/{ETAG}", 412),
    given("If-Match", '"other"', 412),
    given("If-Modified-Since", DATE, 304),
    given("If-Modified-Since", LATER, 304),
    given("If-Modified-Since", EARLIER, 200),
    given("If-Modified-Since", "nonsense", 200),
    given("If-Unmodified-Since", DATE, 200),
    given("If-Unmodified-Since", LATER, 200),
    given("If-Unmodified-Since", EARLIER, 412),
    given("If-Unmodified-Since", "nonsense", 200),
    # If-None-Match wins over If-Modified-Since, If-Match over If-Unmodified-Since
    Case((("If-None-Match", '"other"'), ("If-Modified-Since", LATER)), 200, WHOLE),
    Case((("If-Match", ETAG), ("If-Unmodified-Since", EARLIER)), 200, WHOLE),
    # conditions come before ranges
    Case((("If-None-Match", ETAG), ("Range", "bytes=0-9")), 304),
    Case((("If-Match", '"other"'), ("Range", "bytes=0-9")), 412),
    Case((("If-Match", ETAG), ("Range", "bytes=0-9")), 206, ((0, 9),)),
]
CASES = [*SINGLE, *UNSATISFIABLE, *SEVERAL, *INVALID, *IF_RANGE, *HEAD, *CONDITIONS]
EMPTY = [
    Case((), 200),
    asks("bytes=0-", 416),
    asks("bytes=0-0", 416),
    asks("bytes=-0", 416),
    asks("bytes=-5", 200),
    asks("bytes=5-2", 200),
    Case((), 200, (), "HEAD"),
    given("If-None-Match", "*", 304),
]
"""The same for a file without a byte."""
