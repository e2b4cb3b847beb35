"""The gate before the engine: addresses in every spelling, lists, selections, programs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.disk.programs import PROGRAMS, is_program, left_out
from chilly_movies.drivers.torrent.engine import gate as vetting
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.gate import Gate, Selection
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import Options
from lab.siege.bombs import torrent_files

pytestmark = pytest.mark.anyio

V1 = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
MAGNET = f"magnet:?xt=urn:btih:{V1}"
OPEN, CLOSED = Gate(allow_private=True), Gate()

LOCAL = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "0.0.0.0", "0", "0.1.2.3", "localhost",
    "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1.", "2130706433", "0x7f000001", "0x7f.1",
    "0X7F.0.0.1", "0177.0.0.1", "017700000001", "127.000.000.001", "[::1]", "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]", "[2001:0:7f00:1::1]", "[fe80::1]", "[fc00::1]", "[fd00::1]", "[ff02::1]",
    "[fec0::1]", "10.0.0.1", "10.1", "0xa000001", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "192.168.257", "3232235777", "169.254.169.254", "2852039166", "0xa9fea9fe",
    "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.64.0.1", "192.0.0.1", "198.18.0.1",
    "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1",
    "router", "nas", "ip6-localhost", "ip6-loopback", "nas.local", "router.lan", "box.home.arpa",
    "metadata.internal", "metadata.google.internal", "printer.home", "x.localdomain", "h.intranet",
]  # fmt: skip
TRICKS = [
    "http://tracker.example@127.0.0.1/announce", "http://u:p@tracker.example/announce",
    "http://127.0.0.1\\@tracker.example/announce", "http://tracker.example#@127.0.0.1/announce",
    "http://tracker.example?@127.0.0.1/announce", "http://tracker.example\t/announce",
    "http://tracker.example /announce", "http://１２７.0.0.1/announce", "http://127。0。0。1/announce",
    "http://①②⑦.0.0.1/announce", "http://%31%32%37.0.0.1/announce", "http://tracker.example:0/a",
    "http://tracker.example:65536/a", "http://tracker.example:-1/a", "http://tracker.example:/a",
    "http://[::1/a", "http://::1/a", "http:///a", "http:tracker.example/a", "//tracker.example/a",
    "tracker.example/announce", "file:///etc/passwd", "ftp://tracker.example/a",
    "gopher://tracker.example/_x", "dict://tracker.example/d", "jar:http://tracker.example!/",
    "http://tracker.example/a\r\nHost: localhost", "http://tracker.example/\x00", "",
    "http://tracker.example/" + "a" * 3000, "udp://tracker.example:1\n:2", "javascript:alert(1)",
]  # fmt: skip
GOOD = [
    "http://tracker.example/announce", "https://tracker.example:8443/PASSKEY/announce?x=1&y=%20",
    "udp://tracker.example:1337", "udp://tracker.example:1337/announce", "wss://tracker.example",
    "wss://tracker.example:8443/a?b", "http://1.1.1.1/announce", "udp://9.9.9.9:6969",
    "http://[2606:4700:4700::1111]:80/announce", "HTTP://Tracker.Example/Announce",
]  # fmt: skip


def torrent(urn: str = "", data: bytes | None = None) -> Source:
    return Source(SourceType.TORRENT, urn, data)


def request(source: Source, **more: Any) -> p.AddRequest:
    return p.AddRequest(
        source, Path("/save"), Path("/save"), more.pop("options", Options()), **more
    )


def made(*files: tuple[bytes, int]) -> bytes:
    """A v1 torrent with these files (path, size)."""
    total = sum(size for _, size in files)
    listed: list[Any] = [{b"length": size, b"path": path.split(b"/")} for path, size in files]
    pieces = b"x" * 20 * max(1, -(-total // 16384))
    info: Any = {b"name": b"film", b"piece length": 16384, b"pieces": pieces, b"files": listed}
    return lt.bencode({b"info": info})


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", LOCAL)
def test_no_spelling_of_a_local_address_gets_through_in_any_role(host: str) -> None:
    for scheme in ("http", "https", "udp", "ws", "wss"):
        for rest in (":8080/announce", ":8080/announce/../admin?x=1", "/announce"):
            assert not CLOSED.lets_tracker(f"{scheme}://{host}{rest}")
    for scheme in ("http", "https"):
        assert not CLOSED.lets_web_seed(f"{scheme}://{host}:8080/film.mkv?x=1")
    assert not CLOSED.lets_peer(host, 6881)
    links = (f"&tr=http://{host}:1/announce", f"&ws=http://{host}/f", f"&tr=ws://{host}:1/a",
             f"&x.pe={host}:6881", f"&dht={host}:6881", f"&tr=wss://{host}/", f"&tr=udp://{host}:1",
             )  # fmt: skip
    built = p.build(request(torrent(MAGNET + "".join(links))))
    assert (built.trackers, built.url_seeds, built.peers, built.dht_nodes) == ([], [], [], [])


@pytest.mark.parametrize("url", TRICKS)
@pytest.mark.parametrize("gate", [OPEN, CLOSED], ids=["open", "closed"])
def test_what_two_readers_could_read_differently_is_dropped(url: str, gate: Gate) -> None:
    assert not gate.lets_tracker(url)
    assert not gate.lets_web_seed(url)


@pytest.mark.parametrize("url", GOOD)
def test_ordinary_trackers_pass(url: str) -> None:
    assert CLOSED.lets_tracker(url)
    assert CLOSED.lets_web_seed(url) == url.lower().startswith("http")


def test_a_plain_websocket_tracker_must_be_one_the_user_chose() -> None:
    gate = Gate(websockets=("ws://mine.example:8000/announce", "wss://other.example"))
    assert gate.lets_tracker("ws://mine.example:9000/a")
    assert gate.lets_tracker("ws://other.example/")
    assert not gate.lets_tracker("ws://theirs.example/")
    assert OPEN.lets_tracker("ws://127.0.0.1:8000/announce")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "films.example", "10.0.0.1",
                                  "[::1]", "0x7f.1"])  # fmt: skip
def test_our_own_api_is_never_talked_to_whatever_is_allowed(host: str) -> None:
    gate = Gate(allow_private=True, own_ports={3000, 80})
    for url in (f"http://{host}:3000/announce", f"http://{host}/a", f"ws://{host}:3000/"):
        assert not gate.lets_tracker(url)
    assert not gate.lets_web_seed(f"http://{host}:3000/film")
    assert not gate.lets_peer(host, 3000)
    assert gate.lets_tracker(f"http://{host}:3001/announce")
    assert gate.lets_tracker("http://1.1.1.1:3000/announce")  # surely not ours


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_no_url_whatever_breaks_the_gate_and_what_passes_reads_the_same_to_all(rest: str) -> None:
    for url in ("http://" + rest, rest):
        if CLOSED.lets_tracker(url):
            authority = url.split("://", 1)[1].split("/", 1)[0]
            assert not set(authority) & set("@\\?# ")


async def test_a_websocket_tracker_whose_name_leads_home_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"good.example": ["1.1.1.1"], "evil.example": ["1.1.1.1", "127.0.0.1"],
             "mapped.example": ["::ffff:10.0.0.1"]}  # fmt: skip

    async def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        if host not in names:
            raise OSError
        return [(0, 0, 0, "", (address, 443)) for address in names[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    hosts = ("good.example", "evil.example", "mapped.example", "none.example", "mine.example")
    gate = Gate(websockets=("wss://mine.example/",))
    urn = MAGNET + "".join(f"&tr=wss://{h}/" for h in hosts) + "&tr=udp://evil.example:1"
    built = p.build(request(torrent(urn), websockets=gate.websockets))
    dropped = await vetting.drop_private_websockets(built, gate)
    assert dropped == [f"wss://{h}/" for h in ("evil.example", "mapped.example", "none.example")]
    assert sorted(built.trackers) == ["udp://evil.example:1", "wss://good.example/",
                                      "wss://mine.example/"]  # fmt: skip
    assert len(built.tracker_tiers) == 3


def test_fifty_thousand_trackers_peers_and_seeds_become_a_few() -> None:
    urn = MAGNET + "".join(
        f"&tr=http://t{i}.example/a&ws=http://w{i}.example/f&x.pe=1.1.{i // 250}.{i % 250}:{i}"
        f"&dht=1.2.{i // 250}.{i % 250}:{i}" for i in range(1, 12_500)
    )  # fmt: skip
    began = time.monotonic()
    built = p.build(request(torrent(urn)))
    assert (len(built.trackers), len(built.url_seeds)) == (100, 20)
    assert len(built.peers) <= vetting.MAX_PEERS
    assert len(built.dht_nodes) <= vetting.MAX_NODES
    assert time.monotonic() - began < 20


# --- what is refused ------------------------------------------------------------------------


def test_a_torrent_with_links_is_refused() -> None:
    link: Any = {b"length": 0, b"path": [b"ln"], b"attr": b"l", b"symlink path": [b"film.mkv"]}
    decoded: Any = lt.bdecode(made((b"film.mkv", 16384)))
    decoded[b"info"][b"files"].append(link)
    data = lt.bencode(decoded)
    with pytest.raises(InvalidSource, match="links to other files"):
        p.identify(torrent(data=data))


@pytest.mark.parametrize("path", [b"/".join([b"d"] * 16), b"/".join([b"d"] * 90),
                                  b"/".join([b"n" * 190] * 12)])  # fmt: skip
def test_paths_that_are_too_deep_or_too_long_are_refused(path: bytes) -> None:
    with pytest.raises(InvalidSource, match=r"deeper|deep|usable"):
        p.identify(torrent(data=made((path, 16384), (b"b", 1))))


def test_a_million_files_are_refused_at_once() -> None:
    one = b"d6:lengthi1e4:pathl1:aee"
    data = b"d4:infod5:filesl" + one * 400_000 + b"e4:name4:film12:piece lengthi16384e6:pieces20:"
    data += b"x" * 20 + b"ee"
    began = time.monotonic()
    with pytest.raises(InvalidSource):
        p.parse_torrent(data)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("make", "tamed"), [
    pytest.param(make, tamed, id=name) for name, make, tamed in torrent_files()
])  # fmt: skip
def test_every_bomb_is_refused_or_tamed(make: Callable[[], bytes], tamed: bool) -> None:
    data = make()
    if tamed:
        assert len(p.build(request(torrent(data=data), allow_private=True)).trackers) == 100
    else:
        with pytest.raises(InvalidSource, match=r"usable|more than|larger"):
            p.identify(torrent(data=data))


def test_of_many_trackers_only_the_first_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(vetting.Gate, "lets_tracker", lambda _, url: looks.append(url))
    params = lt.add_torrent_params()
    params.trackers = ["http://127.0.0.1:9/"] * 50_000
    vetting.vet(params, Gate())
    assert params.trackers == []
    assert len(looks) == 1000


def test_the_engine_has_the_same_limits_for_metadata_that_comes_later() -> None:
    from chilly_movies.drivers.torrent.engine.config import EngineConfig, settings_pack

    pack = settings_pack(EngineConfig(Path("/media")))
    assert pack["max_metadata_size"] == 8 * 1024 * 1024
    assert pack["max_piece_count"] == 200_000
    assert pack["metadata_token_limit"] == 500_000
    assert pack["no_connect_privileged_ports"] is True
    assert pack["validate_https_trackers"] is True
    assert pack["ssrf_mitigation"] is True


# --- what is wanted -------------------------------------------------------------------------


def test_without_metadata_nothing_is_wanted_yet_and_the_wish_is_kept() -> None:
    built = p.build(request(torrent(MAGNET)))
    assert vetting.select(built, programs=False) == Selection((), 4)
    assert built.flags & lt.torrent_flags.default_dont_download
    assert built.file_priorities == []
    built = p.build(request(torrent(MAGNET + "&so=0,2")))
    assert vetting.select(built, programs=True) == Selection((4, 0, 4), 0, programs=True)
    built = p.build(request(torrent(MAGNET), options=Options(files=(1,))))
    assert vetting.select(built, programs=False) == Selection((0, 4), 0)


def test_programs_are_taken_out_of_a_torrent_and_can_be_let_in() -> None:
    data = made((b"film.mkv", 16384), (b"codec.exe", 10), (b"sub.srt", 10), (b"see.url", 10))
    built = p.build(request(torrent(data=data)))
    vetting.select(built, programs=False)
    assert built.file_priorities == [4, 0, 4, 0]
    built = p.build(request(torrent(data=data), options=Options(files=(1, 2))))
    vetting.select(built, programs=False)
    assert built.file_priorities == [0, 0, 4, 0]
    built = p.build(request(torrent(data=data)))
    vetting.select(built, programs=True)
    assert built.file_priorities == [4, 4, 4, 4]


def test_what_was_saved_while_nothing_was_wanted_yet_does_not_count() -> None:
    built = p.build(request(torrent(data=made((b"a.mkv", 16384), (b"b.exe", 1)))))
    built.file_priorities = [0, 0]
    vetting.select(built, programs=False)
    assert built.file_priorities == [4, 0]


def test_the_files_say_that_they_are_blocked_and_one_sentence_does_too() -> None:
    info = p.parse_torrent(made((b"film.mkv", 16384), (b"codec.exe", 10), (b"x.scr", 1))).ti
    assert info is not None
    facts = p.read_metadata(info).facts
    assert [(f.wanted, f.blocked) for f in facts.files] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    assert facts.note == ("codec.exe, x.scr are left out: programs have no place in a film.")
    allowed = p.read_metadata(info, programs=True).facts
    assert all(f.wanted and not f.blocked for f in allowed.files)
    assert allowed.note is None


def test_a_torrent_of_programs_alone_is_refused() -> None:
    info = p.parse_torrent(made((b"setup.exe", 16384), (b"crack.bat", 10))).ti
    assert info is not None
    with pytest.raises(SourceRejected, match="nothing but programs"):
        p.read_metadata(info)


PROGRAM_NAMES = [
    "setup.exe", "SETUP.EXE", "film.mkv.exe", "film.mkv          .exe", "film.exe.", "film.exe ",
    "film.exe...   ", "film\u202egnp.exe", "film\u202evkm.exe", "film.e\u200bxe", "film.e\u00adxe",
    "film.ｅｘｅ", "film．exe", "film.exe\x00", "film.exe\n", "film.\u200fscr", "a.b.c.scr",
    "Film.app/Contents/MacOS/run", "x.lnk", "x.bat", "x.cmd", "x.com", "x.pif", "x.msi", "x.ps1",
    "x.vbs", "x.js", "x.jar", "x.apk", "x.hta", "x.wsf", "x.cpl", "x.reg", "x.url", "x.desktop",
    "x.sh", "x.app", "x.webloc", "x.dmg", "x.deb", "x.appimage", "x.chm", "x.inf", "x.scf",
    "x.library-ms", "x.settingcontent-ms", "x.xlsm", "x.dll", "dir/sub/film.mp4.lnk",
]  # fmt: skip
FILM_NAMES = [
    "film.mkv", "film.mp4", "film.avi", "film.srt", "film.en.vtt", "film.ass", "film.nfo",
    "film.txt", "poster.jpg", "film.iso", "VIDEO_TS/VTS_01_1.VOB", "film.ts", "film.m2ts",
    "exe", "film", ".exe", "The.Terminal/film.mkv", "Chicken.Run/film.mkv", "Inside.Job/a.mkv",
    "film.exe.mkv", "Command.mkv", "film.sub", "film.idx", "film.flac", "readme", "sample.exe.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", PROGRAM_NAMES)
def test_programs_are_known_however_their_end_is_hidden(name: str) -> None:
    assert is_program(name)


@pytest.mark.parametrize("name", FILM_NAMES)
def test_what_films_consist_of_is_no_program(name: str) -> None:
    assert not is_program(name)


def _hidings(suffix: str) -> Iterator[str]:
    for end, mark in itertools.product(("", ".", " ", "\u202c"), ("", "\u202e", "\u200b")):
        yield f"film.mkv.{mark}{suffix}{end}"


def test_every_suffix_of_the_list_is_caught_in_every_disguise() -> None:
    assert len(PROGRAMS) > 150
    for suffix in PROGRAMS:
        for name in (*_hidings(suffix), *_hidings(suffix.upper())):
            assert is_program(name), repr(name)


def test_the_sentence_names_three_at_most() -> None:
    assert left_out([]) is None
    assert left_out(["a/b.exe"]) == "b.exe is left out: programs have no place in a film."
    many = left_out([f"{i}.exe" for i in range(10)])
    assert many == "0.exe, 1.exe, 2.exe and 7 more are left out: programs have no place in a film."
