"""Torrents that are to blow a parser up (A20): as files, and as metadata that a peer sends."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import libtorrent as lt

if TYPE_CHECKING:
    from lab.siege.attacks import Field

_PIECE = 16384
_ONE = b"6:lengthi16384e4:name4:film12:piece lengthi16384e6:pieces20:" + b"p" * 20
_METADATA = 1
"""What we call the extension of BEP 9."""
_EXTENDED = 20


def files(count: int) -> bytes:
    """The info dictionary of so many files of a byte."""
    listed = b"".join(b"d6:lengthi1e4:pathl%d:%dee" % (len(str(n)), n) for n in range(count))
    pieces = -(-count // 2**20)
    return b"d5:filesl%be4:name4:film12:piece lengthi1048576e6:pieces%d:%be" % (
        listed, 20 * pieces, b"p" * 20 * pieces,
    )  # fmt: skip


def pieces(count: int) -> bytes:
    """The same of one film of so many pieces."""
    return b"d6:lengthi%de4:name4:film12:piece lengthi%de6:pieces%d:%be" % (
        _PIECE * count, _PIECE, 20 * count, b"p" * 20 * count,
    )  # fmt: skip


def deep(levels: int, opened: bytes = b"l") -> bytes:
    """The same of one film, and something that is nested so deep."""
    return b"d%b1:x%b%be" % (_ONE, opened * levels, b"e" * levels)


def large(size: int) -> bytes:
    """The same of one film, and so many bytes of nothing."""
    return b"d%b1:z%d:%be" % (_ONE, size, b"z" * size)


def tracked(count: int, url: bytes = b"http://127.0.0.1:9/%d") -> bytes:
    """A torrent file with so many trackers, each in a tier of its own."""
    urls = (url % n for n in range(count))
    listed = b"".join(b"l%d:%be" % (len(text), text) for text in urls)
    return b"d13:announce-listl%be4:infod%bee" % (listed, _ONE)


def torrent_files(whole: bool = True) -> Iterator[tuple[str, Callable[[], bytes], bool]]:
    """Each torrent file with what it is, what makes it, and whether it is tamed, not refused.

    Args:
        whole: those, too, that no upload may be as large as.
    """
    infos: dict[str, Callable[[], bytes]] = {
        "360,000 files": partial(files, 360_000), "60,000 files": partial(files, 60_000),
        "20,001 files": partial(files, 20_001), "500,000 pieces": partial(pieces, 500_000),
        "lists 10^6 deep": partial(deep, 10**6),
        "dictionaries 10^6 deep": partial(deep, 10**6, b"d1:a"),
    }  # fmt: skip
    if whole:
        infos |= {"10^6 files": partial(files, 10**6), "31 MB": partial(large, 31_000_000),
                  "2,000,000 pieces": partial(pieces, 2_000_000)}  # fmt: skip
    for name, info in infos.items():
        yield name, partial(_torrent, info), False
    yield "50,000 trackers", partial(tracked, 50_000), False
    yield "4,000 trackers", partial(tracked, 4_000), True


def _torrent(info: Callable[[], bytes]) -> bytes:
    return b"d4:info%be" % info()


def metadata() -> Iterator[tuple[str, bytes]]:
    """What a peer sends for a magnet: all within the 8 MiB that are taken, but the last."""
    yield "280,000 files", files(280_000)
    yield "60,000 files", files(60_000)
    yield "400,000 pieces", pieces(400_000)
    yield "lists 10^6 deep", deep(10**6)
    yield "31 MB", large(31_000_000)


class MetadataPeer:
    """Sends one info dictionary to whoever asks, and has nothing else (BEP 9, BEP 10).

    Attributes:
        sent: bytes of it that were asked for.
    """

    def __init__(self, info: bytes) -> None:
        self._info = info
        self._hash = hashlib.sha1(info)
        self._server: asyncio.Server | None = None
        self.sent = 0

    async def __aenter__(self) -> str:
        """The magnet link that leads here."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"magnet:?xt=urn:btih:{self._hash.hexdigest()}&x.pe=127.0.0.1:{port}"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError, asyncio.IncompleteReadError):
            await reader.readexactly(68)
            extended = b"\0\0\0\0\0\x10\0\0"
            writer.write(
                b"\x13BitTorrent protocol"
                + extended
                + self._hash.digest()
                + b"-XX0000-" * 2
                + b"\0" * 4
            )
            about: Any = {b"m": {b"ut_metadata": _METADATA}, b"metadata_size": len(self._info)}
            writer.write(_message(0, lt.bencode(about)))
            theirs = _METADATA
            while True:
                size = struct.unpack(">I", await reader.readexactly(4))[0]
                message = await reader.readexactly(size)
                if message[:1] != bytes([_EXTENDED]):
                    continue
                said: Any = lt.bdecode(message[2:])
                if message[1] == 0:
                    theirs = said[b"m"].get(b"ut_metadata", theirs)
                elif said[b"msg_type"] == 0:
                    begin = said[b"piece"] * _PIECE
                    part = self._info[begin : begin + _PIECE]
                    answer = {
                        b"msg_type": 1,
                        b"piece": said[b"piece"],
                        b"total_size": len(self._info),
                    }
                    writer.write(_message(theirs, lt.bencode(answer) + part))
                    await writer.drain()
                    self.sent += len(part)
        writer.close()


