"""Who sent which bytes."""

from __future__ import annotations

from chilly_movies.drivers.http.hosts import Host
from chilly_movies.drivers.http.provenance import Provenance


def test_each_byte_is_of_the_place_that_sent_it_last() -> None:
    one, two, three = (Host(f"http://{name}.example/f") for name in "abc")
    known = Provenance()
    known.note(one, 0, 100)
    known.note(two, 100, 300)
    known.note(three, 150, 200)
    assert known.hosts_of(0, 100) == [one]
    assert known.hosts_of(99, 101) == [one, two]
    assert known.hosts_of(160, 170) == [three]
    assert known.hosts_of(0, 1000) == [one, two, three]
    assert known.hosts_of(300, 400) == []
    assert list(known.spans_of(two)) == [(100, 150), (200, 300)]
    assert known.senders == [three, one, two]
    known.note(one, 150, 200)
    assert known.senders == [one, two]
    assert known.spans_of(three).total == 0
