"""When connections count as dead, and who is called again."""

from __future__ import annotations

from chilly_movies.drivers.torrent.mends.dead_peer_watch import DeadPeerWatch

SEED = ("192.0.2.1", 6881)


def gone_at(
    watch: DeadPeerWatch, seconds: range, *, received: int = 5, owed: bool = True
) -> list[int]:
    """The seconds at which it says that everybody is gone."""
    return [now for now in seconds if watch.is_gone(float(now), received, owed=owed)]


def test_who_owes_and_sends_nothing_for_twelve_seconds_is_gone_and_then_more_patience_is_had() -> (
    None
):
    assert gone_at(DeadPeerWatch(), range(120)) == [12, 36, 84]


def test_whoever_owes_nothing_may_be_silent_for_ever() -> None:
    assert gone_at(DeadPeerWatch(), range(600), owed=False) == []


def test_a_byte_now_and_then_is_life() -> None:
    watch = DeadPeerWatch()
    assert not any(watch.is_gone(float(now), now // 10, owed=True) for now in range(200))


def test_our_own_sleep_is_not_the_silence_of_others() -> None:
    watch = DeadPeerWatch()
    assert gone_at(watch, range(5)) == []
    assert gone_at(watch, range(500, 505)) == []


def test_those_who_were_good_are_called_every_other_second_and_rarely_after_two_minutes() -> None:
    watch = DeadPeerWatch()
    watch.remember([SEED])
    assert not watch.is_gone(0.0, 5, owed=False)
    calls = [now for now in range(1, 400) if watch.to_call(float(now)) == (SEED,)]
    assert calls[:3] == [2, 4, 6]
    assert calls[58:63] == [118, 120, 180, 240, 300]


def test_those_a_link_names_are_called_ever_more_rarely_and_without_end() -> None:
    watch = DeadPeerWatch([SEED])
    assert not watch.is_gone(0.0, 0, owed=False)
    calls = [now for now in range(1, 400) if watch.to_call(float(now)) == (SEED,)]
    assert calls == [4, 12, 28, 60, 120, 180, 240, 300, 360]


def test_with_those_who_were_good_those_a_link_names_are_called_too() -> None:
    good = ("192.0.2.2", 6881)
    watch = DeadPeerWatch([SEED, good])
    watch.remember([good])
    assert not watch.is_gone(0.0, 5, owed=False)
    assert not watch.to_call(1.0)
    assert watch.to_call(2.0) == (SEED, good)


def test_of_those_a_link_names_only_twenty_are_called() -> None:
    watch = DeadPeerWatch([("192.0.2.3", port) for port in range(1, 40)])
    assert not watch.is_gone(0.0, 0, owed=False)
    called = watch.to_call(2.0) or watch.to_call(4.0)
    assert [port for _, port in called] == [*range(20, 40)]


def test_nobody_else_is_called_who_never_sent_anything() -> None:
    watch = DeadPeerWatch()
    assert not any(watch.to_call(float(now)) for now in range(100))


def test_only_the_last_twenty_are_remembered() -> None:
    watch = DeadPeerWatch()
    watch.remember(("192.0.2.1", port) for port in range(1, 31))
    watch.remember([("192.0.2.1", 11)])
    assert not watch.is_gone(0.0, 0, owed=False)
    called = watch.to_call(2.0) or watch.to_call(4.0)
    assert [port for _, port in called] == [*range(12, 31), 11]
