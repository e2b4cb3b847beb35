"""What is taken for a link to a file, what the file is called, and when to ask again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from chilly_movies.drivers.http.links import identity, name_of, retry_after
from chilly_movies.errors import InvalidSource


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="film.mkv"', "film.mkv"),
        ("attachment; filename=film.mkv; size=3", "film.mkv"),
        (r'attachment; filename="a \"b\".mkv"', "a _b_.mkv"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20film.mkv", "naïve film.mkv"),
        ("attachment; filename=\"x.mkv\"; filename*=utf-8'en'y.mkv", "y.mkv"),
        ("attachment; filename*=iso-8859-1''%A3.mkv", "£.mkv"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\films\a.mkv"', "a.mkv"),
        ('attachment; filename="..mkv"', "_.mkv"),
        ("attachment", "link.mkv"),
        ('attachment; filename=""', "link.mkv"),
    ],
)
def test_the_name_is_that_of_the_content_disposition(header: str, name: str) -> None:
    headers = {"content-disposition": header}
    assert name_of("http://x.example/link.mkv", headers=headers) == name


@pytest.mark.parametrize(
    ("link", "final", "kind", "name"),
    [
        ("http://x.example/a%20b.mkv?token=1#t", "", "", "a b.mkv"),
        ("http://x.example/film.mkv", "http://cdn.example/93ab?sig=1", "", "film.mkv"),
        ("http://x.example/get", "http://cdn.example/film.mkv", "", "film.mkv"),
        ("http://x.example/get", "http://cdn.example/93ab", "video/x-matroska", "get.mkv"),
        ("http://x.example/", "", "video/mp4; a=b", "x.example"),
        ("http://x.example/..%2F..%2Fetc%2Fpasswd.mkv", "", "", "_._.._etc_passwd.mkv"),
        ("http://x.example/a%00b.mkv", "", "", "ab.mkv"),
    ],
)
def test_else_it_is_that_of_a_link(link: str, final: str, kind: str, name: str) -> None:
    assert name_of(link, final, {"content-type": kind}) == name


@pytest.mark.parametrize(
    "link",
    ["nonsense", "ftp://x.example/a", "http:///a", "http://x.example:0/a", "http://x.example:x/a",
     "http://[::1/a", "file:///etc/passwd", "http://a b/c", "magnet:?xt=urn:btih:1"],
)  # fmt: skip
def test_what_is_no_link_to_a_server_is_refused(link: str) -> None:
    with pytest.raises(InvalidSource):
        identity(link)


def test_two_spellings_of_one_link_are_one_file() -> None:
    assert identity("HTTP://X.example:80/a?b=1#c") == identity("http://x.example/a?b=1")
    assert identity("http://x.example") == identity("http://x.example/")
    assert identity("http://x.example/a") != identity("https://x.example/a")


def test_a_server_says_in_seconds_or_by_a_date_when_to_come_again() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    assert retry_after({"retry-after": "120"}) == 120
    assert 50 < (retry_after({"retry-after": format_datetime(soon, usegmt=True)}) or 0) <= 60
    assert retry_after({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0
    assert [retry_after({"retry-after": text}) for text in ("", "soon", "-5")] == [None] * 3
    assert retry_after({"retry-after": "9" * 30}) == 7 * 86_400
    far = "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"
    assert retry_after({"retry-after": far}) is None
