"""Hours of the week by the clock on the wall: when they hold, and when they are over. Pure.

What the clock of the time zone shows is what counts, so daylight saving needs no rule of its own:
an hour that the clock skips is not there, one that it shows twice holds twice.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Final, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final = get_args(Day)
ClockTime = Annotated[
    str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="HH:MM, 00:00 to 23:59.")
]
_WEEK: Final = 7 * 24 * 60
"""Minutes."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of time on some days of the week.

    Attributes:
        days: the days on which it begins.
        start: when it begins, HH:MM.
        end: when it is over, HH:MM; at or before `start` = on the next day.
    """

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    start: ClockTime
    end: ClockTime

    def hold(self, weekday: int, clock: str) -> bool:
        """Tells whether a clock shows a time within them.

        Args:
            weekday: 0 = Monday.
            clock: HH:MM.
        """
        if self.start < self.end:
            return DAYS[weekday] in self.days and self.start <= clock < self.end
        begun = DAYS[weekday] in self.days and self.start <= clock
        return begun or (DAYS[weekday - 1] in self.days and clock < self.end)


def within(hours: Iterable[Hours], moment: datetime, zone: tzinfo | None) -> bool:
    """Tells whether some hours hold at a moment.

    Args:
        hours: of the week.
        moment: aware.
        zone: whose clock counts; None = this machine's.
    """
    there = moment.astimezone(zone)
    weekday, clock = there.weekday(), f"{there.hour:02}:{there.minute:02}"
    return any(one.hold(weekday, clock) for one in hours)


def end_of(hours: Iterable[Hours], moment: datetime, zone: tzinfo | None) -> datetime:
    """Returns the next moment at which no hours hold; that in a week if they always do.

    Args:
        hours: of the week.
        moment: aware.
        zone: whose clock counts; None = this machine's.
    """
    hours, minute = tuple(hours), moment.astimezone(UTC).replace(second=0, microsecond=0)
    for _ in range(_WEEK):
        minute += timedelta(minutes=1)
        if not within(hours, minute, zone):
            break
    return minute


def zone_named(name: str | None) -> tzinfo | None:
    """Returns a time zone by its IANA name; None, which stands for this machine's, for None.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return None if name is None else zoneinfo.ZoneInfo(name)
    except (ValueError, zoneinfo.ZoneInfoNotFoundError, OSError):
        raise ValueError("there is no time zone of that name") from None
