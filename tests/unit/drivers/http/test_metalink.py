"""Metalinks as their writers meant them, and those that were written to do harm."""

from __future__ import annotations

import base64
import hashlib
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.drivers.http.metalink import (
    MAX_DOCUMENT,
    MAX_FILES,
    MAX_LINKS,
    Digest,
    Link,
    Pieces,
    Told,
    is_metalink,
    parse,
    told_by,
)
from chilly_movies.errors import SourceRejected

V4, V3 = "urn:ietf:params:xml:ns:metalink", "http://www.metalinker.org/"
ONE, TWO = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
WHOLE, WEAK = hashlib.sha256(b"onetwo").hexdigest(), hashlib.md5(b"onetwo").hexdigest()
URL = "<url>http://a.example/film.mkv</url>"


def of_file(inner: str, name: str = "film.mkv") -> bytes:
    """A document of version 4 with one file."""
    return f'<metalink xmlns="{V4}"><file name="{name}">{inner}</file></metalink>'.encode()


def test_a_document_becomes_its_files_with_all_that_is_said_of_them() -> None:
    document = f"""<?xml version="1.0" encoding="UTF-8"?>
    <metalink xmlns="{V4}" xmlns:x="urn:other">
      <published>2009-05-15T12:23:23Z</published>
      <file name="Films/one.mkv">
        <size>6</size><identity>A film</identity><language>en</language>
        <hash type="md5">{WEAK}</hash><hash type="sha-256">{WHOLE}</hash>
        <hash type="whirlpool">00</hash>
        <pieces length="3" type="sha-256"><hash>{ONE}</hash><hash>{TWO.upper()}</hash></pieces>
        <url location="de" priority="2">ftp://ftp.example/one.mkv</url>
        <url location="de" priority="2">http://b.example/one.mkv?x=1&amp;y=2</url>
        <url priority="1"> https://a.example/one.mkv </url>
        <url>http://c.example/one.mkv</url>
        <url priority="7">https://a.example/one.mkv</url>
        <metaurl mediatype="torrent" priority="1">http://d.example/one.torrent</metaurl>
        <x:url>http://other.example/</x:url>
      </file>
      <file name="Films/two.srt"><url>http://a.example/two.srt</url></file>
    </metalink>""".encode()
    one, two = parse(document)
    assert (one.path, one.size) == ("Films/one.mkv", 6)
    assert one.digest == Digest("sha256", bytes.fromhex(WHOLE))
    assert one.pieces == Pieces(3, "sha256", (bytes.fromhex(ONE), bytes.fromhex(TWO)))
    assert one.links == (
        Link("https://a.example/one.mkv", 1),
        Link("http://b.example/one.mkv?x=1&y=2", 2, "de"),
        Link("http://c.example/one.mkv"),
    )
    assert (two.path, two.size, two.digest, two.pieces) == ("Films/two.srt", None, None, None)


