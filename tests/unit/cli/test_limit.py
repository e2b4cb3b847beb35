"""Hours of the week as people type them."""

from __future__ import annotations

import pytest

from chilly_movies.cli.exits import CommandFailed
from chilly_movies.cli.limit import read_hours

WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]


@pytest.mark.parametrize(
    ("typed", "days", "start", "end"),
    [
        ("mon-fri 08:00-17:30", WORKDAYS, "08:00", "17:30"),
        ("Sat,SUN 10:00 - 12:00", ["sat", "sun"], "10:00", "12:00"),
        ("sat-mon,wed 22:00-06:00", ["mon", "wed", "sat", "sun"], "22:00", "06:00"),
        ("daily 01:00-02:00", [*WORKDAYS, "sat", "sun"], "01:00", "02:00"),
    ],
)
def test_hours_are_days_and_two_times(typed: str, days: list[str], start: str, end: str) -> None:
    assert read_hours(typed) == {"days": days, "from": start, "to": end}


@pytest.mark.parametrize("typed", ["", "mon", "monday 08:00-09:00", "mon 8-9", "mon- 08:00-09:00"])
def test_what_are_no_hours_is_told_with_examples(typed: str) -> None:
    with pytest.raises(CommandFailed, match="must look like 'mon-fri 08:00-17:30'"):
        read_hours(typed)
