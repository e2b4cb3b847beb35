"""`chilly watch`: the server's event stream for people."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.boards import board_for
from chilly_movies.cli.exits import Exit, exit_of_status
from chilly_movies.cli.output import Output
from chilly_movies.cli.remote import HERE, Remote
from chilly_movies.cli.running import run
from chilly_movies.jobs.models import FINAL_STATUSES

if TYPE_CHECKING:
    from chilly_movies.client import ApiClient


def watch(
    job_id: Annotated[str | None, Parameter(name="ID")] = None, /, *, remote: Remote = HERE
) -> int:
    """Show what happens on the server, as it happens.

    With an ID it ends when that job is done, with the exit code of how it ended.

    Args:
        job_id: Only this job.
        remote: Which server.
    """
    return run(_follow(job_id, remote, remote.output()))


async def _follow(job_id: str | None, remote: Remote, out: Output) -> int:
    """Shows events until the job is over; the history before one job's snapshot is left out."""
    current = job_id is None
    async with remote.client() as api:
        known = [await api.detail(job_id)] if job_id else await api.list()
        names = {job["id"]: job.get("name") for job in known}
        with board_for(out) as board:
            async with aclosing(api.events(job_id)) as events:
                async for event in events:
                    if not current and event["event"] == "removed":
                        await api.status(event["id"])  # raises, unless another has this id now
                    current = current or event["event"] == "snapshot"
                    if not current:
                        continue
                    board.show(await _named(api, names, event), event["event"])
                    over = event["status"] in FINAL_STATUSES or event["event"] == "removed"
                    if job_id is not None and over:
                        return exit_of_status(event["status"])
    return Exit.DONE


async def _named(
    api: ApiClient, names: dict[str, str | None], event: dict[str, Any]
) -> dict[str, Any]:
    """The event with its film's name, which events do not carry."""
    from chilly_movies.client import ClientError

    known = names.get(event["id"])
    if known is None and event["event"] in ("metadata", "snapshot"):
        with suppress(ClientError):
            known = names[event["id"]] = (await api.detail(event["id"])).get("name")
    return {**event, "name": known}
