"""The speed limits of the whole server, which change while it runs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import AliasChoices, ConfigDict, Field

from chilly_movies.api.policy import JSON, KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import JsonBody, Moment, Shown, answer, example
from chilly_movies.net.limit_hours import ClockTime, Day
from chilly_movies.net.limits import MAX_HOURS, Rate, SpeedLimits, ZoneName

router = part_of_contract("settings", "/settings")

_ALTERNATIVE = "They hold while `enabled` is true, and within the `hours`."
_ZONE = "IANA name of the zone whose clock counts; null = this machine's."
_DAYS = "On which days they begin."
_END = "HH:MM; at or before `from` = on the next day."

_Days = Annotated[list[Day], Field(min_length=1, max_length=7, description=_DAYS)]
_RateIn = Annotated[Rate, Field(description="Bytes per second, 0 = unlimited.")]


class HoursIn(JsonBody):
    """A span of time on some days of the week."""

    model_config = ConfigDict(populate_by_name=False)

    days: _Days
    start: ClockTime = Field(alias="from")
    end: ClockTime = Field(alias="to", description=_END)


class AlternativeIn(JsonBody):
    """Alternative limits; null = back to the default, what is left out stays."""

    download_limit: _RateIn | None = None
    upload_limit: _RateIn | None = None
    enabled: bool | None = Field(
        None,
        description="False within the hours: off until these are over, unless `hours` is given.",
    )
    time_zone: ZoneName | None = Field(None, description=_ZONE, examples=["Europe/Berlin"])
    hours: Annotated[list[HoursIn], Field(max_length=MAX_HOURS)] | None = None


class LimitsIn(JsonBody):
    """Limits to set; null = back to what the settings say, what is left out stays."""

    model_config = example(
        downloadLimit=5_000_000,
        alternative={
            "downloadLimit": 500_000,
            "hours": [{"days": ["mon", "tue"], "from": "22:00", "to": "06:00"}],
        },
    )

    download_limit: _RateIn | None = None
    upload_limit: _RateIn | None = None
    alternative: AlternativeIn | None = Field(None, description=_ALTERNATIVE)


class HoursOut(Shown):
    """A span of time on some days of the week."""

    days: _Days
    start: ClockTime = Field(alias="from", validation_alias=AliasChoices("from", "start"))
    end: ClockTime = Field(alias="to", validation_alias=AliasChoices("to", "end"), description=_END)


class AlternativeOut(Shown):
    """The alternative limits."""

    download_limit: int = Field(description="Bytes per second, 0 = unlimited.")
    upload_limit: int = Field(description="Bytes per second, 0 = unlimited.")
    enabled: bool = Field(description="They hold at all times.")
    time_zone: str | None = Field(description=_ZONE)
    hours: list[HoursOut]
    active: bool = Field(description="They hold at the moment.")
    off_until: Moment | None = Field(description="When they may hold by the hours again.")


class LimitsOut(Shown):
    """The speed limits of the whole server."""

    download_limit: int = Field(description="Bytes per second, 0 = unlimited.")
    upload_limit: int = Field(description="Bytes per second, 0 = unlimited.")
    alternative: AlternativeOut = Field(description=_ALTERNATIVE)


def _limits(request: Request) -> SpeedLimits:
    found: SpeedLimits = request.app.state.limits
    return found


@router.get("/limits", response_model=LimitsOut, responses=documented())
@Policy(KeyScope.READ)
async def get_limits(request: Request) -> Response:
    """The speed limits of the whole server, and which of them hold."""
    return answer(LimitsOut.model_validate(_limits(request).now()))


@router.patch("/limits", response_model=LimitsOut, responses=documented(408, 413, 415, 422))
@Policy(KeyScope.ADMIN, body=JSON)
async def adjust_limits(request: Request, body: LimitsIn) -> Response:
    """Set speed limits, which hold at once and after a restart.

    They win over environment and file until null is given for them.
    """
    changed = await _limits(request).change(body.model_dump(exclude_unset=True))
    return answer(LimitsOut.model_validate(changed))


TOPIC = Topic("limits", router, lambda _given, downloader, _facts: downloader.limits)
