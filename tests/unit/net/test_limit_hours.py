"""Hours of the week: days, midnight, the end of daylight saving and its beginning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chilly_movies.net.limit_hours import DAYS, Hours, end_of, within, zone_named

BERLIN = ZoneInfo("Europe/Berlin")
WORKDAYS = Hours(("mon", "tue", "wed", "thu", "fri"), "08:00", "17:30")
FRIDAY_NIGHT = Hours(("fri",), "22:00", "06:00")
EVERY_DAY = Hours(DAYS, "01:00", "04:00")
TIMES = st.from_regex(r"([01][0-9]|2[0-3]):[0-5][0-9]", fullmatch=True)


def minutes(hours: Hours, day: datetime, zone: ZoneInfo) -> int:
    """For how many minutes of a day of the zone hours hold."""
    begin = day.replace(tzinfo=zone).astimezone(UTC)
    end = (day + timedelta(days=1)).replace(tzinfo=zone).astimezone(UTC)
    span = range(int((end - begin).total_seconds() // 60))
    return sum(within([hours], begin + timedelta(minutes=n), zone) for n in span)


@pytest.mark.parametrize(
    ("hours", "moment", "holds"),
    [
        (WORKDAYS, "2030-01-04 08:00", True), (WORKDAYS, "2030-01-04 07:59", False),
        (WORKDAYS, "2030-01-04 17:29", True), (WORKDAYS, "2030-01-04 17:30", False),
        (WORKDAYS, "2030-01-05 12:00", False),
        (FRIDAY_NIGHT, "2030-01-04 21:59", False), (FRIDAY_NIGHT, "2030-01-04 22:00", True),
        (FRIDAY_NIGHT, "2030-01-05 05:59", True), (FRIDAY_NIGHT, "2030-01-05 06:00", False),
        (FRIDAY_NIGHT, "2030-01-04 05:00", False), (FRIDAY_NIGHT, "2030-01-05 22:00", False),
        (Hours(("sun",), "23:00", "01:00"), "2030-01-07 00:30", True),
        (Hours(("mon",), "09:00", "09:00"), "2030-01-08 08:59", True),
        (Hours(("mon",), "09:00", "09:00"), "2030-01-08 09:00", False),
    ],
)  # fmt: skip
def test_hours_hold_from_their_beginning_up_to_their_end_over_midnight_too(
    hours: Hours, moment: str, *, holds: bool
) -> None:
    there = datetime.fromisoformat(moment).replace(tzinfo=BERLIN)
    assert within([hours], there.astimezone(UTC), BERLIN) is holds


def test_the_clock_of_the_zone_counts_and_without_one_that_of_this_machine() -> None:
    noon = datetime(2030, 1, 7, 12, 0, tzinfo=UTC)
    hours = [Hours(("mon",), "13:00", "13:01")]
    assert within(hours, noon, BERLIN)
    assert not within(hours, noon, UTC)
    here = noon.astimezone()
    now = Hours((DAYS[here.weekday()],), f"{here:%H:%M}", f"{here + timedelta(minutes=1):%H:%M}")
    assert within([now], noon, None)


def test_a_night_with_an_hour_less_or_more_has_as_much_less_or_more_of_the_hours() -> None:
    usual, spring, autumn = (
        minutes(EVERY_DAY, datetime(2030, month, day), BERLIN)  # noqa: DTZ001 (the zone is given)
        for month, day in ((1, 6), (3, 31), (10, 27))
    )
    assert (usual, spring, autumn) == (180, 120, 240)


def test_what_is_an_hour_of_every_day_stays_so_when_the_offset_to_utc_changes() -> None:
    eight = [Hours(DAYS, "08:00", "09:00")]
    for day in (30, 31):  # before and after the change of 2030
        assert within(eight, datetime(2030, 3, day, 8, 30, tzinfo=BERLIN), BERLIN)


def test_the_end_of_hours_is_the_first_minute_in_which_none_hold() -> None:
    night = datetime(2030, 1, 4, 23, 15, 30, tzinfo=BERLIN)
    early = Hours(("sat",), "05:00", "07:00")
    assert end_of([FRIDAY_NIGHT], night, BERLIN) == datetime(2030, 1, 5, 6, tzinfo=BERLIN)
    assert end_of([FRIDAY_NIGHT, early], night, BERLIN) == datetime(2030, 1, 5, 7, tzinfo=BERLIN)
    always = end_of([Hours(DAYS, "00:00", "00:00")], night, BERLIN)
    assert always - night <= timedelta(days=7)


@given(
    st.builds(Hours, st.lists(st.sampled_from(DAYS), min_size=1, max_size=7), TIMES, TIMES),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1),  # noqa: DTZ001
                 max_value=datetime(2040, 1, 1)),  # noqa: DTZ001
    st.integers(-14, 14),
)  # fmt: skip
def test_hours_hold_as_long_as_they_say_on_each_of_their_days_and_no_longer(
    hours: Hours, moment: datetime, offset: int
) -> None:
    zone = timezone(timedelta(hours=offset))
    there = moment.astimezone(zone)
    begins = [
        (there - timedelta(days=back)).replace(
            hour=int(hours.start[:2]), minute=int(hours.start[3:]), second=0, microsecond=0
        )
        for back in (0, 1)
    ]
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in (hours.start, hours.end))
    length = timedelta(minutes=end - start if end > start else end - start + 24 * 60)
    expected = any(
        DAYS[begin.weekday()] in hours.days and begin <= there < begin + length for begin in begins
    )
    assert within([hours], moment, zone) is expected


@pytest.mark.parametrize(
    ("days", "start", "end"),
    [((), "08:00", "09:00"), (("monday",), "08:00", "09:00"), (("mon",), "8:00", "09:00"),
     (("mon",), "24:00", "09:00"), (("mon",), "08:00", "09:60"), (("mon",), "08:00", "09:0٣"),
     (("mon",), "08:00\n", "09:00")],
)  # fmt: skip
def test_what_are_no_hours_is_refused(days: tuple[str, ...], start: str, end: str) -> None:
    with pytest.raises(ValidationError):
        Hours(days, start, end)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "Europe", "Europe/Berlin\0", "\ud800"],
)
def test_a_name_that_is_none_of_a_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone of that name"):
        zone_named(name)
