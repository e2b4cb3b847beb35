"""The signalling of the tracker: what it answers, hands over, remembers and refuses."""

from __future__ import annotations

import gc
import weakref

import pytest

from chilly_movies.tracker.signalling import MAX_OFFERS, MAX_UNANSWERED
from chilly_movies.tracker.swarms import Peer, SwarmCounts
from tests.signalling_room import (
    HASH,
    LOOPBACK,
    OTHER,
    Room,
    announce,
    answer,
    chars,
    offer,
    peer_id,
)

pytestmark = pytest.mark.anyio


# Announcing


def test_an_announce_is_answered_with_interval_and_counts() -> None:
    room = Room()
    room.say(1, announce(1))
    [state] = room.say(2, announce(2, left=0))
    assert state == {
        "action": "announce", "info_hash": chars(HASH), "interval": 60,
        "complete": 1, "incomplete": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("left", "complete"),
    [(0, True), (0.0, True), (1, False), (None, False), ("0", False), (False, False), (-1, False)],
)
def test_only_the_number_zero_left_makes_a_peer_complete(left: object, complete: bool) -> None:
    """WebTorrent sends null as long as it does not know."""
    [state] = Room().say(1, {**announce(), "left": left})
    assert state["complete"] == complete


@pytest.mark.parametrize("event", ["started", "completed", "update", "paused", "", "x", None])
def test_every_event_but_stopped_is_a_sign_of_life(event: str | None) -> None:
    [state] = Room().say(1, announce(event=event))
    assert state["incomplete"] == 1


def test_completed_counts_as_a_download() -> None:
    room = Room()
    room.say(1, announce())
    room.say(1, announce(left=0, event="completed"))
    assert room.table.counts(HASH) == SwarmCounts(complete=1, incomplete=0, downloaded=1)


def test_announcing_again_counts_once() -> None:
    room = Room()
    for _ in range(3):
        [state] = room.say(1, announce(event=None))
    assert state["incomplete"] == 1


def test_stopped_leaves_one_swarm_and_is_answered() -> None:
    room = Room()
    room.say(1, announce())
    room.say(1, announce(info_hash=chars(OTHER)))
    [state] = room.say(1, announce(event="stopped", offers=3))
    assert state["incomplete"] == 0
    assert room.table.counts(OTHER).incomplete == 1


def test_stopped_by_a_stranger_is_no_error() -> None:
    [state] = Room().say(1, announce(event="stopped"))
    assert state["incomplete"] == 0


def test_a_client_that_disconnects_leaves_all_its_swarms() -> None:
    room = Room()
    room.say(1, announce())
    room.say(1, announce(info_hash=chars(OTHER)))
    room.leave(1)
    assert room.table.totals() == (0, 0)


def test_one_connection_can_carry_several_peers_of_one_swarm() -> None:
    """WebTorrent clients of one process share their connection."""
    room = Room()
    room.say(1, announce(1))
    state, offered = room.say(1, announce(2, offers=1))
    assert state["incomplete"] == 2
    assert offered["peer_id"] == chars(peer_id(2))
    [answered] = room.say(1, answer(1, to=2, offer_number=200))
    assert answered["peer_id"] == chars(peer_id(1))
    room.leave(1)
    assert room.table.totals() == (0, 0)


def test_a_peer_cannot_be_stopped_from_another_connection() -> None:
    room = Room()
    room.say(1, announce(1))
    [state] = room.say(2, announce(1, event="stopped"))
    assert state["incomplete"] == 1


def test_one_connection_may_be_in_a_limited_number_of_swarms() -> None:
    room = Room(max_memberships=2)
    for info_hash in (b"a" * 20, b"b" * 20, b"a" * 20):
        room.say(1, announce(info_hash=chars(info_hash)))
    [refused] = room.say(1, announce(info_hash=chars(b"c" * 20)))
    assert "2 swarms" in refused["failure reason"]
    assert refused["info_hash"] == chars(b"c" * 20)
    room.say(1, announce(info_hash=chars(b"a" * 20), event="stopped"))
    [state] = room.say(1, announce(info_hash=chars(b"c" * 20)))
    assert state["incomplete"] == 1