def test_a_document_of_version_3_says_the_same() -> None:
    document = f"""<metalink version="3.0" xmlns="{V3}"><files><file name="film.mkv">
      <size>6</size><verification><hash type="sha256">{WHOLE}</hash>
      <pieces length="3" type="sha256"><hash piece="0">{ONE}</hash><hash piece="1">{TWO}</hash>
      </pieces></verification>
      <resources><url type="http" location="us" preference="10">http://b.example/film.mkv</url>
      <url type="http" preference="100">http://a.example/film.mkv</url>
      <url type="bittorrent" preference="100">http://a.example/film.torrent</url></resources>
      </file></files></metalink>""".encode()
    (file,) = parse(document)
    assert file.digest == Digest("sha256", bytes.fromhex(WHOLE))
    assert file.pieces == Pieces(3, "sha256", (bytes.fromhex(ONE), bytes.fromhex(TWO)))
    assert [link.url for link in file.links] == [
        "http://a.example/film.mkv",
        "http://b.example/film.mkv",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_a_document_may_have_the_encodings_of_xml(encoding: str) -> None:
    named = "utf-8" if encoding == "utf-8-sig" else encoding
    text = f'<?xml version="1.0" encoding="{named}"?>' + of_file(URL, "für.mkv").decode()
    assert parse(text.encode(encoding))[0].path == "für.mkv"


@pytest.mark.parametrize(("document", "says"), [
    (b"", "broken"), (b"{}", "broken"), (b"<html><p>Not found</html>", "another kind"),
    (b"<metalink><file name='a'/></metalink>", "another kind"),
    (f"<metalink xmlns='{V4}'/>".encode(), "names no file"),
    (of_file(""), "no http link for 'film.mkv'"),
    (of_file("<url>file:///etc/passwd</url><url>gopher://a.example/</url>"), "no http link"),
    (of_file(URL, "../../etc/passwd"), "leads out"), (of_file(URL, "/etc/passwd"), "leads out"),
    (of_file(URL, "..\\evil"), "leads out"), (of_file(URL, " "), "no name"),
    (of_file(URL + "<size>-1</size>"), "no number"),
    (of_file(URL + "<size>1e9</size>"), "no number"),
    (of_file(URL + "<size>99999999999999999999</size>"), "no number"),
    (of_file(URL + "<hash type='sha-256'>abcd</hash>"), "sha256 in it is none"),
    (of_file(URL + "<hash type='md5'>zz</hash>"), "md5 in it is none"),
    (of_file(URL + f"<pieces length='0' type='sha-256'><hash>{ONE}</hash></pieces>"), "no length"),
    (of_file(URL + f"<size>7</size><pieces length='3' type='sha-256'><hash>{ONE}</hash></pieces>"),
     "has 3 pieces by its size, and hashes of 1"),
    (f"<metalink xmlns='{V4}'>".encode() + b"<file name='a'>" + URL.encode(), "broken in line 1"),
])  # fmt: skip
def test_a_broken_document_is_refused_in_one_sentence(document: bytes, says: str) -> None:
    with pytest.raises(SourceRejected, match=says) as refused:
        parse(document)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("doctype", [
    '<!DOCTYPE m [<!ENTITY a "b">]>', '<!DOCTYPE m SYSTEM "http://127.0.0.1/evil.dtd">',
    '<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "<!DOCTYPE metalink>",
    '<!DOCTYPE m [<!ENTITY % p SYSTEM "http://127.0.0.1/">%p;]>',
    '<!DOCTYPE m [<!ENTITY a "' + "b" * 1000 + '">'
    + "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9)) + "]>",
])  # fmt: skip
def test_no_document_type_is_read_so_no_entity_is_made_or_fetched(doctype: str) -> None:
    with pytest.raises(SourceRejected, match="document type"):
        parse(doctype.encode() + of_file(URL + "<size>&a;</size>"))


def test_large_documents_are_read_in_bounded_time_or_refused() -> None:
    hashes = "<pieces length='1' type='sha-256'>" + f"<hash>{ONE}</hash>" * 20_000 + "</pieces>"
    many_links = "".join(f"<url>http://a{i}.example/f</url>" for i in range(5000))
    began = time.monotonic()
    (file,) = parse(of_file(URL + hashes + many_links))
    assert file.pieces is not None
    assert (len(file.pieces.digests), len(file.links)) == (20_000, MAX_LINKS)
    with pytest.raises(SourceRejected, match="more than 32 deep"):
        parse(of_file(URL + "<x>" * 100_000 + "</x>" * 100_000))
    many_files = f"<file name='a'>{URL}</file>" * (MAX_FILES + 1)
    with pytest.raises(SourceRejected, match=f"more than {MAX_FILES} files"):
        parse(f"<metalink xmlns='{V4}'>{many_files}</metalink>".encode())
    with pytest.raises(SourceRejected, match="larger than 16 MiB"):
        parse(b" " * (MAX_DOCUMENT + 1))
    assert time.monotonic() - began < 10


@given(st.binary(max_size=200), st.integers(0, 300))
def test_no_bytes_whatever_raise_anything_else(junk: bytes, at: int) -> None:
    whole = of_file(URL + "<size>6</size>")
    for document in (junk, whole[:at] + junk + whole[at:]):
        with suppress(SourceRejected):
            parse(document)


