"""The tracker: the table of swarms, its answers, and what hostile clients send."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from typing import Any
from urllib.parse import quote_from_bytes

import httpx2
import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.tracker.http import (
    DEFAULT_NUMWANT,
    MAX_NUMWANT,
    BadQuery,
    Bencodable,
    Tracker,
    answer_announce,
    answer_scrape,
    bencode,
    parse_announce,
    run_tracker,
)
from chilly_movies.tracker.swarms import Peer, SwarmCounts, SwarmTable

pytestmark = pytest.mark.anyio

HASH = bytes(range(236, 256))
OTHER = b"another swarm's hash"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def peer(number: int, *, complete: bool = False, ip: str = "127.0.0.1") -> Peer:
    return Peer(b"-XX0000-%012d" % number, ipaddress.ip_address(ip), 1_000 + number, complete)


def query(**fields: object) -> bytes:
    given: dict[str, object] = {"info_hash": HASH, "peer_id": b"-XX0000-000000000001"}
    given |= {"port": 1001, "left": 5, **fields}
    return "&".join(
        f"{name}={quote_from_bytes(value) if isinstance(value, bytes) else value}"
        for name, value in given.items()
        if value is not None
    ).encode()


# The table


def test_a_peer_is_told_of_the_others_and_not_of_itself() -> None:
    table = SwarmTable()
    for number in range(3):
        table.join(HASH, peer(number))
    assert set(table.peers_for(HASH, peer(0), 50)) == {peer(1), peer(2)}
    assert table.peers_for(OTHER, peer(0), 50) == []


def test_no_more_peers_than_wanted() -> None:
    table = SwarmTable()
    for number in range(20):
        table.join(HASH, peer(number))
    assert len(set(table.peers_for(HASH, peer(0), 7))) == 7
    assert table.peers_for(HASH, peer(0), 0) == []


def test_a_complete_peer_hears_of_incomplete_ones_first_and_of_complete_ones_too() -> None:
    table = SwarmTable()
    for number in range(10):
        table.join(HASH, peer(number, complete=number != 4))
    heard = table.peers_for(HASH, peer(0, complete=True), 50)
    assert heard[0] == peer(4)
    assert len(heard) == 9


def test_counts_follow_peers_that_join_complete_and_leave() -> None:
    table = SwarmTable()
    table.join(HASH, peer(1))
    table.join(HASH, peer(2))
    assert table.counts(HASH) == SwarmCounts(complete=0, incomplete=2, downloaded=0)
    table.join(HASH, peer(2, complete=True), just_completed=True)
    assert table.counts(HASH) == SwarmCounts(complete=1, incomplete=1, downloaded=1)
    table.leave(HASH, peer(2, complete=True))
    assert table.counts(HASH) == SwarmCounts(complete=0, incomplete=1, downloaded=1)
    table.leave(OTHER, peer(1))
    assert table.counts(OTHER) == SwarmCounts()


def test_an_entry_cannot_be_removed_from_another_address() -> None:
    table = SwarmTable()
    table.join(HASH, peer(1))
    table.leave(HASH, peer(1, ip="127.0.0.2"))
    assert table.counts(HASH).incomplete == 1


def test_silent_peers_are_forgotten() -> None:
    clock = Clock()
    table = SwarmTable(peer_ttl=60, clock=clock)
    table.join(HASH, peer(1, complete=True))
    clock.now += 40
    table.join(HASH, peer(2))
    clock.now += 40
    assert table.counts(HASH) == SwarmCounts(complete=0, incomplete=1)
    assert table.peers_for(HASH, peer(3), 50) == [peer(2)]


def test_a_full_swarm_drops_the_peer_heard_of_longest_ago() -> None:
    table = SwarmTable(max_peers=3)
    for number in (1, 2, 3, 1, 4):
        table.join(HASH, peer(number))
    assert set(table.peers_for(HASH, peer(9), 50)) == {peer(3), peer(1), peer(4)}


def test_a_full_table_drops_the_swarm_heard_of_longest_ago() -> None:
    table = SwarmTable(max_swarms=2)
    for info_hash in (b"a" * 20, b"b" * 20, b"a" * 20, b"c" * 20):
        table.join(info_hash, peer(1))
    assert len(table) == 2
    assert table.counts(b"b" * 20) == SwarmCounts()
    assert table.counts(b"a" * 20).incomplete == 1


def test_swarms_without_peers_make_room() -> None:
    clock = Clock()
    table = SwarmTable(peer_ttl=60, clock=clock)
    for number in range(10):
        table.join(bytes([number]) * 20, peer(1))
    clock.now += 61
    table.join(HASH, peer(1))
    assert len(table) == 1


def test_a_flood_stays_within_the_limits() -> None:
    table = SwarmTable(max_swarms=10, max_peers=5)
    for number in range(5_000):
        table.join(b"%020d" % (number // 100), peer(number))
    assert len(table) == 10
    assert sum(table.counts(b"%020d" % number).incomplete for number in range(50)) == 50


# Bencoding


@given(
    st.recursive(
        st.integers(-(2**63), 2**63 - 1) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.binary(), inner),
        max_leaves=20,
    )
)
def test_bencoding_is_what_libtorrent_writes(value: Any) -> None:
    assert bencode(value) == lt.bencode(value)


def test_text_is_bencoded_as_utf_8() -> None:
    assert bencode("één") == "5:één".encode()


# Announces


def test_an_announce_is_understood() -> None:
    asked = parse_announce(query(left=0, event="completed", numwant=7, compact=0), "127.0.0.1")
    assert asked.info_hash == HASH
    assert asked.peer == peer(1, complete=True)
    assert (asked.event, asked.numwant, asked.compact) == (b"completed", 7, False)


@pytest.mark.parametrize(
    ("numwant", "granted"),
    [(None, DEFAULT_NUMWANT), (-1, DEFAULT_NUMWANT), (0, 0), (10**8, MAX_NUMWANT)],
)
def test_numwant_is_kept_within_limits(numwant: int | None, granted: int) -> None:
    assert parse_announce(query(numwant=numwant), "127.0.0.1").numwant == granted


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"&&&=&%",
        b"info_hash",
        query(info_hash=None),
        query(info_hash=b""),
        query(info_hash=b"x" * 19),
        query(info_hash=b"x" * 21),
        query(info_hash="%zz%f"),
        query() + b"&info_hash=" + b"x" * 20,
        query(peer_id=None),
        query(peer_id=b"short"),
        query(port=None),
        query(port=0),
        query(port=65536),
        query(port=-1),
        query(port="1e3"),
        query(port="%D9%A1"),
        query(port="1" * 5_000),
        query() + b"&port=1",
        query() + b"&x=" + b"y" * 10_000,
    ],
)
async def test_hostile_queries_get_a_failure_reason(hostile: bytes) -> None:
    with pytest.raises(BadQuery):
        parse_announce(hostile, "127.0.0.1")
    async with client() as tracker:
        response = await tracker.get("/announce?" + hostile.decode())
        assert response.status_code == 200
        assert response.content.startswith(b"d14:failure reason")


@given(st.binary(max_size=200))
def test_no_query_breaks_the_parser(noise: bytes) -> None:
    for text in (noise, query() + b"&" + noise):
        try:
            asked = parse_announce(text, "127.0.0.1")
        except BadQuery:
            continue
        bencode(answer_announce(SwarmTable(), asked, 60))


@pytest.mark.parametrize("address", ["", "testclient", "1.2.3.4.5", "/run/socket"])
def test_a_client_without_an_address_is_refused(address: str) -> None:
    with pytest.raises(BadQuery, match="address"):
        parse_announce(query(), address)


def test_the_address_is_where_the_request_came_from() -> None:
    """Else anybody could send a swarm to a third party."""
    claimed = query() + b"&ip=192.0.2.1&ipv4=192.0.2.1&ipv6=2001:db8::1"
    assert str(parse_announce(claimed, "127.0.0.1").peer.ip) == "127.0.0.1"
    assert str(parse_announce(query(), "::ffff:127.0.0.1").peer.ip) == "127.0.0.1"
    assert str(parse_announce(query(), "fe80::1%lo").peer.ip) == "fe80::1"


@pytest.mark.parametrize("left", [None, -1, "", "Infinity", "1" * 5_000, "00x"])
def test_only_nothing_left_makes_a_peer_complete(left: object) -> None:
    assert not parse_announce(query(left=left), "127.0.0.1").peer.complete


def told(asked: bytes, ip: str = "127.0.0.1") -> dict[bytes, Bencodable]:
    table = SwarmTable()
    table.join(HASH, peer(2, complete=True))
    table.join(HASH, peer(3, ip="::1"))
    return answer_announce(table, parse_announce(asked, ip), 60)


def test_compact_answers_hold_each_family_in_its_own_list() -> None:
    answer = told(query())
    assert answer[b"peers"] == b"\x7f\x00\x00\x01" + (1002).to_bytes(2, "big")
    assert answer[b"peers6"] == bytes(15) + b"\x01" + (1003).to_bytes(2, "big")
    assert (answer[b"interval"], answer[b"complete"], answer[b"incomplete"]) == (60, 1, 2)


def test_answers_can_be_lists_of_dictionaries() -> None:
    peers = told(query(compact=0))[b"peers"]
    assert isinstance(peers, list)
    assert {b"peer id": peer(3).peer_id, b"ip": "::1", b"port": 1003} in peers


def test_a_peer_that_stops_is_forgotten_and_told_of_nobody() -> None:
    table = SwarmTable()
    table.join(HASH, peer(1))
    table.join(HASH, peer(2))
    answer = answer_announce(table, parse_announce(query(event="stopped"), "127.0.0.1"), 60)
    assert answer[b"peers"] == b""
    assert answer[b"incomplete"] == 1


def test_scrape_counts_the_swarms_asked_for() -> None:
    table = SwarmTable()
    table.join(HASH, peer(1))
    asked = b"info_hash=%b&info_hash=%b" % (
        quote_from_bytes(HASH).encode(),
        quote_from_bytes(OTHER).encode(),
    )
    empty = {b"complete": 0, b"incomplete": 0, b"downloaded": 0}
    assert answer_scrape(table, asked) == {
        b"files": {HASH: {**empty, b"incomplete": 1}, OTHER: empty}
    }


@pytest.mark.parametrize(
    "hostile", ["", "info_hash=", "info_hash=short", "&".join(["info_hash=" + "x" * 20] * 65)]
)
async def test_there_is_no_scrape_of_everything(hostile: str) -> None:
    async with client() as tracker:
        response = await tracker.get("/scrape?" + hostile)
        assert response.status_code == 200
        assert response.content.startswith(b"d14:failure reason")


# Served


def client() -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(Tracker().app, client=("127.0.0.1", 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://tracker")


def decoded(response: httpx2.Response) -> dict[bytes, Any]:
    answer: Any = lt.bdecode(response.content)
    assert isinstance(answer, dict)
    return answer


async def test_a_served_tracker_introduces_two_clients() -> None:
    async with run_tracker(interval=30) as url, httpx2.AsyncClient(trust_env=False) as http:
        await http.get(f"{url}?{query(port=1001).decode()}")
        response = await http.get(f"{url}?{query(port=1002).decode()}")
        answer = decoded(response)
        assert answer[b"interval"] == 30
        assert answer[b"peers"] == b"\x7f\x00\x00\x01" + (1001).to_bytes(2, "big")
        scraped = await http.get(url.replace("announce", "scrape") + "?" + query().decode())
        assert decoded(scraped)[b"files"][HASH][b"incomplete"] == 2


async def test_a_tracker_serves_ipv6() -> None:
    async with run_tracker("::1") as url, httpx2.AsyncClient(trust_env=False) as http:
        assert url.startswith("http://[::1]:")
        await http.get(f"{url}?{query(port=1001).decode()}")
        response = await http.get(f"{url}?{query(port=1002).decode()}")
        assert decoded(response)[b"peers6"].endswith((1001).to_bytes(2, "big"))


async def test_a_taken_port_is_an_os_error() -> None:
    async with run_tracker() as url:
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            async with run_tracker(port=port):
                pass


async def test_a_request_line_without_end_is_refused() -> None:
    async with run_tracker() as url:
        port = int(url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /announce?" + b"x" * 1_000_000)
        assert b" 400 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serving_leaves_signal_handlers_alone(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    async with run_tracker():
        assert signal.getsignal(number) is before
