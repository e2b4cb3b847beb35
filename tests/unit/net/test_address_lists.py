"""Block lists and allow lists: what their files may look like, and what is on them."""

from __future__ import annotations

import gzip
import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.net import address_lists
from chilly_movies.net.address_lists import parse_lines, read_list


def parsed(text: str) -> list[tuple[str, str]]:
    found = parse_lines(text.encode().splitlines(keepends=True))
    assert not found.malformed
    return list(found.ranges.pairs())


@pytest.mark.parametrize(
    ("line", "pair"),
    [
        ("Some: Company, Inc.:1.2.3.4-1.2.3.8", ("1.2.3.4", "1.2.3.8")),
        ("http://name.example/x:1.2.3.4-1.2.3.8", ("1.2.3.4", "1.2.3.8")),
        ("1.2.3.4-1.2.3.8", ("1.2.3.4", "1.2.3.8")),
        ("001.009.096.105 - 001.009.096.110 , 000 , Some, company", ("1.9.96.105", "1.9.96.110")),
        ("1.2.3.4 - 1.2.3.8 , 127", ("1.2.3.4", "1.2.3.8")),
        ("1.2.3.4/24", ("1.2.3.0", "1.2.3.255")),
        ("1.2.3.4  # remark", ("1.2.3.4", "1.2.3.4")),
        ("2001:db8::/32 ; remark", ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("2001:db8::1-2001:db8::5", ("2001:db8::1", "2001:db8::5")),
        ("\ufeff1.2.3.4\r", ("1.2.3.4", "1.2.3.4")),
        ("Comité\udcff:1.2.3.4-1.2.3.8".encode("utf-8", "surrogateescape").decode("latin-1"),
         ("1.2.3.4", "1.2.3.8")),
        ("0.0.0.0/0", ("0.0.0.0", "255.255.255.255")),
    ],
)  # fmt: skip
def test_each_spelling_of_a_range_is_read(line: str, pair: tuple[str, str]) -> None:
    assert parsed(line) == [pair]


@pytest.mark.parametrize("line", ["", "   ", "# x", "; x", "// x", "1.2.3.4 - 1.2.3.8 , 200 , ok"])
def test_remarks_and_levels_that_are_allowed_block_nobody(line: str) -> None:
    assert parsed(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "1.2.3.256", "1.2.3.8-1.2.3.4", "name:1.2.3.4", "1.2.3", "1.2.3.4/33", "example.org",
        "<html>", "1.2.3.4-2001:db8::1", "2001:db8::5-2001:db8::1", "999.1.1.1-999.1.1.2", ":-:",
        "1.2.3.4 - 1.2.3.300 , 0 , x", "\0\0", "-", "::fffg",
    ],
)  # fmt: skip
def test_malformed_lines_are_counted_and_the_others_hold(line: str) -> None:
    found = parse_lines([b"1.1.1.1\n", line.encode() + b"\n", b"2.2.2.2\n"])
    if line.strip("\0"):
        assert (found.malformed, found.first_malformed) == (1, 2)
    assert list(found.ranges.pairs()) == [("1.1.1.1", "1.1.1.1"), ("2.2.2.2", "2.2.2.2")]


def test_ranges_that_overlap_or_touch_become_one() -> None:
    text = "5.0.0.0/24\n5.0.1.0-5.0.1.5\n5.0.0.7\n4.0.0.0/24\n5.0.1.4-5.0.2.0\n"
    assert parsed(text) == [("4.0.0.0", "4.0.0.255"), ("5.0.0.0", "5.0.2.0")]


def test_an_address_is_found_in_every_form(tmp_path: Path) -> None:
    ranges = parse_lines([b"1.2.3.0/24\n", b"2001:db8::/64\n"]).ranges
    assert all(a in ranges for a in ("1.2.3.0", "1.2.3.255", "::ffff:1.2.3.4", "2001:db8::1%eth0"))
    assert not any(a in ranges for a in ("1.2.4.0", "1.2.2.255", "2001:db8:0:1::", "::1", "::"))


_address = st.integers(0, 2**32 - 1)
_pair = st.tuples(_address, _address).map(sorted)


@given(st.lists(_pair, max_size=30), _address)
def test_an_address_is_on_the_list_if_a_line_says_so(pairs: list[list[int]], one: int) -> None:
    lines = [f"x:{ipaddress.IPv4Address(a)}-{ipaddress.IPv4Address(b)}".encode() for a, b in pairs]
    ranges = parse_lines(lines).ranges
    for number in (one, *(edge for pair in pairs for edge in pair)):
        wanted = any(a <= number <= b for a, b in pairs)
        assert (str(ipaddress.IPv4Address(number)) in ranges) is wanted


@given(st.binary(max_size=300))
def test_no_file_whatever_breaks_the_reader(data: bytes) -> None:
    found = parse_lines(data.splitlines(keepends=True))
    assert found.malformed <= data.count(b"\n") + data.count(b"\r") + 1


def test_a_list_may_be_packed_and_one_that_is_broken_is_said_to_be(tmp_path: Path) -> None:
    packed = gzip.compress(b"a:1.2.3.4-1.2.3.8\n" * 100)
    (tmp_path / "list.gz").write_bytes(packed)
    (tmp_path / "half.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "none.gz").write_bytes(b"\x1f\x8bnothing")
    assert list(read_list(tmp_path / "list.gz").ranges.pairs()) == [("1.2.3.4", "1.2.3.8")]
    for name in ("half.gz", "none.gz", "absent"):
        with pytest.raises(OSError, match=r"gzip|No such file"):
            read_list(tmp_path / name)


def test_a_list_and_its_lines_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_lists, "MAX_LINES", 3)
    (tmp_path / "list").write_bytes(b"x" * 100_000 + b"\n1.1.1.1\n2.2.2.2\n3.3.3.3\n")
    found = read_list(tmp_path / "list")
    assert (len(found.ranges), found.malformed, found.cut) == (2, 1, True)
