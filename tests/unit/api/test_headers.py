"""Names from torrents in header fields: nothing in them breaks out."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.api.wire.headers import disposition, media_type

NASTY = [
    'a"b.mkv', "a\r\nSet-Cookie: x=1\r\n.mkv", "a\\b.mkv", "фильм.mkv", "映画.mp4",
    "../../etc/passwd",
    "<script>alert(1)</script>.html", "a;filename=b.exe", "a\x00b.mkv", "\u202efdp.mkv", "",
    "a%0d%0ab.mkv", "'quoted'.mkv", "é" * 300 + ".mkv", "\ud800.mkv", "a'b.mkv",
]  # fmt: skip


@pytest.mark.parametrize("name", NASTY)
def test_a_hostile_name_stays_inside_its_quotes(name: str) -> None:
    field = disposition(name)
    assert field.isascii()
    assert field.isprintable()
    head, plain, rest = field.split('"')
    assert head in ("inline; filename=", "attachment; filename=")
    assert "\\" not in plain
    assert "/" not in plain
    assert "<" not in plain
    assert rest.startswith("; filename*=UTF-8''")
    assert unquote(rest.partition("''")[2]) == name.encode("utf-8", "replace").decode()


@given(st.text(max_size=100))
def test_no_name_breaks_the_field(name: str) -> None:
    field = disposition(name)
    assert field.isascii()
    assert field.isprintable()
    assert field.count('"') == 2


@pytest.mark.parametrize(
    "name", ["a.html", "a.svg", "a.js", "a.xhtml", "a.pdf", "a.exe", "a", "a.mkv.htm"]
)
def test_what_a_browser_could_run_is_offered_for_saving(name: str) -> None:
    assert media_type(name) == "application/octet-stream"
    assert disposition(name).startswith("attachment;")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.mp4", "video/mp4"), ("A.MKV", "video/x-matroska"), ("a.webm", "video/webm"),
     ("a.mp3", "audio/mpeg"), ("a.srt", "text/plain; charset=utf-8")],
)  # fmt: skip
def test_films_and_music_have_their_own_types(name: str, kind: str) -> None:
    assert media_type(name) == kind
    assert disposition(name).startswith("inline;")
