"""Addresses of trackers and web seeds: written as they should be, and nothing encoded twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.drivers.torrent.engine.urls import tidy_url


@pytest.mark.parametrize(
    ("written", "tidy"),
    [
        ("http://h/a%20[x].mkv", "http://h/a%20%5Bx%5D.mkv"),
        ("http://h/a b.mkv", "http://h/a%20b.mkv"),
        ("http://h/100%.mkv", "http://h/100%25.mkv"),
        ("http://h/a%2520b", "http://h/a%2520b"),
        ("http://h/é#1", "http://h/%C3%A9%231"),
        ("http://h/\udce9", "http://h/%E9"),
        ("http://h/announce ", "http://h/announce"),
        ("\r\n http://h/f\r\n", "http://h/f"),
        ("\ufeffhttp://h/f", "http://h/f"),
        ("HTTP://Host.Example:80/Path?Q=A", "http://host.example:80/Path?Q=A"),
        ("UDP://Host.Example:1", "udp://host.example:1"),
        ("http://h/a?x=1+2&y=%2f;z=(1)", "http://h/a?x=1+2&y=%2f;z=(1)"),
    ],
)  # fmt: skip
def test_only_what_an_address_cannot_hold_is_encoded(written: str, tidy: str) -> None:
    assert tidy_url(written) == tidy


@pytest.mark.parametrize("url", ["http://h/a\r\nHost: x", "http://h/a\x00b", "http://h\\@x/", "x"])
def test_what_nobody_means_is_left_to_be_refused(url: str) -> None:
    assert tidy_url(url) == url


@given(st.text(max_size=60))
def test_what_is_tidy_stays_as_it_is(rest: str) -> None:
    once = tidy_url("http://h/" + rest)
    assert tidy_url(once) == once
