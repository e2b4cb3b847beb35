"""`chilly limit`: the speed limits of the server, shown and set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import Output
from chilly_movies.cli.remote import HERE, Remote
from chilly_movies.cli.render import speed, table
from chilly_movies.cli.running import run

if TYPE_CHECKING:
    pass

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"\s*(\S+)\s+(\d\d:\d\d)\s*-\s*(\d\d:\d\d)\s*")
_Rate = int | Literal["default"] | None


def limit(
    *,
    download: _Rate = None,
    upload: _Rate = None,
    alternative: Literal["on", "off"] | None = None,
    alternative_download: _Rate = None,
    alternative_upload: _Rate = None,
    hours: Annotated[list[str] | None, Parameter(negative="")] = None,
    time_zone: str | None = None,
    remote: Remote = HERE,
) -> int:
    """Show the speed limits of the server, or set them: at once, and for later runs, too.

    Limits are bytes per second, 0 = unlimited, 'default' = what the server's settings say.

    Args:
        download: Of all downloads together.
        upload: Of all uploads together.
        alternative: Let the alternative limits hold now; off within their hours = until the next.
        alternative_download: Of all downloads together while the alternative limits hold.
        alternative_upload: Of all uploads together while the alternative limits hold.
        hours: When the alternative limits hold, like "mon-fri 08:00-17:30"; repeatable, "none" = \
never.
        time_zone: Whose clock counts for the hours, Europe/Berlin say; "default" = the server's.
        remote: Which server.
    """
    spans: list[dict[str, Any]] | str | None = None
    if hours is not None:
        takes_back = [*hours] in (["none"], ["default"])
        spans = "default" if takes_back else [read_hours(text) for text in hours]
    others = {
        "downloadLimit": alternative_download,
        "uploadLimit": alternative_upload,
        "enabled": None if alternative is None else alternative == "on",
        "timeZone": time_zone,
        "hours": spans,
    }
    changes = _given({"downloadLimit": download, "uploadLimit": upload})
    if given := _given(others):
        changes["alternative"] = given
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            found = await (api.adjust_limits(changes) if changes else api.limits())
        out.document(found)
        _show(found, out)

    run(work())
    return Exit.DONE


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed; 'default' takes back what was set."""
    given = {name: value for name, value in members.items() if value is not None}
    return {name: None if value == "default" else value for name, value in given.items()}


def read_hours(text: str) -> dict[str, Any]:
    """Reads hours as people type them: `mon-fri 08:00-17:30`, `sat,sun 10:00-12:00`, `daily ...`.

    Raises:
        CommandFailed: the text has another form.
    """
    match = _HOURS.fullmatch(text.lower())
    days = [] if match is None else [day for part in match[1].split(",") for day in _days(part)]
    if match is None or None in days:
        raise CommandFailed(
            f"The hours '{text}' must look like 'mon-fri 08:00-17:30', 'sat,sun 10:00-12:00' or "
            "'daily 22:00-06:00'.",
            Exit.USAGE,
        )
    return {"days": [day for day in _DAYS if day in days], "from": match[2], "to": match[3]}


def _days(part: str) -> Sequence[str | None]:
    """The days that a name or span means; one that is None if it means none."""
    first, dash, last = part.partition("-")
    if part == "daily":
        return _DAYS
    if first not in _DAYS or (dash and last not in _DAYS):
        return [None]
    at, to = _DAYS.index(first), _DAYS.index(last or first)
    return _DAYS[at : to + 1] if at <= to else (*_DAYS[at:], *_DAYS[: to + 1])


def _show(limits: Mapping[str, Any], out: Output) -> None:
    alternative = limits["alternative"]
    spans = [f"{','.join(one['days'])} {one['from']}-{one['to']}" for one in alternative["hours"]]
    zone = f" ({alternative['timeZone']})" if spans and alternative["timeZone"] else ""
    when = "always" if alternative["enabled"] else f"{'; '.join(spans) or 'never'}{zone}"
    rows = [
        (name, _shown(which["downloadLimit"]), _shown(which["uploadLimit"]), holds)
        for name, which, holds in (("usual", limits, "else"), ("alternative", alternative, when))
    ]
    out.show(table(("LIMITS", "DOWNLOAD", "UPLOAD", "WHEN"), rows))
    if alternative["active"]:
        why = "they are switched on" if alternative["enabled"] else "these are their hours"
        out.say(f"The alternative limits hold now: {why}.")
    elif alternative["hours"] and alternative["offUntil"]:
        out.say(f"The alternative limits are switched off until {alternative['offUntil']}.")


def _shown(rate: int) -> str:
    return speed(rate) if rate else "unlimited"
