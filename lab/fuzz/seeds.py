"""Examples the fuzzers begin with: sound ones, and what was odd elsewhere."""

from __future__ import annotations

import json

import libtorrent as lt

from tests.security.hostile import NAMES as HOSTILE
from tests.security.hostile import second, several, single

_V1, _V2 = "c" * 40, "1220" + "d" * 64
_MAGNET = f"magnet:?xt=urn:btih:{_V1}"
SOURCES = tuple(
    text.encode()
    for text in (
        _MAGNET, f"{_MAGNET}&dn=A+film&tr=http%3A%2F%2Ftracker.example%2Fannounce", _V1, _V2,
        f"magnet:?xt=urn:btmh:{_V2}", f"{_MAGNET}&xt=urn:btmh:{_V2}&so=0,2-4", "A" * 32,
        f"{_MAGNET}&x.pe=127.0.0.1:1&x.pe=1.2.3.4:6881&x.pe=[::1]:5", "MAGNET:?xt=urn:btih:" + _V1,
        f"{_MAGNET}&ws=http://1.2.3.4/f&tr=ws://a.example/&tr.1=udp://b.example:80",
        f"{_MAGNET}&tr=http://0.0.0.0/a&tr=http://127.1/&tr=http://2130706433/&tr=http://[::]/",
        f"{_MAGNET}&dn=%2e%2e%2f%2e%2e%2fetc%2fpasswd&xs=http://a.example/b", "magnet:?", "",
        "https://a.example/f.torrent", "http://user@127.0.0.1/", "ftp://a.example/", "film",
        f"magnet:?xt.1=urn:btih:{_V1}&xt.2=urn:btih:{'e' * 40}", f"{_MAGNET}&xl=-1&as=x&kt=y",
    )
)  # fmt: skip
URLS = tuple(
    text.encode()
    for text in (
        "http://tracker.example/announce", "udp://tracker.example:80", "wss://t.example/",
        "http://127.0.0.1/a", "http://0/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://a@b/", "http://a\\@127.0.0.1/", "http://127.1.:80/",
        "http://1.2.3.4:99999/", "http://a.example#@127.0.0.1/", "http://[fe80::1%25eth0]/",
        "https://a.example:443/x?y=z", "http://localhost./", "http://\u0131.example/", "http://a%2eb/",
        "http://[64:ff9b::7f00:1]/", "http://a.example:0/", "http:///", "http://a..b/", "HTTP://A/",
    )
)  # fmt: skip
_LAYOUTS = (single(), second(), several([b"a.srt"], [b"b", b"c.nfo"]))


def torrents() -> tuple[bytes, ...]:
    """Sound torrent files, and ones whose names are hostile."""
    hostile = [several([name], [b"x", name]) for name in HOSTILE if len(name) < 500]
    return tuple(lt.bencode(layout) for layout in (*_LAYOUTS, *hostile))


