"""`chilly seed`: offers films from where they lie, without a server and without a trace."""

from __future__ import annotations

import asyncio
import ipaddress
import shlex
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from cyclopts import Parameter

from chilly_movies.cli import render
from chilly_movies.cli.boards import Board, board_for
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import Output
from chilly_movies.cli.running import run
from chilly_movies.jobs.models import Phase, Progress
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.torrents import MadeTorrent
from chilly_movies.runtime.loading import loading

if TYPE_CHECKING:
    from chilly_movies.drivers.torrent.engine.config import EngineConfig
    from chilly_movies.drivers.torrent.engine.torrent import Torrent
    from chilly_movies.drivers.torrent.making.seeder import Seeder
    from chilly_movies.settings import Settings

_SHOW_INTERVAL = 1.0
_Flag = Parameter(negative="", show_default=False)


def seed(
    *paths: Annotated[Path, Parameter(name="PATH")],
    version: Literal["hybrid", "v1", "v2"] = "hybrid",
    tracker: Annotated[tuple[str, ...], _Flag] = (),
    private: Annotated[bool, _Flag] = False,
    comment: str = "",
    torrent_file: Path | None = None,
    upload_limit: int | None = None,
    torrent_port: int | None = None,
    interface: str | None = None,
    all: Annotated[bool, _Flag] = False,  # noqa: A002 (what is typed)
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Make torrents of files and folders, and seed them from where they lie until Ctrl-C.

    Nothing is written but the torrent file you ask for. Hidden files and symlinks in a folder are
    left out. Browsers find it by the WebTorrent trackers of the settings, unless it is private.
    With a tracker at a private address nobody is asked for peers but the trackers given.

    Args:
        paths: Files and folders; each becomes a torrent.
        version: Which info hashes it gets; v1 for WebTorrent clients that know no others.
        tracker: Announce URL of a tracker; can be given several times.
        private: Peers come from the trackers given alone.
        comment: Kept in the torrent, for people.
        torrent_file: Write the torrent there, for one PATH; a file that is there is not replaced.
        upload_limit: Bytes per second over all, 0 = unlimited.
        torrent_port: Port for peers, 0 = any free one.
        interface: Network interface or address for peers, a VPN's say.
        all: Say also how to get it without a tracker, if peers of this network are let in.
        json: One JSON line for each torrent, and for each change.
    """
    from chilly_movies.runtime.logs import configure_logs
    from chilly_movies.settings import load_settings

    if not paths:
        raise CommandFailed("Give at least one PATH: a file or folder to seed.", Exit.USAGE)
    if torrent_file is not None and len(paths) > 1:
        raise CommandFailed("--torrent-file takes one PATH.", Exit.USAGE)
    if torrent_file is not None and torrent_file.exists():
        raise CommandFailed(f"The torrent file {torrent_file} is there already.", Exit.USAGE)
    settings = load_settings(
        upload_limit=upload_limit, torrent_port=torrent_port, interface=interface
    )
    configure_logs("error", settings.log_format)
    wish = _Wish(version, tracker, private, comment, torrent_file, all)
    run(_Seeding(settings, wish, Output(as_json=json)).work([_real(path) for path in paths]))
    return Exit.DONE


def _real(path: Path) -> Path:
    """Where the path leads; a symlink that was typed is meant."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise CommandFailed(f"There is nothing to seed at {path}.", Exit.USAGE) from None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was typed."""

    version: str
    trackers: tuple[str, ...]
    private: bool
    comment: str
    torrent_file: Path | None
    all: bool


class _Seeding:
    """One `chilly seed`."""

    def __init__(self, settings: Settings, wish: _Wish, out: Output) -> None:
        self._settings = settings
        self._wish = wish
        self._out = out

    async def work(self, paths: Sequence[Path]) -> None:
        """Make all torrents, then seed until this is cancelled."""
        with loading():
            from chilly_movies.app import engine_config
            from chilly_movies.drivers.torrent.engine.config import with_typed
            from chilly_movies.drivers.torrent.making.seeder import Seeder

        config = await with_typed(engine_config(self._settings), self._wish.trackers)
        with board_for(self._out) as board:
            made = [await self._make(path, board, config) for path in paths]
        async with Seeder(config) as seeder:
            offers = {}
            for one, path in zip(made, paths, strict=True):
                key = one.v1 or one.v2 or ""
                if key not in offers:  # the same path twice
                    offers[key] = (one, await seeder.offer(one, path.parent, Options()))
            if config.port not in (0, seeder.port):
                self._out.note(f"port {config.port} is taken, peers reach this at {seeder.port}")
            for one, _ in offers.values():
                self._tell(one, config, seeder.port)
            with board_for(self._out) as board:
                torrents = [torrent for _, torrent in offers.values()]
                await asyncio.gather(
                    self._tell_dead(torrents, config.typed.trackers),
                    *(_watch(one, torrent, seeder, board) for one, torrent in offers.values()),
                )

    async def _make(self, path: Path, board: Board, config: EngineConfig) -> MadeTorrent:
        from chilly_movies.drivers.torrent.making.create import make_torrent, with_websockets
        from chilly_movies.jobs.torrents import TorrentVersion

        def show(share: float) -> None:
            progress = Progress(percent=round(100 * share, 1), phase=Phase.CHECKING)
            board.show(_wire(path.name, path.name, "active", progress), "progress")

        wish, version = self._wish, TorrentVersion(self._wish.version)
        websockets = config.webtorrent_asked if config.webtorrent else ()
        trackers = with_websockets(wish.trackers, websockets, version, private=wish.private)
        made = await make_torrent(
            path,
            version=version,
            trackers=trackers,
            private=wish.private,
            comment=wish.comment,
            on_progress=show,
        )
        if wish.torrent_file is not None:
            await asyncio.to_thread(_write, wish.torrent_file, made.data)
        return made

    def _tell(self, made: MadeTorrent, config: EngineConfig, port: int) -> None:
        """Say how others get it; what would not reach us is not said."""
        trackers = config.typed.trackers if config.typed.alone else ()
        address = reachable_at(config.interface, port, trackers) if config.lets_private else None
        command = get_command(made.magnet, trackers=trackers)
        self._out.say(
            f"{made.name}: {render.size(made.size)}, {render.count(len(made.files), 'file')}"
        )
        self._out.say(f"to get it: {command}")
        if address and self._wish.all:
            near = get_command(made.magnet, peers=[address])
            self._out.say(f"without a tracker, in this network: {near}")
        self._out.record(
            {
                "event": "made",
                "id": made.v1 or made.v2,
                "name": made.name,
                "magnet": made.magnet,
                "link": f"{made.magnet}&x.pe={address}" if address else made.magnet,
                "command": command,
                "infoHash": made.v1,
                "infoHashV2": made.v2,
                "size": made.size,
                "files": len(made.files),
            }
        )

    async def _tell_dead(self, torrents: Sequence[Torrent], typed: Sequence[str]) -> None:
        """Say once of each tracker that was typed if it does not answer."""
        told: set[str] = set()
        while True:
            for torrent in torrents:
                for url in (url for url in typed if url not in told):
                    if (standing := torrent.trackers.get(url)) and standing.problem:
                        told.add(url)
                        self._out.note(f"the tracker {url} failed: {standing.problem}")
            await asyncio.sleep(_SHOW_INTERVAL)


def get_command(magnet: str, *, trackers: Sequence[str] = (), peers: Sequence[str] = ()) -> str:
    """Writes the command that gets a film, for a shell."""
    words = ["chilly", "get", magnet]
    words += [word for url in trackers for word in ("--tracker", url)]
    words += [word for peer in peers for word in ("--peer", peer)]
    return shlex.join(words)


async def _watch(made: MadeTorrent, torrent: Torrent, seeder: Seeder, board: Board) -> None:
    """Show the figures of a torrent until this is cancelled.

    Raises:
        CommandFailed: it cannot be seeded any more.
    """
    while True:
        state = await torrent.moved()
        if not (state.finished or state.checking) or not await seeder.is_right(torrent):
            raise CommandFailed(f"{made.name} was changed on disk, so it is not seeded.")
        progress = Progress(
            percent=100.0,
            bytes_downloaded=made.size,
            bytes_total=made.size,
            upload_speed=state.upload_speed,
            peers=state.peers,
            ratio=round(state.uploaded / made.size, 3),
            phase=Phase.SEEDING,
        )
        board.show(_wire(made.v1 or made.v2 or "", made.name, "completed", progress), "progress")
        await asyncio.sleep(_SHOW_INTERVAL)


def _wire(key: str, name: str, status: str, progress: Progress) -> dict[str, Any]:
    figures = render.wire_of_progress(progress)
    return {"id": key, "name": name, "status": status, "progress": figures}


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise CommandFailed(
            f"The torrent file {path} cannot be written: {error.strerror}.", Exit.USAGE
        ) from None


def reachable_at(interface: str | None, port: int, trackers: Sequence[str] = ()) -> str | None:
    """Returns our address for peers near by: on loopback or in a private network, None elsewhere.

    Args:
        interface: what the engine is bound to, None = everything.
        port: where peers reach us.
        trackers: if nothing leads out of this network, our address is the one they see.
    """
    hosts = ["192.0.2.1", *(urlsplit(url).hostname or "" for url in trackers)]
    found = interface or ""
    for host in hosts if interface is None else ():
        # the address we would use to talk to it; asking the kernel sends nothing
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            found = probe.getsockname()[0]
            break
    try:
        address = ipaddress.ip_address(found)
    except ValueError:  # an interface by its name
        return None
    if not (address.is_private or address.is_loopback) or address.is_unspecified:
        return None
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
