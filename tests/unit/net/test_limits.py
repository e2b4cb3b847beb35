"""Speed limits that the user sets while the server runs: what is kept, and what holds when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from chilly_movies.errors import InvalidRequest, StoreError
from chilly_movies.net.limiter import Rates, SpeedLimiter
from chilly_movies.net.limits import SpeedLimits
from tests.doubles import NOON, Clock, until

pytestmark = pytest.mark.anyio
USUAL, SLOW = Rates(5000, 600), Rates(70, 8)
NIGHT = {"days": ["tue", "wed"], "start": "22:00", "end": "06:00"}
"""The clock of these tests begins on a Wednesday at noon."""
SLOW_BY_NIGHT = {"download_limit": 70, "upload_limit": 8, "hours": [NIGHT], "time_zone": "UTC"}


class Kept:
    """A store of settings that a test may break."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.is_broken = False

    async def load_setting(self, name: str) -> str | None:
        return self.texts.get(name)

    async def save_setting(self, name: str, text: str) -> None:
        if self.is_broken:
            raise StoreError("The database is full.")
        self.texts[name] = text


class Limits:
    """Limits with a clock and a store; opened again they go on from what was kept."""

    def __init__(self) -> None:
        self.clock, self.kept = Clock(), Kept()
        self._made: list[SpeedLimits] = []

    async def open(self) -> SpeedLimits:
        self.limiter = SpeedLimiter(USUAL)
        self.limits = SpeedLimits(self.limiter, self.kept, clock=self.clock, interval=0.001)
        self._made.append(self.limits)
        await self.limits.open()
        return self.limits

    async def change(self, **changes: Any) -> Rates:
        """The rates that hold afterwards."""
        await self.limits.change(changes)
        return self.limiter.rates

    async def at(self, hour: float) -> Rates:
        """The rates once the clock was looked at again, so many hours after Wednesday at 0:00."""
        self.clock.now = NOON.replace(hour=0) + timedelta(hours=hour)
        wanted = self.limits.now().rates
        await until(lambda: self.limiter.rates == wanted)
        return wanted

    async def aclose(self) -> None:
        for limits in self._made:
            await limits.aclose()


@pytest.fixture
async def world() -> AsyncIterator[Limits]:
    world = Limits()
    await world.open()
    yield world
    await world.aclose()


async def test_a_limit_that_is_set_wins_over_the_settings_until_none_is_given(
    world: Limits,
) -> None:
    assert world.limiter.rates == USUAL
    assert await world.change(download_limit=1) == Rates(1, 600)
    assert await world.change(upload_limit=0) == Rates(1, 0)
    assert await world.change() == Rates(1, 0)
    assert await world.change(download_limit=None) == Rates(5000, 0)
    assert await world.change(upload_limit=None) == USUAL


async def test_what_was_set_holds_for_the_next_run_as_soon_as_it_is_open(world: Limits) -> None:
    await world.change(download_limit=1, alternative={**SLOW_BY_NIGHT, "enabled": True})
    before = world.limits.now()
    assert (await world.open()).now() == before
    assert world.limiter.rates == SLOW
    await world.change(alternative=None)
    assert (await world.open()).now().alternative.hours == ()
    assert world.limiter.rates == Rates(1, 600)


async def test_subscribers_are_told_of_changes_and_of_nothing_else(world: Limits) -> None:
    told: list[Rates] = []
    note = lambda: told.append(world.limiter.rates)  # noqa: E731 (one line, and one that is equal)
    world.limiter.subscribe(note)
    await world.change(download_limit=1)
    await world.change(download_limit=1)
    world.limiter.unsubscribe(note)
    await world.change(download_limit=2)
    assert told == [Rates(1, 600)]


async def test_the_alternative_limits_come_and_go_by_their_hours(world: Limits) -> None:
    assert await world.change(alternative=SLOW_BY_NIGHT) == USUAL
    assert await world.at(22) == SLOW
    assert await world.at(24 + 5.99) == SLOW
    assert await world.at(24 + 6) == USUAL
    assert await world.at(-1) == SLOW  # a clock that leaps by days, and back


async def test_switched_on_they_hold_until_they_are_switched_off(world: Limits) -> None:
    await world.change(alternative={"download_limit": 70, "upload_limit": 8})
    assert world.limiter.rates == USUAL
    assert await world.change(alternative={"enabled": True}) == SLOW
    assert await world.change(alternative={"hours": [NIGHT], "time_zone": "UTC"}) == SLOW
    assert await world.at(22) == SLOW
    assert await world.at(30) == SLOW
    assert await world.change(alternative={"enabled": False}) == USUAL
    assert await world.at(-2) == SLOW


async def test_switched_off_within_their_hours_they_stay_off_until_the_next_ones(
    world: Limits,
) -> None:
    await world.change(alternative={**SLOW_BY_NIGHT, "hours": [{**NIGHT, "days": ["wed", "thu"]}]})
    assert await world.at(23) == SLOW
    assert await world.change(alternative={"enabled": False}) == USUAL
    assert world.limits.now().alternative.off_until == world.clock.now + timedelta(hours=7)
    await world.open()
    assert await world.at(29.9) == USUAL
    assert await world.at(46) == SLOW


async def test_a_page_that_sends_all_it_read_switches_nothing_off(world: Limits) -> None:
    await world.change(alternative=SLOW_BY_NIGHT)
    await world.at(23)
    whole = {**SLOW_BY_NIGHT, "enabled": False, "download_limit": 71}
    assert await world.change(alternative=whole) == Rates(71, 8)
    await world.change(alternative={"enabled": False})
    assert await world.change(alternative=whole) == USUAL
    other = {**whole, "hours": [{**NIGHT, "end": "07:00"}]}
    assert await world.change(alternative=other) == Rates(71, 8)


async def test_what_cannot_be_stored_does_not_hold(world: Limits) -> None:
    world.kept.is_broken = True
    with pytest.raises(StoreError):
        await world.change(download_limit=1)
    assert world.limiter.rates == USUAL
    assert world.limits.now().download_limit == 5000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"download_limit": -1}, "download_limit"), ({"upload_limit": 2**31}, "upload_limit"),
        ({"alternative": {"enabled": "perhaps"}}, "alternative.enabled"),
        ({"alternative": {"time_zone": "Mars/Olympus"}}, "alternative.timeZone"),
        ({"alternative": {"hours": [{**NIGHT, "end": "25:00"}]}}, "alternative.hours.0.end"),
    ],
)  # fmt: skip
async def test_a_value_that_cannot_be_is_refused_by_name_and_nothing_changes(
    world: Limits, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await world.change(**changes)
    assert refused.value.field == field
    assert world.limiter.rates == USUAL
    assert world.kept.texts == {}


@pytest.mark.parametrize(
    "text", ["", "{", "7", '{"download_limit":-1}', '{"alternative":{"time_zone":"Mars/Olympus"}}']
)
async def test_a_damaged_row_costs_the_limits_and_not_the_start(world: Limits, text: str) -> None:
    await world.change(download_limit=1)
    world.kept.texts = dict.fromkeys(world.kept.texts, text)
    await world.open()
    assert world.limiter.rates == USUAL
    assert await world.change(download_limit=2) == Rates(2, 600)
