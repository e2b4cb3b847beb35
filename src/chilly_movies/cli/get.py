"""`chilly get`: downloads films without a server, and goes on where it was stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from chilly_movies.cli import render
from chilly_movies.cli.boards import Board, board_for
from chilly_movies.cli.exits import Exit
from chilly_movies.cli.film_records import Film, FilmsInUse, films_of, roots_of
from chilly_movies.cli.output import Output
from chilly_movies.cli.running import run
from chilly_movies.cli.sources import Wanted, read_files, read_sources
from chilly_movies.jobs.models import Job, Status
from chilly_movies.runtime.loading import loading

if TYPE_CHECKING:
    from chilly_movies.jobs.downloader import Downloader
    from chilly_movies.settings import Settings

_Flag = Parameter(negative="", show_default=False)
_LINK_TRIES = 3
"""So often a link is tried, within some 10 s."""
_DEAD = ("source_unavailable", "source_not_found")
"""The errors of a link that leads to no torrent file."""


def get(
    *sources: Annotated[str, Parameter(name="SOURCE")],
    media_root: Path | None = None,
    tracker: Annotated[tuple[str, ...], _Flag] = (),
    peer: Annotated[tuple[str, ...], _Flag] = (),
    files: str | None = None,
    seed: bool = False,
    download_limit: int | None = None,
    upload_limit: int | None = None,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Download films here and now, without a server.

    Stopped with Ctrl-C, it keeps what is there; typed again, each film goes on from that, alone or
    beside others. One that is there already is not fetched again.

    Args:
        sources: Magnet links, info hashes, links to .torrent files, films or pages with a film,
            or paths of .torrent files or films.
        media_root: Where the films go; the settings' if not given.
        tracker: Announce URL of a tracker to ask, too; can be given several times. With one at a
            private address nobody else is asked for peers, nor whom the links name.
        peer: The same of a peer, like 192.168.1.5:6881.
        files: File indices to download, like 0,2; all if not given.
        seed: Give back to others afterwards, up to the goals in the settings.
        download_limit: Bytes per second over all, 0 = unlimited.
        upload_limit: Bytes per second over all, 0 = unlimited.
        json: One JSON line for each event.
    """
    from chilly_movies.runtime.logs import configure_logs
    from chilly_movies.settings import load_settings

    wanted, indices = read_sources(sources), read_files(files)
    settings = load_settings(
        media_root=media_root, download_limit=download_limit, upload_limit=upload_limit
    )
    configure_logs("error", settings.log_format)  # warnings are on the board as reasons
    getting = _Getting(settings, wanted, indices, Output(as_json=json), seed=seed)
    return run(getting.work(tracker, peer))


class _Getting:
    """One `chilly get`."""

    def __init__(
        self,
        settings: Settings,
        wanted: Sequence[Wanted],
        files: list[int] | None,
        out: Output,
        *,
        seed: bool,
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._files = files
        self._out = out
        self._seed = seed
        self._films: list[Film] = []
        self._introduced: set[str] = set()

    async def work(self, trackers: Sequence[str], peers: Sequence[str]) -> int:
        """Download all, and ask these trackers and peers, too; the exit code."""
        try:
            async with await self._downloader(trackers, peers) as downloader:
                jobs = await self._all(downloader)
        except asyncio.CancelledError:
            self._out.note("stopped; what is there is kept, 'chilly get' goes on from it")
            raise
        for job in jobs:
            name = job.name or job.id
            if job.status is Status.COMPLETED:
                self._out.say(f"{name} lies at {self._place(job)}")
            elif job.error is not None:
                tries = f" Tried {job.attempts} times; type it again later." if job.attempts else ""
                self._out.error(f"{name}: {job.error.message}{tries}")
            else:
                self._out.error(f"{name} is {job.status}.")
        whole = all(job.status is Status.COMPLETED for job in jobs)
        return Exit.DONE if whole else Exit.FAILED

    async def _downloader(self, trackers: Sequence[str], peers: Sequence[str]) -> Downloader:
        with loading():
            from chilly_movies.app import (
                AssembledDownloader,
                engine_config,
                other_drivers,
                torrent_parts,
            )
            from chilly_movies.disk.volume import check_writable
            from chilly_movies.drivers.torrent.engine.config import with_typed
            from chilly_movies.jobs.retry import policy_of
            from chilly_movies.storage.opened import Stores
            from chilly_movies.storage.spread import SpreadStores

        self._films = films_of(self._settings, self._wanted, self._files)
        check_writable(self._settings.media_root)
        config = await with_typed(engine_config(self._settings), trackers, peers)
        roots = roots_of(self._settings, self._films)
        stores = SpreadStores({film.id: film.state.database for film in self._films})
        parts = torrent_parts(
            config if self._seed else replace(config, seed_ratio=0.0),
            self._films[0].state,
            max_active=len(self._films),
            min_free_space=self._settings.jobs.min_free_space,
            stores=Stores(stores, stores),
            others=partial(other_drivers, self._settings, stores, roots),
            retry=policy_of(self._settings.jobs),
        )
        use = FilmsInUse(self._films, config.media_root)
        return AssembledDownloader(replace(parts, sole_use=use))

    async def _all(self, downloader: Downloader) -> list[Job]:
        async with downloader.listen() as changes:
            jobs = {job.id: job for job in [await self._begin(downloader, f) for f in self._films]}
            with board_for(self._out) as board:
                for job in jobs.values():
                    self._show(board, job, "snapshot")
                while not all(map(self._is_over, jobs.values())):
                    change = await anext(changes, None)
                    if change is None:
                        break
                    if change.job is not None and change.id in jobs:
                        jobs[change.id] = change.job
                        self._show(board, change.job, change.event)
        return list(jobs.values())

    async def _begin(self, downloader: Downloader, film: Film) -> Job:
        """Start a film, or let what an earlier run began go on."""
        wish = {
            "id": film.id, "source_urn": film.source.urn, "torrent": film.source.torrent,
            "files": self._files,
        }  # fmt: skip
        job = await downloader.start(wish)
        if job.status is not Status.COMPLETED:
            return await downloader.resume(job.id)
        if job.path is not None and self._place(job).exists():
            return job
        await downloader.remove(job.id)
        return await downloader.start(wish)

    def _is_over(self, job: Job) -> bool:
        """Whether a job is not waited for any more.

        A server would go on with a dead link to a torrent file, for which nobody waits here; peers
        may come at any time, so a torrent itself is waited for.
        """
        if job.status.is_final and not (self._seed and job.seeding):
            return True
        is_link = not job.files and job.source.urn.lower().startswith(("http:", "https:"))
        dead = job.error is not None and job.error.code in _DEAD
        return is_link and dead and job.attempts >= _LINK_TRIES

    def _show(self, board: Board, job: Job, event: str) -> None:
        if job.files and job.id not in self._introduced:
            self._introduced.add(job.id)
            self._out.say(render.introduction(job))
        wire = render.wire_of(job)
        if job.path is not None and job.status is Status.COMPLETED:
            wire["path"] = str(self._place(job))
        board.show(wire, event)

    def _place(self, job: Job) -> Path:
        return self._settings.media_root.absolute() / (job.path or "")
