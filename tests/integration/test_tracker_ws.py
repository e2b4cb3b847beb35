"""The tracker's WebSocket face served for real: signalling, limits, a thousand bad messages."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any
from urllib.parse import quote_from_bytes

import httpx2
import libtorrent as lt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chilly_movies.tracker import serving
from chilly_movies.tracker.http import Tracker, run_tracker, serve_tracker
from chilly_movies.tracker.signalling import MAX_SDP
from chilly_movies.tracker.websocket import Limits
from tests.tracker_clients import (
    GENEROUS,
    HASH,
    SCRAPE,
    WITHIN,
    announce,
    ask,
    chars,
    dial,
    hear,
    offers,
    peer_id,
    say,
    served,
    settled,
    torment,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/", "/announce"])
async def test_two_clients_find_each_other(path: str) -> None:
    async with served() as (_, url):
        ws = url.ws.replace("/announce", path)
        async with dial(ws) as one, dial(ws) as two:
            state = await ask(one, announce(1, left=0))
            assert (state["interval"], state["complete"], state["incomplete"]) == (60, 1, 0)
            state = await ask(two, announce(2, offers=offers(5)))
            assert (state["complete"], state["incomplete"]) == (1, 1)
            heard = await hear(one)
            assert heard["peer_id"] == peer_id(2)
            assert heard["offer"] == {"type": "offer", "sdp": "v=0 offer"}
            reply = {"to_peer_id": heard["peer_id"], "offer_id": heard["offer_id"]}
            await say(one, announce(1, answer={"type": "answer", "sdp": "v=0 answer"}, **reply))
            heard = await hear(two)
            assert heard["answer"] == {"type": "answer", "sdp": "v=0 answer"}
            assert (heard["peer_id"], heard["offer_id"]) == (peer_id(1), reply["offer_id"])
            # Neither of them was sent anything else.
            for client in (one, two):
                assert (await ask(client, SCRAPE))["action"] == "scrape"


async def test_http_and_websocket_peers_count_together() -> None:
    async with served() as (tracker, url), httpx2.AsyncClient(trust_env=False) as http:
        query = f"info_hash={quote_from_bytes(HASH)}&peer_id=-XX0000-000000000001&port=1001&left=0"
        async with dial(url.ws) as client:
            await ask(client, announce(1))
            told: Any = lt.bdecode((await http.get(f"{url}?{query}")).content)
            assert (told[b"complete"], told[b"incomplete"]) == (1, 1)
            assert told[b"peers"] == b""
            state = await ask(client, announce(1, offers=offers(5)))
            assert (state["complete"], state["incomplete"]) == (1, 1)
            assert tracker.swarms.totals() == (1, 2)
            told = await ask(client, {"action": "scrape", "info_hash": chars(HASH)})
            assert told["files"][chars(HASH)]["complete"] == 1
        await http.get(f"{url}?{query}&event=stopped")


async def test_nobody_can_announce_a_third_party_by_a_proxy_s_header() -> None:
    async with run_tracker() as url, httpx2.AsyncClient(trust_env=False) as http:
        query = f"info_hash={quote_from_bytes(HASH)}&left=5&peer_id=-XX0000-"
        headers = {"X-Forwarded-For": "192.0.2.1"}
        await http.get(f"{url}?{query}000000000001&port=1001", headers=headers)
        told: Any = lt.bdecode((await http.get(f"{url}?{query}000000000002&port=2")).content)
        assert told[b"peers"] == socket.inet_aton("127.0.0.1") + (1001).to_bytes(2, "big")


async def test_who_disconnects_is_out_of_the_swarm() -> None:
    async with served() as (tracker, url), dial(url.ws) as stays:
        before = asyncio.all_tasks()
        async with dial(url.ws) as leaves:
            await ask(stays, announce(1))
            assert (await ask(leaves, announce(2)))["incomplete"] == 2
            leaves.transport.abort()
        await settled(before)
        assert (await ask(stays, announce(1)))["incomplete"] == 1
        assert len(tracker.sockets) == 1


async def test_libtorrent_is_served() -> None:
    """It answers to no number it did not ask for, and to each only with an interval."""
    async with run_tracker() as url:
        settings: Any = {
            "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False,
            "enable_upnp": False, "enable_natpmp": False, "webtorrent_stun_server": "",
            "alert_mask": lt.alert.category_t.tracker_notification,
        }  # fmt: skip
        session = lt.session(settings)
        params = lt.parse_magnet_uri(f"magnet:?xt=urn:btih:{HASH.hex()}&tr={url.ws}")
        params.save_path = "/nonexistent"
        session.add_torrent(params)
        assert await asyncio.to_thread(tracker_answer, session) == "tracker_reply_alert"


def tracker_answer(session: lt.session) -> str:
    """The first alert that says how an announce ended."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        session.wait_for_alert(1_000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.tracker_reply_alert | lt.tracker_error_alert):
                return str(alert.what()) + "_alert"
    return "none"


# Limits


