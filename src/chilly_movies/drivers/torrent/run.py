"""What one run of a job knows, and how the engine's figures become ours."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from chilly_movies.disk import files as disk
from chilly_movies.disk.file_stamps import FileStamp, flush, refuse_changed, stamps_of
from chilly_movies.disk.plain import Held
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.tally import Tally
from chilly_movies.jobs.models import Job, MediaFile, Phase, Progress, Source
from chilly_movies.jobs.options import Options
from chilly_movies.runtime.tasks import begin


@dataclass(slots=True)
class Run:
    """What one `run` knows of its job.

    Attributes:
        seeds: it told that it seeds, now that every byte is there.
        published: the data lies under `path` in the media root, not in the staging folder.
        asked: its user asked for a check of everything on the disk.
        seen: the figures that were last shown.
        folder: where the engine reads and writes.
        held: that folder, if it is held open; publishing needs it longer than the engine does.
        searched: its files were looked for among the user's.
        late: that was when some of them may have begun to arrive.
        here: the user's files that seem to be some of them, by file index.
        linked: the folder in which all of them are, under second names; nothing is written there.
        placed: the files of which copies were staged, and not compared yet.
        compared: how the files looked when they were last compared with their hashes.
        tally: what its job moved over all its runs.
    """

    job: Job
    source: Source
    path: str | None
    asked: bool = False
    seeds: bool = False
    published: bool = False
    metadata: p.Metadata | None = None
    seen: TorrentState = field(default_factory=TorrentState)
    folder: Path = Path()
    held: Held | None = None
    searched: bool = False
    late: bool = False
    here: Mapping[int, Path] = field(default_factory=dict)
    linked: Path | None = None
    placed: frozenset[int] = frozenset()
    compared: Mapping[int, FileStamp] = field(default_factory=dict)
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(self.job.counted)

    @property
    def top(self) -> str:
        """First component of the data's paths in the staging folder."""
        return self.metadata.top if self.metadata else ""

    def published_files(self) -> tuple[MediaFile, ...]:
        """The files as they lie, or will lie, in the media root, and as they are wanted now."""
        if self.metadata is None or self.job.adopted:
            return self.job.files
        wanted = {file.index: file.wanted for file in self.job.files}
        files = tuple(
            replace(f, wanted=wanted.get(f.index, f.wanted)) for f in self.metadata.facts.files
        )
        if self.path is None:
            return files
        inner = {i: path.split("/")[1:] for i, path in self.metadata.disk_paths.items()}
        named = {}
        if self.published:  # the names they were published under; today they might get others
            known_paths = ((file.index, file.path) for file in self.job.files)
            inside = (self.path, f"{self.path}/")
            named = {i: n for i, n in known_paths if n == inside[0] or n.startswith(inside[1])}
        return tuple(
            replace(f, path=named.get(f.index) or "/".join([self.path, *inner[f.index]]))
            for f in files
        )

    def published_paths(self) -> dict[int, str]:
        """Where each file lies in the media root."""
        return {file.index: file.path for file in self.published_files()}

    def disk_paths(self) -> dict[int, str]:
        """Where each file lies below the folder the engine writes to."""
        if self.published:
            return self.published_paths()
        return dict(self.metadata.disk_paths) if self.metadata else {}

    def take(self, folder: Path, held: Held | None = None) -> None:
        """The engine reads and writes there from now on."""
        before, self.held = self.held, None if held is None else held.share()
        self.folder = folder if held is None else held.path
        if before is not None:
            before.let_go()

    async def do(self, work: Callable[[], None]) -> None:
        """Run disk work on its folder in a thread.

        A thread cannot be cancelled: the folder is held until it is done, or its descriptor would
        lead to another folder.

        Raises:
            DiskError: the disk refused.
        """
        held = None if self.held is None else self.held.share()
        doing = begin(on_disk(work))
        if held is not None:
            doing.add_done_callback(lambda _: held.let_go())
        await asyncio.shield(doing)

    def note_stamps(self) -> None:
        """Note how the files look, which are about to be compared with their hashes. Blocks."""
        self.compared = stamps_of(self.folder, self.disk_paths())

    def make_exact(self) -> None:
        """Cut what lies behind the end of the files, which the engine does not see. Blocks."""
        paths, files = self.disk_paths(), self.published_files()
        known = [(self.folder / paths[f.index], f) for f in files if f.index in paths]
        disk.cut_to_size((path, file.size) for path, file in known)
        if not self.published:
            disk.drop_empty(path for path, file in known if not file.wanted)
        self.note_stamps()

    def flush(self) -> None:
        """Make the files survive a power cut. Blocks."""
        flush(self.folder, self.disk_paths(), {}, closing=True)

    def refuse_changed(self) -> None:
        """Make sure that what was compared with its hashes lies where it will be found. Blocks.

        Raises:
            DiskError: it does not.
        """
        if self.held is not None:
            self.held.refuse_swapped()
        refuse_changed(self.compared, stamps_of(self.folder, self.disk_paths()))

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


def figures(
    state: TorrentState, phase: Phase | None = None, *, halted: str | None = None
) -> Progress:
    """Figures for people; 100 percent is left to the final report.

    Args:
        state: the engine's, which stays as it was while nothing may be sent.
        phase: that of the job, None = what the engine does.
        halted: why nothing may be sent, None if it may.
    """
    if halted is not None:
        state = replace(state, download_speed=0, upload_speed=0)
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


def selection(options: Options) -> tuple[object, ...]:
    """What of the options says which pieces are fetched, and in which order."""
    return options.files, options.priorities, options.order
