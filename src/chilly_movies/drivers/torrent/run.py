"""What one run of a job knows, and how the engine's figures become ours."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from chilly_movies.drivers.torrent import params as p
from chilly_movies.drivers.torrent.figures import TorrentState
from chilly_movies.drivers.volume import disk_error
from chilly_movies.models import Job, MediaFile, Phase, Progress, Source

T = TypeVar("T")


@dataclass(slots=True)
class Run:
    """What one `run` knows of its job.

    Attributes:
        published: the data lies under `path` in the media root, not in the staging folder.
        check: compare everything on the disk with its hashes before it is believed.
        mends: the published film may be written to: somebody asked for that.
        only_check: write nothing, and stop as soon as that is done.
        sound: what such a check found.
        have: the figures it ended with.
        checked: everything was compared in this run, and nothing arrived since.
        told: the facts were reported.
        ended: the seeding goal is reached.
        seen: the figures that were last shown.
    """

    job: Job
    source: Source
    path: str | None
    published: bool = False
    check: bool = False
    mends: bool = False
    only_check: bool = False
    sound: bool = False
    have: Progress = field(default_factory=Progress)
    checked: bool = False
    told: bool = False
    ended: bool = False
    metadata: p.Metadata | None = None
    seen: TorrentState = field(default_factory=TorrentState)

    @property
    def top(self) -> str:
        """First component of the data's paths in the staging folder."""
        return self.metadata.top if self.metadata else ""

    def published_files(self) -> tuple[MediaFile, ...]:
        """The files as they lie, or will lie, in the media root, and as they are wanted now."""
        if self.metadata is None or self.job.adopted:
            return self.job.files
        known = self.metadata.facts.files
        files, options = known, self.job.options
        if options.files is not None or options.priorities:  # else the magnet may have chosen
            priorities = options.priorities_of(file.index for file in known)
            files = tuple(
                replace(f, wanted=priorities[f.index] > 0 and not f.blocked) for f in known
            )
        if self.path is None:
            return files
        inner = {i: path.split("/")[1:] for i, path in self.metadata.disk_paths.items()}
        named = self._published_before(self.path)
        return tuple(
            replace(f, path=named.get(f.index) or "/".join([self.path, *inner[f.index]]))
            for f in files
        )

    def _published_before(self, path: str) -> dict[int, str]:
        """The names under which the files were published; today they might get others."""
        if not self.published:
            return {}
        known = ((file.index, file.path) for file in self.job.files)
        return {i: name for i, name in known if name == path or name.startswith(f"{path}/")}

    def published_paths(self) -> dict[int, str]:
        """Where each file lies in the media root."""
        return {file.index: file.path for file in self.published_files()}

    def disk_paths(self) -> dict[int, str]:
        """Where each file lies below the folder the engine writes to."""
        if self.published:
            return self.published_paths()
        return dict(self.metadata.disk_paths) if self.metadata else {}

    @property
    def wanted(self) -> int:
        """Bytes of the wanted files."""
        return sum(file.size for file in self.published_files() if file.wanted)

    def steady(self, state: TorrentState) -> TorrentState:
        """Figures for people: at a seek the engine does not count what is held back (`Order`)."""
        less = state.wanted < self.seen.wanted and not state.checking
        if less and (wanted := self.wanted) > state.wanted:
            state = replace(state, wanted=wanted, done=max(state.done, self.seen.done))
        self.seen = state
        return state


def goal(job: Job, ratio: float, seconds: int) -> tuple[float, int]:
    """The ratio and the seconds at which the job stops seeding, whichever comes first.

    Args:
        job: what it asks for goes first; whoever offers what they have goes on without end.
        ratio: of the settings.
        seconds: of the settings.
    """
    if job.adopted:
        ratio, seconds = math.inf, sys.maxsize
    wanted = job.options
    return (
        ratio if wanted.seed_ratio is None else wanted.seed_ratio,
        seconds if wanted.seed_time is None else wanted.seed_time,
    )


async def on_disk(work: Callable[[], T]) -> T:
    """Run blocking disk work in a thread; what the disk refuses becomes a `DiskError`."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        sentence = f"The media folder cannot be used: {error.strerror}."
        raise disk_error(error.errno, sentence) from None


async def to_the_end(work: Callable[[], object]) -> None:
    """Run disk work in a thread; who is cancelled meanwhile waits until it is done.

    What happened to the files is known then: a rename must not follow the clean-up it races.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def figures(state: TorrentState, phase: Phase | None = None) -> Progress:
    """Figures for people; 100 percent is left to the final report."""
    total = state.wanted if state.has_metadata else None
    percent = min(99.9, 100 * state.done / total) if total else 0.0
    if phase is Phase.SEEDING and state.finished:
        percent = 100.0
    left = state.wanted - state.done
    return Progress(
        percent=round(percent, 2),
        bytes_downloaded=state.done,
        bytes_total=total,
        download_speed=state.download_speed,
        upload_speed=state.upload_speed,
        time_remaining=left // state.download_speed if state.download_speed and left else None,
        peers=state.peers,
        seeds=state.seeds,
        ratio=round(state.uploaded / total, 3) if total else 0.0,
        phase=phase or phase_of(state),
        transports=state.transports,
    )


def phase_of(state: TorrentState) -> Phase:
    """What the engine is doing with a torrent that is not finished."""
    if not state.has_metadata:
        return Phase.METADATA
    return Phase.CHECKING if state.checking else Phase.DOWNLOADING
