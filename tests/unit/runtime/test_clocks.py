"""Leaps of the time of day change neither waits for the next attempt nor signed links."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chilly_movies.api.gates.signing import Signer
from chilly_movies.jobs.models import Job, Source, SourceType
from chilly_movies.jobs.scheduler import Waits
from chilly_movies.runtime import clocks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEAPS = {
    "a day on": timedelta(days=1),
    "a day back": timedelta(days=-1),
    "two hours": timedelta(hours=2),
    "1970": datetime(1970, 1, 2, tzinfo=UTC) - NOON,
    "2038": datetime(2038, 1, 20, tzinfo=UTC) - NOON,
}


class World:
    """Two clocks."""

    def __init__(self) -> None:
        self.day, self.seconds = NOON, 1000.0

    def passes(self, seconds: float) -> None:
        self.day += timedelta(seconds=seconds)
        self.seconds += seconds


def job_due(at: datetime | None) -> Job:
    job = Job(
        id="a", key="k", source=Source(SourceType.TORRENT, "mock:"), position=1, created_at=NOON,
        updated_at=NOON,
    )  # fmt: skip
    return replace(job, next_attempt_at=at)


@pytest.mark.parametrize("leap", LEAPS)
def test_a_wait_takes_as_long_as_it_was_to_take(leap: str) -> None:
    world = World()
    waits = Waits(lambda: world.day, lambda: world.seconds, longest=900)
    job = job_due(NOON + timedelta(seconds=30))
    assert waits.left([job]) == {"a": 30.0}
    world.passes(10)
    world.day += LEAPS[leap]
    assert waits.left([job]) == {"a": 20.0}
    world.passes(20)
    assert waits.left([job]) == {"a": 0.0}


def test_a_wait_that_was_stored_under_another_time_of_day_is_not_longer_than_any() -> None:
    waits = Waits(lambda: NOON, lambda: 0.0, longest=900)
    assert waits.left([job_due(NOON + timedelta(days=20_000))]) == {"a": 900.0}


def test_a_new_wait_is_measured_anew_and_who_waits_for_nothing_is_not_in_it() -> None:
    world = World()
    waits = Waits(lambda: world.day, lambda: world.seconds, longest=900)
    assert waits.left([job_due(NOON + timedelta(seconds=5))]) == {"a": 5.0}
    assert waits.left([job_due(NOON + timedelta(seconds=9))]) == {"a": 9.0}
    assert waits.left([job_due(None)]) == {}


def test_a_link_holds_as_long_as_it_was_to_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(clocks, "steady", lambda: world.seconds)
    monkeypatch.setattr(time, "time", world.day.timestamp)
    signer = Signer(b"s" * 32)
    _, _, query = signer.sign("/stream/a/0", 100).partition("?expires=")
    expires, _, signature = query.partition("&sig=")
    for leap in LEAPS.values():
        world.day += leap
        assert signer.verify("/stream/a/0", expires, signature)
        assert signer.seconds_left(expires) == 100
    world.passes(99)
    assert signer.verify("/stream/a/0", expires, signature)
    world.passes(1)
    assert not signer.verify("/stream/a/0", expires, signature)
