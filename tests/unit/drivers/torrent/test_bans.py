"""Who is shut out, and for how long."""

from __future__ import annotations

from chilly_movies.drivers.torrent.mends.bans import BanRecord, Bans


def test_an_address_is_caught_too_often_when_it_came_back() -> None:
    record = BanRecord()
    assert not record.count("192.0.2.1", 10.0)
    assert not record.count("192.0.2.1", 10.5)  # another piece of the same peer
    assert not record.count("192.0.2.2", 10.6)
    assert record.count("192.0.2.1", 20.0)


def test_an_address_is_shut_out_for_seconds_at_first_and_for_long_when_it_goes_on() -> None:
    bans = Bans()
    assert bans.ban("192.0.2.1", 0.0)
    assert not bans.ban("192.0.2.1", 1.0)
    assert bans.addresses() == ("192.0.2.1",)
    assert not bans.served(14.0)
    assert bans.served(15.0)
    assert bans.addresses() == ()
    assert bans.ban("192.0.2.1", 20.0)
    assert not bans.served(900.0)
    assert bans.served(920.0)


def test_what_came_from_an_address_is_the_sum_of_its_connections() -> None:
    record = BanRecord()
    record.note({("192.0.2.1", 1): 100, ("192.0.2.2", 1): 7})
    record.note({("192.0.2.1", 2): 50, ("192.0.2.1", 1): 120, ("192.0.2.3", 1): 0})
    assert record.came_from("192.0.2.1") == 170
    assert record.came_from("192.0.2.3") == 0


def test_no_crowd_of_liars_fills_the_memory() -> None:
    bans, record = Bans(), BanRecord()
    for number in range(5000):
        bans.ban(str(number), 0.0)
        record.count(str(number), 0.0)
        record.note({("192.0.2.1", number): 1})
    assert len(bans.addresses()) == 2000
    assert "4999" in bans.addresses()
    assert record.came_from("192.0.2.1") == 2000
    assert not record.count("0", 10.0)  # long forgotten
    assert record.count("4999", 10.0)