async def refused(url: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with dial(url):
            pass
    return caught.value.response.status_code


async def test_one_address_gets_a_limited_number_of_connections() -> None:
    async with served(Limits(per_address=2)) as (_, url), dial(url.ws):
        before = asyncio.all_tasks()
        async with dial(url.ws):
            assert await refused(url.ws) == 429
        await settled(before)
        async with dial(url.ws) as client:
            assert (await ask(client, announce(1)))["incomplete"] == 1


async def test_there_is_a_limit_of_connections_in_all() -> None:
    async with served(Limits(connections=2)) as (_, url), dial(url.ws), dial(url.ws):
        assert await refused(url.ws) == 503


async def test_http_is_served_while_no_more_sockets_are() -> None:
    async with (
        served(Limits(connections=1)) as (_, url),
        dial(url.ws),
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        assert (await http.get(url)).content.startswith(b"d14:failure reason")


async def test_who_says_nothing_is_dropped() -> None:
    async with served(Limits(idle=0.2)) as (_, url), dial(url.ws) as client:
        async with asyncio.timeout(WITHIN):
            await client.wait_closed()
        assert client.close_code == 1001


async def test_who_asks_too_fast_is_read_more_slowly_and_loses_nothing() -> None:
    async with served(Limits(rate=50, burst=10)) as (_, url), dial(url.ws) as client:
        began = time.monotonic()
        for _ in range(30):
            await say(client, announce(1))
        for _ in range(30):
            assert (await hear(client))["interval"] == 60
        assert time.monotonic() - began > 0.3


def deaf(url: str, **options: Any) -> connect:
    """A client whose machine takes little; it reads only when asked to."""
    port = int(url.split(":")[2].split("/")[0])
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.connect(("127.0.0.1", port))
    narrow.setblocking(False)
    return dial(url, sock=narrow, ping_interval=None, close_timeout=0.1, **options)


async def test_who_asks_and_never_reads_is_dropped() -> None:
    async with served() as (tracker, url), deaf(url.ws) as client:
        await ask(client, announce(1))
        client.transport.pause_reading()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(keep_asking(client), WITHIN)
        assert len(tracker.sockets) == 0
        assert tracker.swarms.totals() == (0, 0)


async def keep_asking(client: ClientConnection) -> None:
    while True:
        await say(client, SCRAPE)


async def test_who_is_sent_offers_and_never_reads_is_dropped_and_not_the_others() -> None:
    limits = Limits(stall=0.3, rate=1e9, burst=1e9)
    async with (
        served(limits) as (tracker, url),
        deaf(url.ws) as client,
        dial(url.ws) as other,
    ):
        await ask(client, announce(1))
        client.transport.pause_reading()
        async with asyncio.timeout(WITHIN):
            while len(tracker.sockets) == 2:
                state = await ask(other, announce(2, offers=offers(3, "x" * MAX_SDP)))
        assert state["interval"] == 60
        assert (await ask(other, announce(2)))["incomplete"] == 1


async def test_who_wants_pongs_and_never_reads_is_dropped() -> None:
    async with served() as (tracker, url), deaf(url.ws) as client:
        await ask(client, announce(1))
        client.transport.pause_reading()
        pings = (b"\x89\xfd" + bytes(4 + 125)) * 500
        async with asyncio.timeout(WITHIN):
            while len(tracker.sockets):
                client.transport.write(pings)
                await asyncio.sleep(0)


async def test_a_tracker_stops_although_somebody_does_not_read() -> None:
    tracker = Tracker(interval=60, limits=GENEROUS)
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as clients:
        async with serve_tracker(tracker) as url:
            client = await clients.enter_async_context(deaf(url.ws))
            await ask(client, announce(1))
            client.transport.pause_reading()
            for _ in range(20):
                await say(client, SCRAPE)
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert len(tracker.sockets) == 0
    await settled(before)


async def test_connected_clients_are_told_that_the_tracker_stops() -> None:
    async with contextlib.AsyncExitStack() as clients:
        async with run_tracker() as url:
            client = await clients.enter_async_context(dial(url.ws))
        await client.wait_closed()
        assert client.close_code == 1012


# The way in

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    "request_text",
    [
        f"POST / HTTP/1.1\r\n{UPGRADE}{KEY}\r\n",
        f"GET / HTTP/1.1\r\n{UPGRADE}\r\n",
        f"GET / HTTP/1.1\r\n{UPGRADE}{KEY.replace('13', '7')}\r\n",
        f"GET / HTTP/1.1\r\n{UPGRADE}{KEY.replace('dGhl', '!!!!')}\r\n",
        f"GET / HTTP/1.1\r\n{UPGRADE}{KEY}X: {'x' * 9_000}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{UPGRADE}{KEY}" + "X: y\r\n" * 200 + "\r\n",
        f"GET /?{'x' * 9_000} HTTP/1.1\r\n{UPGRADE}{KEY}\r\n",
        f"GET /elsewhere HTTP/1.1\r\n{UPGRADE}{KEY}\r\n",
        f"GET / HTTP/1.1\r\n{UPGRADE}{KEY}Content-Length: 5\r\n\r\nabcde",
    ],
)
async def test_a_bad_handshake_is_answered_or_ended(request_text: str) -> None:
    async with served() as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_text.encode())
        async with asyncio.timeout(WITHIN):
            with contextlib.suppress(ConnectionError):
                assert b" 101 " not in (await reader.read())[:20]
        writer.close()


async def test_a_request_that_never_gets_complete_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_REQUEST_TIME", 0.2)
    async with served() as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        async with asyncio.timeout(WITHIN):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        async with dial(url.ws) as client:
            await ask(client, announce(1))
            await asyncio.sleep(0.4)  # a WebSocket outlives it
            assert (await ask(client, announce(1)))["incomplete"] == 1


# A thousand bad messages


async def test_a_thousand_bad_messages_change_nothing() -> None:
    async with served() as (tracker, url), dial(url.ws) as honest:
        assert await torment(url.ws, rounds=28) >= 1_000
        assert len(tracker.swarms) == 0
        assert (await ask(honest, announce(1)))["incomplete"] == 1


# From outside
