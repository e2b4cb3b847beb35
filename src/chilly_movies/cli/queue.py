"""`chilly queue`: the order in which jobs start."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from chilly_movies.cli import render
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.remote import HERE, Flag, Remote
from chilly_movies.cli.running import run

_WAITING = ("queued", "active", "paused")


def queue(
    job_id: Annotated[str | None, Parameter(name="ID")] = None,
    /,
    *,
    top: Annotated[bool, Flag] = False,
    bottom: Annotated[bool, Flag] = False,
    up: Annotated[bool, Flag] = False,
    down: Annotated[bool, Flag] = False,
    before: str | None = None,
    remote: Remote = HERE,
) -> int:
    """Show the jobs in the order in which they start, or put one elsewhere.

    Args:
        job_id: Which job to put elsewhere, with one of the flags.
        top: Before all others.
        bottom: Behind all others.
        up: One position up.
        down: One position down.
        before: Directly before the job of this ID.
        remote: Which server.
    """
    flags = {"top": top, "bottom": bottom, "up": up, "down": down, "before": before is not None}
    given = [name for name, wanted in flags.items() if wanted]
    if len(given) != (0 if job_id is None else 1):
        raise CommandFailed(
            "To put a job elsewhere give its ID and one of --top, --bottom, --up, --down and "
            "--before ID.",
            Exit.USAGE,
        )
    if job_id is None:
        return run(_show(remote))
    return run(_place(remote, job_id, None if before is not None else given[0], before))


async def _show(remote: Remote) -> int:
    out = remote.output()
    async with remote.client() as api:
        jobs = await api.list(_WAITING)
    out.document(jobs)
    if jobs:
        out.show(render.queue_table(jobs))
    else:
        out.say("No job waits or runs.")
    return Exit.DONE


async def _place(remote: Remote, job_id: str, to: str | None, before: str | None) -> int:
    out = remote.output()
    async with remote.client() as api:
        job = await api.place(job_id, to, before=before)
    out.document(job)
    out.say(f"{job['id']} is at position {job['position']}")
    return Exit.DONE
