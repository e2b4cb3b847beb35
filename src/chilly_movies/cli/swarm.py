"""`chilly trackers` and `chilly stats`: how the trackers of a job do, and what all jobs moved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli import render
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.remote import HERE, Flag, OneId, Remote
from chilly_movies.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chilly_movies.client import ApiClient

_Urls = Annotated[list[str] | None, Parameter(negative="")]


def trackers(
    job_id: OneId,
    /,
    *,
    add: _Urls = None,
    remove: _Urls = None,
    announce: Annotated[bool, Flag] = False,
    remote: Remote = HERE,
) -> int:
    """Show the trackers of a job, and change them.

    Args:
        job_id: Which job.
        add: Announce URL of a tracker to add; repeatable.
        remove: URL of a tracker to remove, as it is shown; repeatable.
        announce: Ask the trackers for peers now.
        remote: Which server.
    """
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            found = await _changed(api, job_id, add or [], remove or [])
            if announce:
                found = await api.announce(job_id)
        out.document(found)
        if found:
            out.show(_table(found))
        else:
            out.say("This job has no trackers.")

    run(work())
    return Exit.DONE


async def _changed(
    api: ApiClient, job_id: str, add: Sequence[str], remove: Sequence[str]
) -> Sequence[dict[str, Any]]:
    """The trackers of a job after some were added and removed."""
    found = await api.add_trackers(job_id, add) if add else await api.trackers(job_id)
    for url in remove:
        ids = [tracker["id"] for tracker in found if tracker["url"] == url]
        if not ids:
            raise CommandFailed(f"The job has no tracker {url}; without --remove they are shown.")
        found = await api.remove_tracker(job_id, ids[0])
    return found


def _table(trackers: Sequence[dict[str, Any]]) -> Any:
    rows = []
    for one in trackers:
        counts = ["" if one[name] is None else str(one[name]) for name in ("seeds", "peers")]
        due, left = one["nextAnnounceAt"], ""
        if due is not None:
            seconds = int((datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds())
            left = render.duration(max(0, seconds))
        message = str(one["message"] or "")
        rows.append((str(one["tier"]), one["url"], one["status"], *counts, left, message))
    columns = ("TIER", "TRACKER", "STATUS", "SEEDS", "PEERS", "NEXT", "MESSAGE")
    return render.table(columns, rows)


def stats(*, remote: Remote = HERE) -> int:
    """Show what all jobs move and moved.

    Args:
        remote: Which server.
    """
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            found = await api.stats()
        out.document(found)
        out.show(_stats_table(found))

    run(work())
    return Exit.DONE


def _stats_table(found: dict[str, Any]) -> Any:
    facts = [
        ("down", render.speed(found["downloadSpeed"])),
        ("up", render.speed(found["uploadSpeed"])),
    ]
    facts += [("peers", str(found["peers"]))]
    facts += [("this session", _moved(found["session"])), ("all time", _moved(found["allTime"]))]
    counts = [f"{number} {status}" for status, number in found["jobs"].items() if number]
    facts += [("jobs", ", ".join(counts) or "none")]
    if found["dhtNodes"] is not None:
        facts += [("DHT", render.count(found["dhtNodes"], "node"))]
    if found["freeBytes"] is not None:
        facts += [("free on the disk", render.size(found["freeBytes"]))]
    return render.table(("", ""), facts)


def _moved(moved: dict[str, Any]) -> str:
    since = datetime.fromisoformat(moved["since"]).astimezone().strftime("%Y-%m-%d %H:%M")
    down, up = render.size(moved["downloaded"]), render.size(moved["uploaded"])
    return f"{down} down, {up} up, {render.size(moved['wasted'])} wasted, since {since}"
