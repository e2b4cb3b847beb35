"""Makes hostile torrent files: every field wrong in every way we could think of."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from typing import Any

import libtorrent as lt

PIECE = 16384
NAMES: tuple[bytes, ...] = (
    b"..", b".", b"", b"/", b"/etc/passwd", b"../../victim", b"..\\..\\victim", b"C:\\victim",
    b"\\\\host\\share\\victim", b"a/../../victim", b"....//....//victim", b"%2e%2e%2fvictim",
    b"a\x00b", b"a\nb", b"\x1b[31mred", b"\xff\xfe", b"\xc0\xae\xc0\xae/victim", b"con", b"NUL.mkv",
    b"aux.", b"film.", b"film ", b" film", b".bashrc", b".ssh", b"film.mkv:stream", b"x" * 5000,
    "\u202egnp.exe".encode(), "é".encode() * 300, "e\u0301".encode(),
    b"<img src=x onerror=alert(1)>",
    b'";rm -rf /;"', b"$(touch victim)", b"`touch victim`", b"-rf", b"~", b"~root", b"*", b"?",
    b".incomplete", b"chilly.db", b"film.exe", b"film.lnk", b"film.desktop", b"\xf0\x9f\x8e\xac",
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, 0, -1, 2**63 - 1, -(2**63), b"", b"x" * 10_000, [[]], {b"": b""}, [[b"x"]],
)  # fmt: skip
"""Values no field expects all of; None takes the field away."""
_TRACKERS: tuple[bytes, ...] = (
    b"http://127.0.0.1:1/announce", b"http://0/announce", b"ws://127.0.0.1:1/", b"file:///etc/passwd",
    b"http://[::1]:1/", b"udp://localhost:1", b"\xff", b"http://a@127.0.0.1/",
    b"http://" + b"a" * 9000,
)  # fmt: skip


def single() -> dict[bytes, Any]:
    """A sound v1 torrent of one file."""
    info = {b"name": b"film.mkv", b"piece length": PIECE, b"pieces": b"p" * 20, b"length": PIECE}
    return {b"announce": b"http://tracker.example/announce", b"info": info}


def several(*paths: list[bytes], size: int = 0) -> dict[bytes, Any]:
    """A sound v1 torrent of a film and further files, empty ones unless said otherwise."""
    files = [{b"length": PIECE, b"path": [b"film.mkv"]}]
    files += [{b"length": size, b"path": path} for path in paths]
    pieces = -(-(PIECE + size * len(paths)) // PIECE)
    info = {
        b"name": b"films",
        b"piece length": PIECE,
        b"pieces": b"p" * 20 * pieces,
        b"files": files,
    }
    return {b"info": info}


def second() -> dict[bytes, Any]:
    """A sound v2 torrent."""
    root = hashlib.sha256(b"film").digest()
    leaf = {b"": {b"length": PIECE, b"pieces root": root}}
    info = {b"name": b"film2", b"piece length": PIECE, b"meta version": 2,
            b"file tree": {b"film.mkv": leaf}}  # fmt: skip
    return {b"info": info, b"piece layers": {}}


def _with(base: dict[bytes, Any], path: tuple[Any, ...], value: Any) -> dict[bytes, Any]:
    made = copy.deepcopy(base)
    place: Any = made
    for key in path[:-1]:
        place = place[key]
    if value is None:
        place.pop(path[-1], None) if isinstance(place, dict) else place.pop(path[-1])
    else:
        place[path[-1]] = value
    return made


_INFO = b"info"
_FIELDS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("single", (_INFO,)), ("single", (_INFO, b"name")), ("single", (_INFO, b"piece length")),
    ("single", (_INFO, b"pieces")), ("single", (_INFO, b"length")), ("single", (_INFO, b"private")),
    ("several", (_INFO, b"files")), ("several", (_INFO, b"files", 1)),
    ("several", (_INFO, b"files", 1, b"path")), ("several", (_INFO, b"files", 1, b"length")),
    ("several", (_INFO, b"files", 1, b"attr")), ("second", (_INFO, b"meta version")),
    ("second", (_INFO, b"file tree")), ("second", (_INFO, b"file tree", b"film.mkv")),
    ("second", (b"piece layers",)), ("single", (b"announce",)), ("single", (b"announce-list",)),
    ("single", (b"url-list",)), ("single", (b"nodes",)), ("single", (b"creation date",)),
)  # fmt: skip


def documents() -> Iterator[tuple[str, bytes]]:
    """Each hostile file with what is wrong with it."""
    bases = {"single": single(), "several": several([b"two.srt"]), "second": second()}
    for kind, path in _FIELDS:
        for value in WRONG:
            label = f"{kind} {b'.'.join(k for k in path if isinstance(k, bytes)).decode()}"
            yield f"{label} = {str(value)[:20]}", lt.bencode(_with(bases[kind], path, value))
    for number, name in enumerate(NAMES):
        yield f"name {number} of a file", lt.bencode(_with(single(), (_INFO, b"name"), name))
        yield (
            f"name {number} of a folder",
            lt.bencode(_with(several([b"e"]), (_INFO, b"name"), name)),
        )
        yield f"name {number} in a folder", lt.bencode(several([name]))
        yield f"name {number} as a folder", lt.bencode(several([name, b"victim"]))
    yield from _links()
    yield from _lists()
    yield from _bombs()


def _links() -> Iterator[tuple[str, bytes]]:
    for target in ([b"..", b"victim"], [b"/", b"etc", b"passwd"], [b"film.mkv"], [], [b"ln"]):
        made = several([b"ln"], [b"ln", b"inside"])
        made[_INFO][b"files"][1].update({b"attr": b"l", b"symlink path": target})
        yield f"a link to {target}", lt.bencode(made)
    made = several([b"run.sh"], [b"film2.mkv"])
    for file in made[_INFO][b"files"]:
        file[b"attr"] = b"x"
    yield "files that may be run", lt.bencode(made)


def _lists() -> Iterator[tuple[str, bytes]]:
    for tracker in _TRACKERS:
        yield f"tracker {tracker[:20]!r}", lt.bencode(_with(single(), (b"announce",), tracker))
        lists = _with(single(), (b"announce-list",), [[tracker] * 30] * 20)
        yield f"trackers {tracker[:20]!r}", lt.bencode(lists)
        yield f"seeds {tracker[:20]!r}", lt.bencode(_with(single(), (b"url-list",), [tracker] * 25))
    nodes = [[b"127.0.0.1", 1], [b"\xff", -1], [1, b"x"], []]
    yield "nodes", lt.bencode(_with(single(), (b"nodes",), nodes))
    same = several(*[[b"Film.mkv"], [b"FILM.MKV"], [b"film.mkv"], ["ﬁlm.mkv".encode()]])
    yield "names that are one to some disks", lt.bencode(same)
    yield "a file that is a folder, too", lt.bencode(several([b"a"], [b"a", b"b"], [b"A", b"c"]))


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "100,000 files", lt.bencode(several(*[[b"%d" % i] for i in range(100_000)]))
    yield "20,001 files", lt.bencode(several(*[[b"%d" % i] for i in range(20_001)]))
    yield "90 folders deep", lt.bencode(several([b"d"] * 90))
    yield "600 files of one name", lt.bencode(several(*[[b"a"]] * 600))
    pieces = _with(single(), (_INFO, b"pieces"), b"p" * 20 * 300_000)
    pieces[_INFO][b"length"] = PIECE * 300_000
    yield "300,000 pieces", lt.bencode(pieces)
    huge = _with(single(), (_INFO, b"length"), PIECE * 2**40)
    yield "a file of 2^54 bytes", lt.bencode(huge)
    yield "a deep list", b"d4:info" + b"l" * 100_000 + b"e" * 100_000 + b"e"
    yield "a deep dictionary", b"d4:info" + b"d1:a" * 50_000 + b"e" * 50_001
    yield "a length that lies", b"d4:info99999999999:x"
    yield "a negative length", b"d4:info-5:xe"
    yield "a number without end", b"d4:infoi" + b"9" * 100_000
    yield "half a file", lt.bencode(single())[:60]
    yield "nothing", b""
    yield "a page", b"<!doctype html><script>alert(1)</script>"
    yield "zeros", bytes(100_000)