_DIGEST = "ab" * 32
METALINKS = (
    *(
        f"<metalink xmlns='urn:ietf:params:xml:ns:metalink'><file name='{name}'><size>3</size>"
        f"<hash type='sha-256'>{_DIGEST}</hash><pieces length='2' type='sha-256'>"
        f"<hash>{_DIGEST}</hash><hash>{_DIGEST}</hash></pieces>"
        "<url priority='1' location='de'>http://a.example/f</url></file></metalink>".encode()
        for name in ("film.mkv", "a/b/../c", "/etc/passwd", "a\\..\\b", "con", "\u202efilm")
    ),
    b"<!DOCTYPE m [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><m>&a;</m>",
    f"<metalink version='3.0' xmlns='http://www.metalinker.org/'><files><file name='f'>"
    f"<verification><hash type='sha256'>{_DIGEST}</hash></verification><resources>"
    "<url type='http' preference='10'>http://a.example/f</url></resources></file></files>"
    "</metalink>".encode(),
    b'<http://b.example/f>; rel=duplicate; pri=1; geo="gb", <c>; rel="describedby duplicate"',
    b"SHA-256=q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=,MD5=x",
)
NAMES = (*HOSTILE, b"a\nA\na\n\xc3\xa9\ne\xcc\x81\na/b\na/./b", b"Film.S01E02.en.forced.srt")
RANGES = tuple(
    b"\x02" + fields + b"\n" + b"\n".join(values)
    for fields, values in (
        (b"\0", [b"bytes=0-1"]), (b"\0", [b"bytes=-5,0-1, 7-"]), (b"\0", [b"bytes=5-2"]),
        (b"\0\1", [b"bytes=0-1", b'"abc"']), (b"\2", [b"*"]), (b"\3", [b'W/"abc", "x"']),
        (b"\4", [b"Thu, 01 Jan 2026 00:00:00 GMT"]), (b"\5", [b"Sun, 06 Nov 1994 08:49:37 GMT"]),
        (b"\0\0", [b"bytes=0-1", b"bytes=2-3"]), (b"\0", [b"bytes=" + b"1-1," * 50]),
        (b"\0", [b"bytes=0-" + b"9" * 30]), (b"\4", [b"x, 99 Foo 99999 99:99:99 +9999"]),
    )
)  # fmt: skip
BODIES = tuple(
    text.encode()
    for text in (
        '{"id": "a", "sourceType": "torrent", "sourceUrn": "' + _MAGNET + '"}',
        '{"id": "a", "files": [0, 1, 19999], "seedRatio": 1.5, "seedTime": 60}',
        '{"files": [{"index": 0, "priority": 7}]}', "{}", "[]", "null", '"\\ud83d\\ude00"',
        '{"path": "a/b", "version": "v1", "trackers": ["http://a.example/"], "private": true}',
        '{"id": "a", "downloadLimit": 1e3, "uploadLimit": -0, "folder": "..", "x": {"y": [[]]}}',
    )
)  # fmt: skip
HEADS = tuple(
    text.encode()
    for text in (
        "GET /downloads\nhost: localhost:3000\nx-api-key: correct-horse-battery",
        "POST /download/start?api_key=correct-horse-battery\nhost: localhost\norigin: null",
        "POST /download/pause\nhost: 127.0.0.1\nauthorization: Bearer correct-horse-battery",
        "POST /download/pause\nhost: [::1]\nsec-fetch-site: cross-site\norigin: http://localhost:5",
        "OPTIONS /a\nhost: localhost\norigin: http://a\naccess-control-request-method: POST",
        "GET /stream/a/0?sig=x&until=1\nhost: localhost\nhost: evil.example",
        "DELETE /downloads/a\nhost: [::1]:3000\nx-forwarded-for: 1.2.3.4, evil, 10.0.0.1",
        "GET /health\nhost: localhost.evil.example:3000\nreferer: http://evil.example/",
    )
)  # fmt: skip
SETTINGS = tuple(
    bytes([which]) + value + b"\0" + toml
    for which, value, toml in (
        (3, b"8080", b'port = 1\nhost = "::1"\n'), (2, b"0.0.0.0", b'api_secret = "sixteen bytes"'),
        (4, b"sixteen bytes long", b""), (5, b"read:aaaaaaaaaaaaaaaaaaaa,admin:b", b"dht = false"),
        (14, b"wss://a.example, ws://b", b"webtorrent_trackers = []\nlsd = 1\n"), (0, b"", b"[a]"),
        (20, b"1e400", b"seed_ratio = nan"), (30, b"http://user:secret@proxy:1", b"x = \xff"),
    )
)  # fmt: skip
_HASH = "%aa" * 20
_TWO = (
    f"info_hash={_HASH}&peer_id={_HASH}&port=1&left=5&compact=0&numwant=-1\n"
    f"info_hash={_HASH}&peer_id={'b' * 20}&port=2&event=completed&left=0\n"
    f"info_hash={_HASH}&info_hash={'c' * 20}"
)
ANNOUNCES = tuple(
    text.encode()
    for text in (
        f"info_hash={_HASH}&peer_id={_HASH}&port=6881&left=0&compact=1&event=started",
        _TWO,
        "info_hash=&peer_id=%&port=99999999999", f"info_hash={_HASH}&event=stopped&peer_id={_HASH}",
    )
)  # fmt: skip
_ID = "a" * 20
_OFFER = {"offer_id": _ID, "offer": {"type": "offer", "sdp": "v=0"}}
_JOIN = {"action": "announce", "info_hash": _ID, "peer_id": _ID, "numwant": 5, "left": 0}
_OTHER = {**_JOIN, "peer_id": "b" * 20, "offers": [_OFFER], "event": "started"}
_REPLY = {"action": "announce", "info_hash": _ID, "peer_id": _ID, "to_peer_id": "b" * 20,
          "offer_id": _ID, "answer": {"type": "answer", "sdp": "v=0"}}  # fmt: skip
FRAMES = tuple(
    "\n".join(json.dumps(frame) for frame in sequence).encode()
    for sequence in (
        [_JOIN, _OTHER, _REPLY], [{"action": "scrape", "info_hash": [_ID, "c" * 20]}],
        [{**_JOIN, "event": "stopped"}, {**_JOIN, "left": None}, []], [{"action": "announce"}],
        [{**_OTHER, "offers": [{**_OFFER, "offer": {"type": "offer", "sdp": "\ud800"}}]}],
        [{**_JOIN, "info_hash": "\u0101" * 20}, {**_JOIN, "numwant": -1, "offers": [_OFFER] * 60}],
    )
)  # fmt: skip
_SRT = b"1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> <script>alert(1)</script>\n\n"
_ASS = (
    b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    b"Dialogue: 0,0:00:01.00,0:00:02.00,Default,{\\i1}Hi{\\i0}\\Nthere {\\an8}{\\p1}m 0 0{\\p0}\n"
)
SUBTITLES = (
    b"\0" + _SRT, b"\1WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.000 line:0\n<b>a</b> --> b &lt;\n",
    b"\2" + _ASS, b"\3" + _ASS, b"\4{0}{25}one|two\n{30}{50}{y:i}three\n",
    b"\4[10][20]/one|two\n", b"\5<SAMI><BODY><SYNC Start=0><P>Hi</BODY></SAMI>",
    b'\6<tt xmlns="http://www.w3.org/ns/ttml"><body><p begin="1s" end="2s">x</p></body></tt>',
    b"\7" + _SRT, b"\0" + _SRT.decode().encode("utf-16"), b"\0" + "Привет".encode("cp1251") * 9,
)  # fmt: skip
