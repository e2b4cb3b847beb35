"""Magnet links as people paste them: what is in them is found, whatever is around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.engine import gate
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.magnets import read_magnet
from chilly_movies.errors import InvalidRequest, InvalidSource
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import MAX_FILES, Options
from chilly_movies.jobs.start_request import parse

V1 = "145a73e4e56a7b54f636ffb3c24ea103ad3133a9"
MAGNET = f"magnet:?xt=urn:btih:{V1}"


def source(text: str) -> Source:
    """What becomes of a pasted link at the door."""
    found = parse({"sourceUrn": text}).source
    assert found is not None
    return found


def built(text: str, **options: Any) -> lt.add_torrent_params:
    folder = Path("/save")
    return p.build(p.AddRequest(source(text), folder, folder, Options(**options)))


@pytest.mark.parametrize(
    "text",
    [
        f"MAGNET:?XT=URN:BTIH:{V1.upper()}", f"magnet:?&xt=urn:btih:{V1}", f"{MAGNET}#top",
        f"{V1}#top", f"URN:BTIH:{V1}", f"magnet:/?xt=urn:btih:{V1}",
        f"magnet://?xt=urn:btih:{V1}", f"magnet:///?xt=urn:btih:{V1}", f"magnet:xt=urn:btih:{V1}",
        f"magnet:?dn=x&amp;xt=urn:btih:{V1}&amp;", f"magnet:?dn=x&amp;amp;xt=urn:btih:{V1}",
        f"magnet:?dn=x&#38;xt=urn:btih:{V1}", f"{MAGNET}%20", f"{MAGNET}%20&dn=x",
        f"magnet:?xt=%20urn%3Abtih%3A{V1}", f"magnet%3A%3Fxt%3Durn%3Abtih%3A{V1}%26dn%3Dx",
        f"\ufeff{MAGNET}", f"{MAGNET}\u200b", f"magnet:?xt=urn:btih:\u200b{V1}", f'"{MAGNET}"',
        f"'{MAGNET}'", f"`{MAGNET}`", f"<{MAGNET}>", f"\u201c{MAGNET}\u201d", f" {MAGNET}\r\n",
        f'"{V1}"', f"magnet:?xt=urn:btih:{V1[:20]}\r\n  {V1[20:]}", f"magnet:?\nxt=urn:btih:{V1}",
        f"magnet:?empty&xt=urn:btih:{V1}", f"magnet:?XT.1=urn:btih:{V1}",
    ],
)  # fmt: skip
def test_a_magnet_is_found_in_whatever_was_copied_with_it(text: str) -> None:
    assert p.identify(source(text)).identities == (f"btih:{V1}",)


@pytest.mark.parametrize(
    ("sign", "told"), [("\x00", "U+0000"), ("\x1b", "U+001B"), ("\u202e", "U+202E")]
)
def test_a_sign_that_no_link_has_is_named_with_its_place(sign: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match="no link has") as refused:
        source(f"{MAGNET}{sign}&dn=x")
    assert f"{told} at place {len(MAGNET) + 1}." in str(refused.value)


def test_quotes_within_a_name_stay() -> None:
    assert source("magnet:?dn='a'&xt=urn:btih:" + V1).urn.startswith("magnet:?dn='a'&")
    assert source(f"{MAGNET}&dn='a'").urn.endswith("&dn='a'")


def test_a_parameter_without_a_value_does_not_swallow_the_next_one() -> None:
    made = built(f"{MAGNET}&empty&dn=Name&empty&tr=http://t.example/a&empty")
    assert (made.name, made.trackers) == ("Name", ["http://t.example/a"])


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("HTTP%3A%2F%2FT.Example%2FAnnounce", "http://t.example/Announce"),
        ("http%253A%252F%252Ft.example%252Fa", "http://t.example/a"),
        ("http%25253A%25252F%25252Ft.example%25252Fa", "http://t.example/a"),
        ("http%3A%2F%2Ft.example%2Fa%20", "http://t.example/a"),
        ("%20http://t.example/a%0D%0A", "http://t.example/a"),
        ("http://t.example/a?x=1+2", "http://t.example/a?x=1+2"),
        ("http%3A%2F%2Ft.example%2Fa%2520b", "http://t.example/a%20b"),
    ],
)  # fmt: skip
def test_a_tracker_is_read_however_often_it_was_encoded(value: str, url: str) -> None:
    assert built(f"{MAGNET}&tr={value}").trackers == [url]
    assert built(f"{MAGNET}&TR.2={value}").trackers == [url]


def test_web_seeds_and_peers_of_a_magnet_are_decoded_too() -> None:
    made = built(
        f"{MAGNET}&ws=HTTP%3A%2F%2Fw.example%2Fa%2520%5Bx%5D.mkv&ws=http://w.example/b%20c"
        "&x.pe=1.1.1.1%3A6&dht=1.1.1.1%3A7"
    )
    assert made.url_seeds == ["http://w.example/a%20%5Bx%5D.mkv", "http://w.example/b%20c"]
    assert (made.peers, made.dht_nodes) == ([("1.1.1.1", 6)], [("1.1.1.1", 7)])


@pytest.mark.parametrize(
    ("so", "files"),
    [
        ("0,2", {0, 2}), ("0%2C2", {0, 2}), ("0,%202", {0, 2}), ("1-3,5", {1, 2, 3, 5}),
        ("0,99999", {0}), ("2,-1,3-1,x", {2}), ("0&so=2", {0, 2}), ("", None), (",", None),
        ("x", None), ("99999", set()),
    ],
)  # fmt: skip
def test_the_choice_of_files_counts_as_far_as_it_can_be_read(
    so: str, files: set[int] | None
) -> None:
    made = built(f"{MAGNET}&so={so}")
    assert bool(made.flags & lt.torrent_flags.default_dont_download) == (files is not None)
    assert {i for i, level in enumerate(made.file_priorities) if level} == (files or set())


def test_a_range_that_ends_behind_all_files_takes_those_there_are() -> None:
    made = built(f"{MAGNET}&so=1-999999999")
    assert made.file_priorities == [0, *[4] * (MAX_FILES - 1)]


def test_of_each_parameter_only_as_many_are_read_as_are_looked_at() -> None:
    link = read_magnet(MAGNET + "&tr=http://t.example/a" * 50_000 + "&kt=x" * 50_000).link
    assert link.count("&tr=") == 10 * gate.MAX_TRACKERS
    assert "kt=" not in link


@pytest.mark.parametrize("text", ["magnet:", "magnet:///?", "magnet:?empty", "magnet:?dn", "#top"])
def test_what_holds_no_hash_is_still_refused(text: str) -> None:
    with pytest.raises(InvalidSource):
        p.identify(Source(SourceType.TORRENT, text))