def test_two_files_of_one_name_get_two_names() -> None:
    document = f"<metalink xmlns='{V4}'>" + f"<file name='A?.mkv'>{URL}</file>" * 2 + "</metalink>"
    assert [file.path for file in parse(document.encode())] == ["A_.mkv", "A_ (2).mkv"]


@pytest.mark.parametrize(("content_type", "path", "is_one"), [
    ("application/metalink4+xml", "/film", True), ("Application/Metalink4+XML; a=b", "/film", True),
    ("application/metalink+xml", "/film", True), ("", "/film.meta4", True),
    ("application/octet-stream", "/film.META4", True), ("text/xml", "/film.metalink", True),
    ("video/mp4", "/film.meta4", False), ("application/octet-stream", "/film.mkv", False),
    ("text/html", "/film.meta4", False), ("", "/meta4", False),
])  # fmt: skip
def test_an_answer_is_a_metalink_by_its_type_or_else_by_its_name(
    content_type: str, path: str, is_one: bool
) -> None:
    assert is_metalink(content_type, path) is is_one


# --- headers --------------------------------------------------------------------------------

SHA256 = base64.b64encode(bytes.fromhex(WHOLE)).decode()
MD5 = base64.b64encode(bytes.fromhex(WEAK)).decode()


def test_the_headers_of_an_answer_name_mirrors_a_metalink_and_a_digest() -> None:
    told = told_by(
        [
            ("Link", '<http://b.example/f>; rel=duplicate; pri=2; geo="gb"'),
            ("Link", '<c/f>; rel="duplicate", <http://[>; rel=duplicate'),
            ("link", '<https://a.example/f,1>; rel="other duplicate"; pri="1"; pref; depth=1'),
            ("Link", '<f.meta4>; rel=describedby; type="application/metalink4+xml"'),
            ("Link", "<f.asc>; rel=describedby; type=application/pgp-signature"),
            ("Link", "<ftp://d.example/f>; rel=duplicate"),
            ("Digest", f"MD5={MD5},SHA-256={SHA256},unixsum=30637"),
        ],
        "http://o.example/films/f",
    )  # fmt: skip
    assert told.mirrors == (
        Link("https://a.example/f,1", 1),
        Link("http://b.example/f", 2, "gb"),
        Link("http://o.example/films/c/f"),
    )
    assert told.document == "http://o.example/films/f.meta4"
    assert told.digest == Digest("sha256", bytes.fromhex(WHOLE))


def test_a_digest_may_be_spelt_in_the_newer_way() -> None:
    told = told_by([("Repr-Digest", f"sha-256=:{SHA256}:, md5=:{MD5}:")], "http://o.example/f")
    assert told.digest == Digest("sha256", bytes.fromhex(WHOLE))


@pytest.mark.parametrize("headers", [
    [("Link", "duplicate")], [("Link", "<http://a.example/f>")], [("Link", "<")], [("Link", "")],
    [("Link", "<file:///etc/passwd>; rel=duplicate")],
    [("Link", "<http://a.example/f; rel=duplicate")],
    [("Digest", "sha-256=abc")], [("Digest", "sha-256=")], [("Repr-Digest", "sha-256=:é:")],
    [("Content-Digest", f"sha-256=:{SHA256}:")],  # that is of the part that was sent
])  # fmt: skip
def test_headers_that_are_malformed_say_nothing(headers: list[tuple[str, str]]) -> None:
    assert told_by(headers, "http://o.example/f") == Told()


@given(st.text(max_size=300))
def test_no_header_whatever_raises_anything_or_takes_long(text: str) -> None:
    told_by([("Link", text), ("Link", "<a>;" + text), ("Digest", text)], "http://o.example/f")


def test_a_header_as_long_as_any_is_read_at_once() -> None:
    began = time.monotonic()
    for text in ("<a>" + "; " * 30_000, "<a>;" + "a" * 60_000, '<a>;a="' + "\\" * 60_000):
        told_by([("Link", text)], "http://o.example/f")
    assert time.monotonic() - began < 5
