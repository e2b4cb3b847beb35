"""The commands that talk to a running server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from chilly_movies.cli import render
from chilly_movies.cli.exits import CommandFailed, Exit, exit_of_answer
from chilly_movies.cli.output import Output
from chilly_movies.cli.running import run
from chilly_movies.cli.sources import Wanted, read_secrets, read_sources
from chilly_movies.cli.start_options import (
    NOT_GIVEN,
    UNCHANGED,
    ChangeFlags,
    LabelFlag,
    OptionFlags,
    given_options,
    read_changes,
    read_labels,
)

if TYPE_CHECKING:
    from chilly_movies.client import ApiClient, ClientError
    from chilly_movies.settings import Settings

_StatusName = Literal["queued", "active", "paused", "completed", "failed", "canceled"]
Ids = Annotated[list[str], Parameter(name="ID", negative="")]
Sources = Annotated[list[str] | None, Parameter(negative="")]
OneId = Annotated[str, Parameter(name="ID")]
Flag = Parameter(negative="", show_default=False)
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}(/.*)?", re.ASCII)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Remote:
    """The server's address, and how to say what it answers."""

    server: str | None = None
    """Address of the server, like localhost:3000; CHILLY_SERVER or the settings' if not given."""
    key: str | None = None
    """API key that the server wants; API_SECRET if not given."""
    json: Annotated[bool, Flag] = False
    """JSON on standard output and nothing else."""

    def output(self) -> Output:
        """Returns the output for the command's results."""
        return Output(as_json=self.json)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ApiClient]:
        """Opens a client of the server.

        Raises:
            CommandFailed: what the body asks is refused, or no server answers.
        """
        from chilly_movies.client import ApiClient, ClientError
        from chilly_movies.settings import load_settings

        settings = load_settings()
        key = self.key or settings.http.secret
        try:
            async with ApiClient(self.url(settings), api_key=key) as api:
                yield api
        except ClientError as error:
            raise CommandFailed(
                in_words(error, keyed=bool(key)), exit_of_answer(error.code)
            ) from None

    def url(self, settings: Settings) -> str:
        """Returns the address of the server; a host and port without a scheme mean http."""
        here = server_url(settings.http.host, settings.http.port)
        typed = self.server or settings.server or here
        return f"http://{typed}" if _HOST_AND_PORT.fullmatch(typed) else typed


HERE = Remote()


def in_words(error: ClientError, *, keyed: bool) -> str:
    """Says what the server refused and, if it was for a key, what to type.

    Args:
        error: the refusal.
        keyed: a key was sent.
    """
    if error.status == 401 and not keyed:
        return "The server wants an API key: type --key KEY, or set API_SECRET."
    if error.status == 401:
        return "The server does not know this API key: --key KEY or API_SECRET gives another."
    if error.code == "forbidden_scope":
        return f"{error.detail.rstrip('.')}; --key KEY gives another."
    return error.detail


