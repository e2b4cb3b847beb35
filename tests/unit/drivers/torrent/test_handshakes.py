"""When new WebRTC offers are made, and what is said while nobody is connected."""

from __future__ import annotations

from chilly_movies.drivers.torrent.mends.handshakes import Handshakes, is_websocket, why_no_peer

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


def test_after_a_loss_in_mid_film_offers_are_made_at_once_and_after_2_4_and_8_seconds() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    assert not handshakes.wants_offers(60, connected=1, finished=False)
    asked = [t for t in range(61, 400) if handshakes.wants_offers(t, connected=0, finished=False)]
    assert [t - 61 for t in asked] == [0, 2, 6, 14, 34, 74, 154, 274]


def test_offers_the_engine_made_as_peers_were_lost_are_given_two_seconds() -> None:
    handshakes = Handshakes()
    assert not handshakes.wants_offers(60, connected=1, finished=False)
    handshakes.announced(61)
    asked = [t for t in range(61, 80) if handshakes.wants_offers(t, connected=0, finished=False)]
    assert asked == [63, 65, 69, 77]


def test_each_loss_begins_the_quick_offers_anew_and_one_of_several_peers_is_no_loss() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    for lost_at in (100, 200):
        assert not handshakes.wants_offers(lost_at - 2, connected=2, finished=False)
        assert not handshakes.wants_offers(lost_at - 1, connected=1, finished=False)
        wants = [
            t for t in range(lost_at, lost_at + 9)
            if handshakes.wants_offers(t, connected=0, finished=False)
        ]  # fmt: skip
        assert wants == [lost_at, lost_at + 2, lost_at + 6]


def test_who_has_the_whole_film_is_in_no_hurry_when_peers_leave() -> None:
    handshakes = Handshakes()
    handshakes.announced(100)
    assert not handshakes.wants_offers(101, connected=1, finished=True)
    asked = [t for t in range(102, 180) if handshakes.wants_offers(t, connected=0, finished=True)]
    assert asked == [110, 120, 140]


def test_a_film_that_others_complete_long_after_a_loss_is_announced_at_the_usual_interval() -> None:
    handshakes = Handshakes()
    handshakes.announced(0)
    assert not handshakes.wants_offers(1, connected=1, finished=False)
    last = max(t for t in range(2, 300) if handshakes.wants_offers(t, connected=0, finished=False))
    asked = [t for t in range(300, 700) if handshakes.wants_offers(t, connected=0, finished=True)]
    assert asked == [last + 120, last + 240, last + 360]


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
