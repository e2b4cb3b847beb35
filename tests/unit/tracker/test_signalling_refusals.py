"""Signalling: scraping, what is refused, and the limits of a connection."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.tracker.signalling import (
    MAX_SCRAPE,
    MAX_SDP,
    BadMessage,
    Signalling,
    parse,
    read_object,
)
from chilly_movies.tracker.swarms import SwarmTable, parse_address
from chilly_movies.tracker.websocket import Limits, Outbox, Sockets, TokenBucket, _place
from tests.signalling_room import (
    HASH,
    LOOPBACK,
    OTHER,
    Clock,
    Room,
    announce,
    answer,
    chars,
    offer,
)

pytestmark = pytest.mark.anyio


# Scraping


@pytest.mark.parametrize("wanted", [chars(HASH), [chars(HASH)]])
def test_a_scrape_counts_one_swarm_or_several(wanted: object) -> None:
    room = Room()
    room.say(1, announce(1))
    [told] = room.say(1, {"action": "scrape", "info_hash": wanted})
    counts = {"complete": 0, "incomplete": 1, "downloaded": 0}
    assert (told["action"], told["files"]) == ("scrape", {chars(HASH): counts})


def test_the_scrape_of_an_unknown_swarm_is_empty_and_makes_none() -> None:
    room = Room()
    [told] = room.say(1, {"action": "scrape", "info_hash": [chars(OTHER), chars(HASH)]})
    assert len(told["files"]) == 2
    assert len(room.table) == 0


@pytest.mark.parametrize(
    "wanted", [None, [], {}, 5, "short", ["x" * 20] * (MAX_SCRAPE + 1), [chars(HASH), 1], [[]]]
)
def test_there_is_no_scrape_of_everything(wanted: object) -> None:
    [refused] = Room().say(1, {"action": "scrape", "info_hash": wanted})
    assert refused["action"] == "scrape"
    assert refused["failure reason"]


# Messages nobody should send


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "5",
        '"announce"',
        "NaN",
        "[" * 60_000,
        '{"a":' * 10_000,
        '{"left": ' + "1" * 5_000 + "}",
        "{'action': 'announce'}",
        "\x00",
        "\ufeff{}",
        "d8:announce0:e",
    ],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    assert Room().refusal(text)


def test_binary_frames_are_refused() -> None:
    assert "binary" in Room().refusal(None)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in announce(offers=1).items() if key != name}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"action": "offer"},
        {"action": ["announce"]},
        {"action": {"toString": "announce"}},
        {"__proto__": announce()},
        without("info_hash"),
        without("peer_id"),
        announce(info_hash="x" * 19),
        announce(info_hash="x" * 21),
        announce(info_hash="ab" * 20),
        announce(info_hash="x" * 19 + "\u0100"),
        announce(info_hash="x" * 19 + "\ud800"),
        announce(info_hash=20),
        announce(info_hash=["x"] * 20),
        announce(peer_id="short"),
        announce(peer_id="\U0001f600" * 20),
        announce(event=5),
        announce(event=["started"]),
        announce(offers={"0": offer(1), "length": 1}),
        announce(offers="offers"),
        announce(offers=[None]),
        announce(offers=["v=0"]),
        announce(offers=[{**offer(1), "offer_id": 1}]),
        announce(offers=[{**offer(1), "offer_id": "x" * 40}]),
        announce(offers=[{**offer(1), "offer": None}]),
        announce(offers=[{**offer(1), "offer": "v=0"}]),
        announce(offers=[{**offer(1), "offer": {"type": "answer", "sdp": "v=0"}}]),
        announce(offers=[{**offer(1), "offer": {"type": "offer"}}]),
        announce(offers=[offer(1, sdp="")]),
        announce(offers=[offer(1, sdp="x" * (MAX_SDP + 1))]),
        announce(offers=[offer(1, sdp="v=0 \ud83d")]),
        announce(offers=[{**offer(1), "offer": {"type": "offer", "sdp": 5}}]),
        answer(1, 2, 3, to_peer_id=None),
        answer(1, 2, 3, to_peer_id="short"),
        answer(1, 2, 3, offer_id=None),
        answer(1, 2, 3, answer="v=0"),
        answer(1, 2, 3, answer=True),
        answer(1, 2, 3, answer={"type": "offer", "sdp": "v=0"}),
        answer(1, 2, 3, answer={"type": "answer", "sdp": ["v=0"]}),
    ],
)
def test_wrong_messages_get_a_failure_reason_and_change_nothing(message: dict[str, Any]) -> None:
    room = Room()
    assert room.refusal(message)
    assert len(room.table) == 0
    assert room.client(1).memberships == {}


def test_a_failure_names_the_torrent_if_that_is_known() -> None:
    """libtorrent keeps several torrents on a connection and cannot tell otherwise."""
    [failure] = Room().say(1, announce(peer_id="short"))
    assert (failure["action"], failure["info_hash"]) == ("announce", chars(HASH))
    [failure] = Room().say(1, announce(info_hash="short"))
    assert "info_hash" not in failure


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=25),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*announce(), *answer(1, 2, 3), "sdp", "type"]), inner)
    ),
    max_leaves=12,
)


@given(st.text() | st.sampled_from([announce(offers=2), answer(1, 2, 3)]), st.data())
def test_no_message_breaks_it(message: Any, data: st.DataObject) -> None:
    if isinstance(message, dict):
        name = data.draw(st.sampled_from(sorted(message)))
        message = json.dumps({**message, name: data.draw(JSON)})
    room = Room()
    room.say(2, announce(2))
    room.say(1, message)
    room.leave(1)
    room.leave(2)
    assert room.table.totals() == (0, 0)
    with contextlib.suppress(BadMessage):
        parse(read_object(message))


# What one client may cost


def test_a_token_bucket_lends_and_wants_it_back() -> None:
    clock = Clock()
    bucket = TokenBucket(rate=10, burst=20, clock=clock)
    assert bucket.spend(20) == 0
    assert bucket.spend(5) == pytest.approx(0.5)
    clock.now += 0.5
    assert bucket.spend(1) == pytest.approx(0.1)
    clock.now += 1_000
    assert bucket.spend(20) == 0
    assert bucket.spend(1) > 0


async def test_an_outbox_gives_in_order_what_was_put() -> None:
    outbox = Outbox(Limits())
    for text in ("1", "2", "3"):
        outbox.put(text, from_others=False)
    assert [await outbox.get() for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize("limits", [Limits(queued=3), Limits(queued_characters=30)])
async def test_a_full_outbox_leaves_out_what_others_send(limits: Limits) -> None:
    """Nobody gets another client dropped by flooding it."""
    outbox = Outbox(limits)
    for _ in range(10):
        outbox.put("x" * 10, from_others=True)
    assert not outbox.overflowed.is_set()
    outbox.put("its own", from_others=False)
    outbox.put("its own, and too long for the rest of it" * 10, from_others=False)
    assert outbox.overflowed.is_set()


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert _place(parse_address("2001:db8::1")) == _place(parse_address("2001:db8::ffff:1"))
    assert _place(parse_address("2001:db8:0:1::1")) != _place(parse_address("2001:db8::1"))
    assert _place(parse_address("::ffff:127.0.0.1")) == _place(LOOPBACK)
    assert _place(parse_address("127.0.0.2")) != _place(LOOPBACK)


def test_nothing_is_open_in_the_beginning() -> None:
    assert len(Sockets(Signalling(SwarmTable(), interval=60))) == 0
