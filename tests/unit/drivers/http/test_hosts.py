"""How patient we are with one server, and when a file is another one."""

from __future__ import annotations

import pytest

from chilly_movies.drivers.http.hosts import Host, Patience, Version, why_nothing, worst
from chilly_movies.errors import SourceNotFound, SourceRejected, SourceUnavailable

BUSY = SourceUnavailable("The link's server answered 503.")


def made() -> Host:
    return Host("http://x.example/a", most=8, patience=Patience(tries=3), ranges=True)


def test_a_server_that_sends_nothing_is_asked_ever_more_rarely_and_then_given_up() -> None:
    host, waits = made(), []
    for _ in range(3):
        host.failed(BUSY, 100.0, moved=0, others=0)
        waits.append(host.rests_until - 100.0)
    assert waits == [0.5, 1.0, 2.0]
    assert host.given_up is BUSY
    assert worst([host]) is BUSY


def test_one_that_sends_something_now_and_then_is_not_given_up() -> None:
    host = made()
    for _ in range(20):
        host.sent(1000, 1000)
        host.failed(BUSY, 100.0, moved=1000, others=0)
    assert host.given_up is None


def test_one_that_refuses_the_next_connection_bears_as_many_as_go_on() -> None:
    host = made()
    host.failed(BUSY, 100.0, moved=0, others=3)
    assert (host.most, host.given_up) == (3, None)
    assert not host.has_room(2, 101.0)
    assert host.has_room(2, 200.0)
    assert not host.has_room(3, 200.0)


@pytest.mark.parametrize(("wish", "is_over"), [(5.0, False), (60.0, True)])
def test_a_wish_to_be_left_alone_is_kept(wish: float, *, is_over: bool) -> None:
    host = made()
    host.failed(SourceUnavailable("Busy.", retry_after=wish), 100.0, moved=0, others=0)
    assert host.rests_until == 100.0 + wish
    assert (host.given_up is not None) == is_over


def test_a_link_that_led_somewhere_for_a_while_is_followed_anew() -> None:
    host = made()
    host.final = "http://cdn.example/a?until=1"
    host.failed(SourceNotFound("Gone."), 100.0, moved=0, others=0)
    assert host.given_up is None
    assert not host.final
    host.failed(SourceRejected("No."), 100.0, moved=0, others=0)
    assert host.given_up is not None


def test_why_nothing_comes_says_when_it_is_asked_again() -> None:
    host = made()
    assert why_nothing([host], 0.0) is None
    host.failed(SourceUnavailable("It is busy.", retry_after=9.0), 100.0, moved=0, others=0)
    assert why_nothing([host], 102.0) == "It is busy; it is asked again in 7 s"


def test_another_tag_or_date_or_size_is_another_file() -> None:
    known = Version('"1"', "Mon", 10)
    for same in (known, Version('W/"1"', "Tue", 10), Version(None, "Mon", 10), Version()):
        assert not known.differs(same)
    for other in (Version('"2"', "Mon", 10), Version('"1"', "Mon", 11), Version(None, "Tue")):
        assert known.differs(other)
    assert (known.condition, Version('W/"1"', "Mon").condition) == ('"1"', "Mon")
    assert Version().condition is None
