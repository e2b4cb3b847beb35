"""A thousand wrong messages of trackers: the engine goes on with its work, and nothing piles up."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chilly_movies import Status
from chilly_movies.drivers.torrent.engine import session
from chilly_movies.drivers.torrent.mends import handshakes
from tests.integration.engine import running, until
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.netns import Network, network_namespace
from tests.peers.torrents import make_film, make_torrent, sha256_of
from tests.tracker_clients import STRANGE, chars, peer_id

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120), pytest.mark.xdist_group("webrtc")]

MIB = 1 << 20
MESSAGES = 1_000
JOBS = 20
WITHIN = 40.0
BAD_CANDIDATES = "a=candidate:1 1 UDP 99999999999 256.1.1.1 99999 typ host\r\n" * 20
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=sctp-port:5000\r\n"
)
Make = Callable[[int, "Heard"], str | bytes]


class Heard:
    """What an announce said."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.offer_ids: list[str]
        self.info_hash = fields["info_hash"]
        self.peer_id = fields["peer_id"]
        self.offer_ids = [one["offer_id"] for one in fields.get("offers", [])] or ["x" * 20]


def offer(i: int, heard: Heard, sdp: Any, **more: Any) -> str:
    message = {"action": "announce", "info_hash": heard.info_hash, "peer_id": peer_id(i)}
    message |= {"offer_id": chars(os.urandom(20)), "offer": {"type": "offer", "sdp": sdp}}
    return json.dumps({**message, **more})


def answer(i: int, heard: Heard, offer_id: str, sdp: Any, **more: Any) -> str:
    message = {"action": "announce", "info_hash": heard.info_hash, "peer_id": peer_id(i)}
    message |= {"offer_id": offer_id, "answer": {"type": "answer", "sdp": sdp}}
    return json.dumps({**message, **more})


def known(i: int, heard: Heard) -> str:
    """One of the offers' own names."""
    return heard.offer_ids[i % len(heard.offer_ids)]


def reply(heard: Heard, **fields: Any) -> str:
    return json.dumps({"action": "announce", "info_hash": heard.info_hash, **fields})


OURS: dict[str, Make] = {
    "an offer": lambda i, h: offer(i, h, SDP),
    "an offer of rubbish": lambda i, h: offer(i, h, "v=0 rubbish"),
    "an empty offer": lambda i, h: offer(i, h, ""),
    "an offer with a number": lambda i, h: offer(i, h, i),
    "an offer without sdp": lambda i, h: offer(i, h, SDP, offer={"type": "offer"}),
    "an offer as text": lambda i, h: offer(i, h, SDP, offer="v=0"),
    "an offer that is an answer": lambda i, h: offer(i, h, SDP, offer={"type": "answer"}),
    "a huge offer": lambda i, h: offer(i, h, SDP + "a=x:" + "y" * 200_000),
    "an offer of many lines": lambda i, h: offer(i, h, SDP + "a=candidate:x\r\n" * 5_000),
    "an offer of bad candidates": lambda i, h: offer(i, h, SDP + BAD_CANDIDATES),
    "an offer without a fingerprint": lambda i, h: offer(i, h, SDP.replace("a=fingerprint", "a=x")),
    "an offer with a short fingerprint": lambda i, h: offer(i, h, SDP.replace("AB:" * 31, "")),
    "an offer of ports": lambda i, h: offer(i, h, SDP.replace("5000", "99999999999999999999")),
    "an offer with NUL": lambda i, h: offer(i, h, SDP.replace("abcd", "ab\0cd")),
    "an offer by nobody": lambda i, h: offer(i, h, SDP, peer_id=""),
    "an offer by a number": lambda i, h: offer(i, h, SDP, peer_id=i),
    "an offer of no name": lambda i, h: offer(i, h, SDP, offer_id=None),
    "an offer of a long name": lambda i, h: offer(i, h, SDP, offer_id="x" * 70_000),
    "an offer for another torrent": lambda i, h: offer(i, h, SDP, info_hash=chars(b"%020d" % i)),
    "an offer from itself": lambda i, h: offer(i, h, SDP, peer_id=h.peer_id),
    "an answer to nobody": lambda i, h: answer(i, h, chars(b"%020d" % i), SDP),
    "an answer of rubbish": lambda i, h: answer(i, h, known(i, h), "rubbish"),
    "an answer with a number": lambda i, h: answer(i, h, known(i, h), i),
    "an answer without sdp": lambda i, h: answer(i, h, known(i, h), SDP, answer={}),
    "an answer as text": lambda i, h: answer(i, h, known(i, h), SDP, answer="x"),
    "an answer": lambda i, h: answer(i, h, known(i, h), SDP.replace("actpass", "active")),
    "a second answer": lambda i, h: answer(i, h, h.offer_ids[0], SDP),
    "an interval of text": lambda _, h: reply(h, interval="soon"),
    "an interval below nothing": lambda i, h: reply(h, interval=-i),
    "an interval without end": lambda i, h: reply(h, interval=10 ** (18 + i % 300)),
    "an interval of parts": lambda _, h: reply(h, interval=1e308, complete=-1, incomplete=2**70),
    "counts of text": lambda _, h: reply(h, interval=120, complete="all", incomplete=[]),
    "a failure of numbers": lambda i, h: reply(h, **{"failure reason": i}),
    "a failure": lambda i, h: reply(h, **{"failure reason": "x" * 10_000}),
    "a warning": lambda i, h: reply(h, **{"warning message": {}}),
    "a tracker id": lambda i, h: reply(h, **{"tracker id": [i]}),
}  # fmt: skip