def server_url(host: str, port: int) -> str:
    """Returns the address of a server on this host; one on all addresses is reached locally."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 (compared, not bound)
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def add(
    *sources: Annotated[str, Parameter(name="SOURCE")],
    id: str | None = None,  # noqa: A002 (the contract's name)
    type: str | None = None,  # noqa: A002
    label: LabelFlag = None,
    candidate: Sources = None,
    mirror: Sources = None,
    secrets: Path | None = None,
    options: OptionFlags = NOT_GIVEN,
    remote: Remote = HERE,
) -> int:
    """Start downloads on the server.

    Args:
        sources: Magnet links, info hashes, links to .torrent files, films or pages with a film,
            paths of .torrent files, or paths on the server.
        id: Name for the job; the server makes one up if not given.
        type: Kind of source (torrent, http, youtube, local, or that of another driver of the
            server); told from the source if not given.
        label: Kept with the downloads, as KEY=VALUE; repeatable.
        candidate: Another source of the same film, taken if SOURCE is given up; repeatable.
        mirror: Another link to the same bytes, asked beside SOURCE; repeatable.
        secrets: JSON file with username, password, cookies and headers for the source's server;
            - = standard input.
        options: What is asked of the downloads.
        remote: Which server.
    """
    wanted = read_sources(sources)
    if id is not None and len(wanted) > 1:
        raise CommandFailed("--id names one job: give one SOURCE with it.", Exit.USAGE)
    if (secrets or candidate or mirror) and len(wanted) > 1:
        sentence = "--candidate, --mirror and --secrets are for one film: give one SOURCE with it."
        raise CommandFailed(sentence, Exit.USAGE)
    given = given_options(options) | read_secrets(secrets)
    for name, links in (("candidates", candidate), ("mirrors", mirror)):
        given[name] = [{"sourceUrn": link} for link in links] if links else None
    labels = read_labels(label) or None

    async def start(api: ApiClient, one: Wanted) -> dict[str, Any]:
        return await api.start(
            one.urn, id=id, source_type=type, torrent=one.torrent, labels=labels, **given
        )

    return _each(remote, wanted, start)


def pause(ids: Ids, /, *, remote: Remote = HERE) -> int:
    """Stop all traffic of jobs.

    Args:
        ids: Which jobs.
        remote: Which server.
    """
    return _each(remote, ids, lambda api, job_id: api.pause(job_id))


def resume(ids: Ids, /, *, remote: Remote = HERE) -> int:
    """Let paused or failed jobs go on from what is there.

    Args:
        ids: Which jobs.
        remote: Which server.
    """
    return _each(remote, ids, lambda api, job_id: api.resume(job_id))


def cancel(ids: Ids, /, *, remote: Remote = HERE) -> int:
    """Give jobs up and delete their unfinished data; finished films stay.

    Args:
        ids: Which jobs.
        remote: Which server.
    """
    return _each(remote, ids, lambda api, job_id: api.cancel(job_id))


def recheck(ids: Ids, /, *, remote: Remote = HERE) -> int:
    """Compare every byte of jobs on the disk with its hash.

    Args:
        ids: Which jobs.
        remote: Which server.
    """
    return _each(remote, ids, lambda api, job_id: api.recheck(job_id))


def move(
    ids: Ids, /, *, folder: Annotated[str, Parameter(name="--to")], remote: Remote = HERE
) -> int:
    """Put films into another folder of the media folder.

    Args:
        ids: Which jobs.
        folder: Plain names with / between them, like Films/2024; "" = the media folder itself.
        remote: Which server.
    """
    return _each(remote, ids, lambda api, job_id: api.move(job_id, folder))


def label(
    job_id: OneId,
    /,
    *changes: Annotated[str, Parameter(name="KEY=VALUE")],
    remote: Remote = HERE,
) -> int:
    """Set labels of a job; KEY= without a value removes one.

    Args:
        job_id: Which job.
        changes: Labels, like category=films; others of the job stay.
        remote: Which server.
    """
    labels = {key: value or None for key, value in read_labels(changes).items()}
    if not labels:
        raise CommandFailed("Give at least one KEY=VALUE.", Exit.USAGE)
    return _each(remote, [job_id], lambda api, one: api.adjust(one, labels=labels))


def adjust(
    ids: Ids,
    /,
    *,
    default: Annotated[list[str] | None, Parameter(negative="")] = None,
    options: ChangeFlags = UNCHANGED,
    remote: Remote = HERE,
) -> int:
    """Change limits, seeding goals, files, folder and order of jobs, whether or not they run.

    Args:
        ids: Which jobs.
        default: An option that goes back to the server's default, like seed-ratio; repeatable.
        options: What is changed.
        remote: Which server.
    """
    changes = read_changes(options, default or ())
    return _each(remote, ids, lambda api, job_id: api.adjust(job_id, **changes))


def remove(
    ids: Ids, /, *, delete_files: Annotated[bool, Flag] = False, remote: Remote = HERE
) -> int:
    """Take jobs from the list.

    Args:
        ids: Which jobs.
        delete_files: Delete their finished films, too.
        remote: Which server.
    """

    async def delete(api: ApiClient, job_id: str) -> dict[str, Any]:
        await api.delete(job_id, delete_files=delete_files)
        return {"id": job_id, "status": "removed"}

    return _each(remote, ids, delete)


def _each(
    remote: Remote,
    items: Sequence[Any],
    verb: Callable[[ApiClient, Any], Awaitable[dict[str, Any]]],
) -> int:
    """Applies a verb to each; one that is refused does not keep the others from it."""
    from chilly_movies.client import ClientError

    out = remote.output()

    async def work() -> int:
        done: list[dict[str, Any]] = []
        code = Exit.DONE
        async with remote.client() as api:
            for item in items:
                try:
                    done.append(await verb(api, item))
                except ClientError as error:
                    code = code or exit_of_answer(error.code)
                    out.error(in_words(error, keyed=api.has_key))
                    if error.status in (None, 401):  # the others would hear the same
                        break
                else:
                    out.say(f"{done[-1]['id']} is {done[-1]['status']}")
        if done or code is Exit.DONE:
            out.document(done)
        return code

    return run(work())


def list_jobs(
    *,
    status: Annotated[list[_StatusName] | None, Parameter(negative="")] = None,
    label: LabelFlag = None,
    remote: Remote = HERE,
) -> int:
    """Show the server's jobs in queue order.

    Args:
        status: Only jobs with this status; repeatable.
        label: Only jobs with this label, as KEY=VALUE; repeatable: with all of them.
        remote: Which server.
    """
    out, labels = remote.output(), read_labels(label)

    async def work() -> None:
        async with remote.client() as api:
            jobs = await api.list(status or (), labels=labels)
        out.document(jobs)
        if jobs:
            out.show(render.job_table(jobs))
        else:
            out.say("There are no such jobs." if status or label else "There are no jobs yet.")

    run(work())
    return Exit.DONE


def status(job_id: OneId, /, *, remote: Remote = HERE) -> int:
    """Show all that is known of a job.

    Args:
        job_id: Which job.
        remote: Which server.
    """
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            job = await api.detail(job_id)
        out.document(job)
        out.show(render.detail(job))

    run(work())
    return Exit.DONE