def _message(kind: int, body: bytes) -> bytes:
    return struct.pack(">IBB", len(body) + 2, _EXTENDED, kind) + body


# --- the attack -----------------------------------------------------------------------------


def form(data: bytes, **fields: str) -> tuple[bytes, bytes]:
    """Content type and body of an upload."""
    parts = [
        b'--BOMB\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (name.encode(), value.encode())
        for name, value in fields.items()
    ]
    parts.append(
        b'--BOMB\r\nContent-Disposition: form-data; name="torrent"; filename="a.torrent"\r\n'
        b"Content-Type: application/x-bittorrent\r\n\r\n%b\r\n--BOMB--\r\n" % data
    )
    return b"multipart/form-data; boundary=BOMB", b"".join(parts)


def _post(path: str, kind: bytes, body: bytes) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\n" % (path.encode(), kind)
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


async def torrents(field: Field) -> None:
    """Each bomb as an upload, alone and all at once, and as metadata of a magnet."""
    bombs = torrent_files(whole=field.facts["whole"])
    uploads = [(name, make(), tamed) for name, make, tamed in bombs]
    for name, data, tamed in uploads * field.facts["rounds"]:
        for path in ("/torrents/inspect", "/download/start"):
            kind, body = form(data, id="bomb")
            await _timed(field, name, _post(path, kind, body), tamed)
        if tamed:
            await field.ask(_post("/download/cancel", b"application/json", b'{"id": "bomb"}'))
    small = [
        _post("/torrents/inspect", *form(data)) for name, data, _ in uploads if len(data) < 10**7
    ]

    async def one(request: bytes) -> None:
        field.seen[await field.ask(request)] += 1

    for _ in range(field.facts["rounds"]):
        await asyncio.gather(*map(one, small))
    for name, info in metadata():
        if len(info) < 10**7 or field.facts["whole"]:
            async with MetadataPeer(info) as magnet:
                body = b'{"sourceUrn": "%b"}' % magnet.encode()
                began = time.monotonic()
                status = await field.ask(_post("/torrents/inspect", b"application/json", body))
                field.note(f"ms for a magnet to {name}", round(1000 * (time.monotonic() - began)))
                field.seen[f"magnet {status}"] += 1


async def _timed(field: Field, name: str, request: bytes, tamed: bool) -> None:
    began = time.monotonic()
    status = await field.ask(request)
    field.note(f"ms for {name}", round(1000 * (time.monotonic() - began)))
    field.seen[status] += 1
    if (status == "200") != tamed:
        field.seen["not as wanted"] += 1