def plain(make: Callable[[int], str | bytes]) -> Make:
    return lambda i, _: make(i)


EVERYTHING = {**OURS, **{f"{name}, of a client": plain(make) for name, make in STRANGE.items()}}


@asynccontextmanager
async def hostile(host: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Trackers that answer announces with a thousand wrong messages, one after the other.

    After each comes a ping, whose answer says that the engine has read what was before it. About
    half of the messages make it hang up; it comes back with its next announce.
    """
    said = asyncio.Event()
    left = iter(range(MESSAGES))
    names = itertools.cycle(EVERYTHING)

    async def talk(socket: ServerConnection) -> None:
        heard = Heard(json.loads(await socket.recv()))
        while (number := next(left, None)) is not None:
            await socket.send(EVERYTHING[next(names)](number, heard))
            await (await socket.ping())
        said.set()
        await socket.wait_closed()

    async def handle(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await talk(socket)

    async with serve(handle, host, 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://{host}:{port}", said


@pytest.fixture
def network() -> Iterator[Network]:
    with network_namespace() as network:
        yield network


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announces follow each other at once, so that a thousand messages need no hour."""
    monkeypatch.setattr(handshakes, "_PAUSES", (0.2,) * 6)
    monkeypatch.setattr(session, "_TICK", 0.05)


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("hasty")
async def test_a_thousand_wrong_messages_crash_nothing_and_leave_nothing(
    tmp_path: Path, network: Network
) -> None:
    make_film(tmp_path / "source" / "film.mkv", 16 * MIB)
    film = make_torrent(tmp_path / "source" / "film.mkv", tmp_path / "film.torrent")
    few = {"max_webtorrent_offers": 1, "webtorrent_connection_timeout": 2}
    async with (
        hostile(network.address) as (url, said),
        LibtorrentPeer(host=network.address) as seeder,
        running(
            tmp_path, interface=None, webtorrent=True, extra=few, max_active=JOBS + 1
        ) as downloader,
    ):
        await seeder.seed(film.path, film.folder, upload_limit=4 * MIB)
        urn = f"{film.magnet}&x.pe={network.address}:{seeder.port}"
        await downloader.start(id="film", source_urn=urn)
        await until(downloader, "film", lambda job: job.progress.bytes_downloaded > 0)
        before, memory = descriptors(), resident()
        for number in range(JOBS):
            trackers = "".join(f"&tr={url}/{number}/{i}" for i in range(5))
            magnet = f"magnet:?xt=urn:btih:{number + 1:040x}{trackers}"
            await downloader.start(id=f"hostile-{number}", source_urn=magnet)
        assert (await downloader.wait("film")).status is Status.COMPLETED
        await asyncio.wait_for(said.wait(), WITHIN)
        assert resident() - memory < 200 * MIB
        for number in range(JOBS):
            assert (await downloader.status(f"hostile-{number}")).status is Status.ACTIVE
            await downloader.cancel(f"hostile-{number}")
        async with asyncio.timeout(WITHIN):
            while descriptors() > before + 30:  # noqa: ASYNC110  # the engine tells nobody
                await asyncio.sleep(0.05)
    assert sha256_of(tmp_path / "media" / "film.mkv") == sha256_of(film.content)