# Offers and answers


def test_an_offer_goes_to_another_peer_and_its_answer_back() -> None:
    room = Room()
    room.say(1, announce(1))
    assert len(room.say(2, announce(2, offers=1))) == 1
    assert room.heard(1) == [{
        "action": "announce", "info_hash": chars(HASH), "peer_id": chars(peer_id(2)),
        "offer_id": chars(b"%020d" % 200), "offer": {"type": "offer", "sdp": "v=0 offer"},
    }]  # fmt: skip
    assert room.say(1, answer(1, to=2, offer_number=200)) == []
    assert room.heard(2) == [{
        "action": "announce", "info_hash": chars(HASH), "peer_id": chars(peer_id(1)),
        "offer_id": chars(b"%020d" % 200), "answer": {"type": "answer", "sdp": "v=0 answer"},
    }]  # fmt: skip


def test_with_fewer_peers_than_offers_each_peer_gets_one() -> None:
    room = Room()
    for number in (1, 2, 3):
        room.say(number, announce(number))
    room.say(9, announce(9, offers=5))
    heard = [room.heard(number) for number in (1, 2, 3)]
    assert [len(messages) for messages in heard] == [1, 1, 1]
    assert len({messages[0]["offer_id"] for messages in heard}) == 3


def test_with_more_peers_than_offers_each_offer_goes_to_one_peer() -> None:
    room = Room()
    for number in range(1, 9):
        room.say(number, announce(number))
    room.say(9, announce(9, offers=3))
    heard = [message["offer_id"] for number in range(1, 9) for message in room.heard(number)]
    assert len(heard) == len(set(heard)) == 3


@pytest.mark.parametrize(
    ("numwant", "handed"), [(0, 0), (1, 1), (None, 3), (-1, 3), ("2", 3), (True, 3), (10**9, 3)]
)
def test_numwant_can_ask_for_fewer_than_there_are_offers(numwant: object, handed: int) -> None:
    room = Room()
    for number in range(1, 9):
        room.say(number, announce(number))
    room.say(9, announce(9, offers=3, numwant=numwant))
    assert sum(len(room.heard(number)) for number in range(1, 9)) == handed


def test_more_offers_than_the_limit_are_left_out_with_a_warning() -> None:
    room = Room()
    for number in range(1, 20):
        room.say(number, announce(number))
    [state] = room.say(20, announce(20, offers=20, numwant=None))
    assert "first 10 offers" in state["warning message"]
    assert sum(len(room.heard(number)) for number in range(1, 20)) == MAX_OFFERS


def test_a_complete_peer_offers_to_incomplete_ones_first() -> None:
    room = Room()
    for number in range(1, 9):
        room.say(number, announce(number, left=0 if number != 5 else 5))
    room.say(9, announce(9, offers=1, left=0))
    assert len(room.heard(5)) == 1


def test_http_peers_are_counted_and_never_mixed_with_webrtc_ones() -> None:
    room = Room()
    dialled = Peer(peer_id(7), LOOPBACK, 50_001, complete=True)
    room.table.join(HASH, dialled)
    [state] = room.say(1, announce(1, offers=5))
    assert (state["complete"], state["incomplete"]) == (1, 1)
    assert room.table.peers_for(HASH, Peer(peer_id(8), LOOPBACK, 2, complete=False), 50) == [
        dialled
    ]


