"""`chilly play`: shows a film in a player while it arrives, and keeps it."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from chilly_movies.cli.boards import Board, board_for
from chilly_movies.cli.exits import CommandFailed, Exit, exit_of_status
from chilly_movies.cli.output import Output, clean
from chilly_movies.cli.own_server import own_server
from chilly_movies.cli.players import Show, command, find_player
from chilly_movies.cli.remote import HERE, Remote
from chilly_movies.cli.running import run
from chilly_movies.cli.sources import read_source
from chilly_movies.jobs.models import is_video

if TYPE_CHECKING:
    from chilly_movies.client import ApiClient

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_INFO_HASH = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[A-Za-z2-7]{32}")
_NUMBER = re.compile(r"[0-9]{1,9}(-[0-9]{1,9})?")
_Flag = Parameter(negative="", show_default=False)
_STOP_WITHIN = 5.0


def play(
    source: Annotated[str, Parameter(name="SOURCE")],
    /,
    *,
    player: str | None = None,
    file: int | None = None,
    print_url: Annotated[bool, Parameter(name="--print", negative="", show_default=False)] = False,
    stay: Annotated[bool, _Flag] = False,
    remote: Remote = HERE,
) -> int:
    """Watch a film while it arrives. It is kept like any other download.

    Without a running server it starts one, which ends with the player; the same command goes on
    where it was.

    Args:
        source: A job's ID, a magnet link, an info hash, a link, or a path.
        player: mpv, vlc, iina, ffplay, or another program that takes an address; the first one
            that is installed if not given.
        file: Index of the file to show; the largest film if not given.
        print_url: Say the film's address instead of starting a player.
        stay: Go on downloading after the player was closed, until the film is complete.
        remote: Which server.
    """
    found = None if print_url else find_player(player)
    if found is None and not print_url:
        raise CommandFailed(
            "No player is installed (mpv, vlc, iina, celluloid, ffplay); --player names another, "
            "--print says the film's address.",
            Exit.USAGE,
        )
    return run(_Playing(source, found, file, remote, stay=stay).work())


class _Playing:
    """One `chilly play`."""

    def __init__(
        self,
        source: str,
        player: list[str] | None,
        file: int | None,
        remote: Remote,
        *,
        stay: bool,
    ) -> None:
        self._source = source
        self._player = player
        self._file = file
        self._remote = remote
        self._stay = stay
        self._out = remote.output()

    async def work(self) -> int:
        """Plays the film; returns the exit code."""
        async with self._server() as (remote, own), remote.client() as api:
            job_id = await self._begin(api)
            with board_for(self._out) as board:
                job = await _with_files(api, job_id, board)
                show = await self._show(api, job)
                following = asyncio.create_task(_follow(api, job, board))
                try:
                    await api.first_bytes(show.url)
                    self._out.record({"event": "playing", "url": show.url, "title": show.title})
                    code: int = Exit.DONE
                    if self._player is not None:
                        code = await _run_player(command(self._player, show), self._out)
                    else:
                        self._out.say(show.url)
                        if own:  # the address lives as long as our server
                            await asyncio.Event().wait()
                    if self._stay and code == Exit.DONE:
                        code = exit_of_status(await following)
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
            return code

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[tuple[Remote, bool]]:
        """Yields the running server, or one of our own, and whether it is ours."""
        try:
            async with self._remote.client() as api:
                await api.health()
        except CommandFailed as error:
            if error.code is not Exit.NO_SERVER:
                raise
            from chilly_movies.settings import load_settings

            if (self._remote.server or load_settings().server) is not None:
                raise  # that one is meant, and no other can stand in for it
        else:
            yield self._remote, False
            return
        async with own_server() as url:
            yield Remote(server=url, json=self._remote.json), True

    async def _begin(self, api: ApiClient) -> str:
        """Starts the job; returns its id."""
        from chilly_movies.client import ClientError

        job = None
        if _ID.fullmatch(self._source):
            try:
                job = await api.detail(self._source)
            except ClientError as error:
                if error.code != "job_not_found" or not _INFO_HASH.fullmatch(self._source):
                    raise
        if job is None:
            wanted = read_source(self._source)
            try:
                job = await api.start(wanted.urn, torrent=wanted.torrent, id=wanted.digest[:16])
            except ClientError as error:
                if error.existing_id is None:
                    raise
                job = await api.status(error.existing_id)
        if job["status"] in ("paused", "failed"):
            job = await api.resume(job["id"])
        return str(job["id"])

    async def _show(self, api: ApiClient, job: dict[str, Any]) -> Show:
        """Chooses the file to show, and has the server give links to it and its subtitles.

        Raises:
            CommandFailed: there is no such file, or no film.
        """
        files = [file for file in job["files"] if file["wanted"]]
        if self._file is not None:
            file = next((one for one in files if one["index"] == self._file), None)
            if file is None:
                raise CommandFailed(f"The download has no chosen file {self._file}.", Exit.USAGE)
        else:
            films = [one for one in files if is_video(one["path"])]
            file = max(films, key=lambda one: one["size"], default=None)
            if file is None:
                nothing = "The download has no film among its files; --file names another."
                raise CommandFailed(nothing)
        paths = [f"/stream/{job['id']}/{file['index']}"]
        paths += [
            f"/subtitles/{job['id']}/{one['n']}.vtt"
            for one in await api.subtitles(job["id"])
            if one["source"] == "sidecar"
            and one["film"] in (None, file["index"])
            and _NUMBER.fullmatch(str(one["n"]))
        ]
        urls = [await api.link(path) for path in paths]
        return Show(urls[0], clean(PurePosixPath(file["path"]).name), tuple(urls[1:]))


async def _with_files(api: ApiClient, job_id: str, board: Board) -> dict[str, Any]:
    """Waits until the job's files are known, and shows it until then.

    Raises:
        CommandFailed: it failed or was canceled before.
    """
    async with aclosing(api.events(job_id)) as events:
        async for event in events:
            if event["event"] in ("snapshot", "metadata") or event["status"] in _OVER:
                job = await api.detail(job_id)
                board.show(job, event["event"])
                if job["files"]:
                    return job
                if job["status"] in _OVER:
                    raise CommandFailed(f"The download is {job['status']}.")
            else:
                board.show(event, event["event"])
    raise CommandFailed("The server went away.")


_OVER = ("failed", "canceled", "completed")


async def _follow(api: ApiClient, job: dict[str, Any], board: Board) -> str:
    """Shows the job until it is over; returns its last status."""
    current = False
    async with aclosing(api.events(job["id"])) as events:
        async for event in events:
            current = current or event["event"] == "snapshot"
            if current:
                board.show({**event, "name": job.get("name")}, event["event"])
                if event["status"] in _OVER or event["event"] == "removed":
                    return str(event["status"])
    return "canceled"


async def _run_player(words: Sequence[str], out: Output) -> int:
    """Run it to its end; what it says is heard only if it fails."""
    try:
        player = await asyncio.create_subprocess_exec(
            *words, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
        )
    except OSError as error:
        raise CommandFailed(f"The player {words[0]} cannot be run: {error.strerror}.") from None
    said = b""
    try:
        assert player.stderr is not None  # noqa: S101 (for the type checker)
        while part := await player.stderr.read(4096):
            said = (said + part)[-4096:]
        await player.wait()
    finally:
        if player.returncode is None:
            with suppress(ProcessLookupError):
                player.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_WITHIN):
                    await player.wait()
            if player.returncode is None:
                player.kill()
                await player.wait()
    if player.returncode == 0:
        return Exit.DONE
    last = (said.decode(errors="replace").strip().splitlines() or ["it does not say why"])[-1]
    out.error(f"The player ended with code {player.returncode}: {last}")
    return Exit.FAILED
