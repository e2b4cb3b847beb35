"""When new WebRTC offers are made, and what is said while nobody is connected."""

from __future__ import annotations

from chilly_movies.drivers.torrent.webrtc import Handshakes, is_websocket, why_no_peer

ANSWER = "*** RTC signaling processing remote answer"
OFFER = "*** RTC signaling processing remote offer"
OPEN = "*** RTC data channel open"
FAILED = "*** RTC negotiation failed"


def asks(handshakes: Handshakes, until: int, *, finished: bool = False) -> list[int]:
    """At which seconds new offers are asked for while nobody is connected."""
    times = range(until)
    return [t for t in times if handshakes.wants_offers(t, connected=0, finished=finished)]


def test_nothing_is_asked_before_the_engine_announced() -> None:
    assert asks(Handshakes(), 300) == []


def test_offers_are_repeated_less_and_less_often_while_nobody_is_connected() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    assert asks(handshakes, 300) == [5, 15, 35, 75, 155, 275]


def test_who_is_finished_asks_later() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    assert asks(handshakes, 60, finished=True) == [10, 20, 40]


def test_a_connected_peer_is_enough() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    assert not handshakes.wants_offers(100, connected=1, finished=False)


def test_a_handshake_that_got_stuck_is_begun_anew_even_with_others_connected() -> None:
    for begun in (ANSWER, OFFER):
        handshakes = Handshakes()
        handshakes.announced(0)
        handshakes.heard(begun, 1)
        assert not handshakes.wants_offers(8, connected=1, finished=True)
        assert handshakes.wants_offers(10, connected=1, finished=True)
        assert not handshakes.wants_offers(11, connected=1, finished=True)
        assert handshakes.failed == 1


def test_a_handshake_that_ended_in_a_connection_is_not_stuck() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    handshakes.heard(ANSWER, 1)
    handshakes.heard(OPEN, 2)
    assert not handshakes.wants_offers(100, connected=1, finished=False)
    assert (handshakes.answers, handshakes.opened) == (1, 1)


def test_offers_nobody_answered_are_no_failures() -> None:
    handshakes = Handshakes()
    handshakes.heard(FAILED, 30)
    assert handshakes.failed == 0
    handshakes.heard(ANSWER, 31)
    handshakes.heard(FAILED, 32)
    assert handshakes.failed == 1


def test_each_trouble_has_its_clause() -> None:
    failed, quiet = Handshakes(answers=1, failed=1), Handshakes()
    dead = {"ws://t.example": "Operation canceled"}
    alive = {"ws://t.example": None}
    assert why_no_peer(quiet, {}, []) is None
    assert why_no_peer(quiet, {}, ["a note"]) == "a note"
    assert "ws://t.example refuses" in str(why_no_peer(quiet, dead, []))
    assert "nobody answered our offers" in str(why_no_peer(quiet, alive, []))
    assert "ICE failed" in str(why_no_peer(failed, alive, []))


def test_websocket_trackers_are_known_by_their_scheme() -> None:
    assert is_websocket("WSS://tracker.example")
    assert is_websocket("ws://127.0.0.1:8000/")
    assert not is_websocket("https://tracker.example/ws://")