def test_an_http_peer_cannot_take_the_place_of_a_connected_one() -> None:
    """They may name the very port a WebSocket comes from."""
    room = Room()
    room.say(1, announce(1))
    room.table.join(HASH, Peer(peer_id(1), LOOPBACK, room.client(1).port, complete=False))
    room.table.leave(HASH, Peer(peer_id(1), LOOPBACK, room.client(1).port, complete=False))
    assert room.table.counts(HASH).incomplete == 1
    room.say(2, announce(2, offers=1))
    assert len(room.heard(1)) == 1


def test_an_offer_is_not_handed_to_its_maker_under_another_connection() -> None:
    """A client that reconnects is two for a while; it would throw its own offers away."""
    room = Room()
    room.say(1, announce(1))
    room.say(2, announce(1, offers=3))
    assert room.heard(1) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"to_peer_id": chars(peer_id(77))},
        {"offer_id": chars(b"x" * 20)},
        {"info_hash": chars(OTHER)},
        {"peer_id": chars(peer_id(3))},
    ],
)
def test_an_answer_nobody_waits_for_goes_nowhere_in_silence(changes: dict[str, str]) -> None:
    """libtorrent would take a failure for that of its announce."""
    room = Room()
    for number in (3, 1):
        room.say(number, announce(number))
    room.say(2, announce(2, offers=2))
    for number in (1, 2, 3):
        room.heard(number)
    assert room.say(1, {**answer(1, to=2, offer_number=200), **changes}) == []
    assert (room.heard(2), room.heard(3)) == ([], [])


def test_nobody_can_answer_an_offer_that_was_handed_to_another() -> None:
    room = Room()
    room.say(1, announce(1))
    room.say(2, announce(2, offers=1))
    room.say(3, announce(3))
    room.say(3, answer(3, to=2, offer_number=200))
    assert room.heard(2) == []


def test_an_offer_is_answered_once() -> None:
    room = Room()
    room.say(1, announce(1))
    room.say(2, announce(2, offers=1))
    for _ in range(3):
        room.say(1, answer(1, to=2, offer_number=200))
    assert len(room.heard(2)) == 1


@pytest.mark.parametrize("gone", ["stopped", "disconnected"])
def test_an_answer_to_who_has_left_goes_nowhere(gone: str) -> None:
    room = Room()
    room.say(1, announce(1))
    room.say(2, announce(2, offers=1))
    room.heard(1)
    if gone == "stopped":
        room.say(2, announce(2, event="stopped"))
    else:
        room.leave(2)
    assert room.say(1, answer(1, to=2, offer_number=200)) == []
    assert room.heard(2) == []


def test_old_unanswered_offers_are_forgotten() -> None:
    room = Room()
    room.say(1, announce(1))
    for i in range(MAX_UNANSWERED + 50):
        room.say(2, announce(2, offers=[offer(i)]))
    assert len(room.client(1).unanswered) == MAX_UNANSWERED
    room.say(1, answer(1, to=2, offer_number=0))
    assert room.heard(2) == []


def test_only_the_description_of_an_offer_is_passed_on() -> None:
    room = Room()
    room.say(1, announce(1))
    poisoned = {**offer(1), "__proto__": {"admin": True}, "constructor": {"prototype": 1}}
    poisoned["offer"] = {**poisoned["offer"], "__proto__": {"x": 1}, "candidates": [1]}
    room.say(2, announce(2, offers=[poisoned], __proto__={"x": 1}, toString="x"))
    [heard] = room.heard(1)
    assert set(heard) == {"action", "info_hash", "peer_id", "offer_id", "offer"}
    assert set(heard["offer"]) == {"type", "sdp"}


def test_clients_that_left_are_not_kept_in_memory() -> None:
    """Neither by the offers they made nor by those they were handed."""
    room = Room()
    ghosts = []
    for number in range(1, 30):
        room.say(number, announce(number, offers=3))
        ghosts.append(weakref.ref(room.client(number)))
        if number > 3:
            room.leave(number - 3)
    for number in list(room.clients):
        room.leave(number)
    gc.collect()
    assert [ghost() for ghost in ghosts] == [None] * len(ghosts)
