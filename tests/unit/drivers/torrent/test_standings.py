"""How a tracker stands that is asked over several addresses of this machine."""

from __future__ import annotations

from chilly_movies.drivers.torrent.engine.standings import (
    Standings,
    TrackerStanding,
    warning_of,
    words,
)

URL = "http://t.example/announce"
HOME, BRIDGE, SIX = ((("10.0.0.2", 1), "V1"), (("172.17.0.1", 1), "V1"), (("::1", 1), "V1"))
GOOD, DOWN = TrackerStanding(peers=2), TrackerStanding(problem="timed out")
NOWHERE = TrackerStanding(problem="no address of this machine reaches it")


def test_it_failed_only_if_it_did_over_every_address() -> None:
    standings = Standings()
    for over, said, told in (
        (BRIDGE, DOWN, DOWN), (HOME, GOOD, GOOD), (BRIDGE, DOWN, GOOD), (SIX, NOWHERE, GOOD),
        (HOME, DOWN, DOWN), (SIX, NOWHERE, DOWN),
    ):  # fmt: skip
        standings.answered(URL, over, said)
        assert standings.by_url[URL] == told


def test_the_hashes_of_a_hybrid_torrent_are_asked_for_apart() -> None:
    standings = Standings()
    standings.answered(URL, (HOME[0], "V1"), GOOD)
    standings.answered(URL, (HOME[0], "V2"), TrackerStanding(problem="not registered"))
    assert standings.by_url[URL] == GOOD


def test_an_answer_over_an_address_that_is_gone_does_not_count_for_ever() -> None:
    now = 0.0
    standings = Standings(lambda: now)
    standings.answered(URL, HOME, GOOD)
    now = 7300.0
    standings.answered(URL, BRIDGE, DOWN)
    assert standings.by_url[URL] == DOWN


def test_a_warning_belongs_to_the_answer_behind_it_and_to_no_later_one() -> None:
    standings = Standings()
    standings.warned(URL, HOME, "not\x1b registered")
    standings.answered(URL, HOME, GOOD)
    assert standings.by_url[URL] == TrackerStanding(peers=2, warning="not registered")
    standings.answered(URL, HOME, GOOD)
    assert standings.by_url[URL] == GOOD


def test_a_warning_is_found_in_the_words_of_the_engine_whatever_a_torrent_is_called() -> None:
    said = f"a ] warning: b ({URL})[10.0.0.2:1-v1] warning: one] warning: two"
    assert warning_of(said, URL) == "one] warning: two"


def test_words_are_one_line_of_at_most_200_signs() -> None:
    assert words("a\r\n\tb\x00\x9bc\u202ed") == "a b c d"
    assert words("y" * 250_000) == "y" * 199 + "…"
    assert words("\x1b\n") == ""
