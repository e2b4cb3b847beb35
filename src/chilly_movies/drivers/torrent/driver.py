"""The torrent driver: from a magnet to a published film, and then seeding to its goal.

A job's data is downloaded into its staging folder, verified there from disk, flushed, and
published by one rename; then it seeds from where it was published. Closing `run` at any point
keeps what the next `run` needs: resume data in the store, files in the staging folder.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from chilly_movies.drivers import publish as disk
from chilly_movies.drivers.torrent import adopted
from chilly_movies.drivers.torrent import params as p
from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.fetch import fetch_torrent
from chilly_movies.drivers.torrent.reading import Library
from chilly_movies.drivers.torrent.reasons import why_still
from chilly_movies.drivers.torrent.session import TorrentSession
from chilly_movies.drivers.torrent.torrent import Torrent, TorrentState
from chilly_movies.errors import ChillyError, DiskError, InvalidSource, SourceRejected
from chilly_movies.models import (
    FileStanding,
    Job,
    Peer,
    Phase,
    Progress,
    Report,
    Source,
    SourceFacts,
    Status,
)
from chilly_movies.ports import FileReader, ResumeStore

T = TypeVar("T")

log = structlog.get_logger(__name__)

_REPORT_INTERVAL = 0.5


@dataclass(slots=True)
class _Run:
    """What one `run` knows of its job."""

    job: Job
    source: Source
    path: str | None
    published: bool = False
    metadata: p.Metadata | None = None
    saved_at: float = 0.0

    @property
    def top(self) -> str:
        """First component of the data's paths in the staging folder."""
        return self.metadata.top if self.metadata else ""

    def published_paths(self) -> dict[int, str]:
        """Where each file lies in the media root."""
        if self.metadata is None:
            return {file.index: file.path for file in self.job.files}
        below = {i: path.split("/")[1:] for i, path in self.metadata.disk_paths.items()}
        return {i: "/".join([self.path or "", *rest]) for i, rest in below.items()}


class TorrentDriver:
    """Implements `ports.Driver` on libtorrent.

    Args:
        config: the engine's settings.
        resume_store: where resume data is kept.
    """

    def __init__(self, config: EngineConfig, resume_store: ResumeStore) -> None:
        self._config = config
        self._resume = resume_store
        self._session = TorrentSession(config)
        self._root = config.media_root
        self._running: dict[str, Torrent] = {}
        self._library = Library(self._root, self._session.hear_pieces)
        self._runs: dict[str, _Run] = {}

    def identify(self, source: Source) -> SourceFacts:
        """See `ports.Driver`."""
        return p.identify(source)

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """See `ports.Driver`."""
        torrent = self._running.get(job.key)
        return () if torrent is None else await torrent.peers()

    async def open_file(self, job: Job, index: int, *, bitrate: int | None = None) -> FileReader:
        """See `ports.Driver`."""
        return await self._library.open(job, index, bitrate)

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """See `ports.Driver`."""
        runs = job.key in self._running
        resume = None if runs else await self._resume.load_resume(job.key)
        return await self._library.files(job, resume)

    async def choose(self, job: Job) -> None:
        """See `ports.Driver`."""
        if (run := self._runs.get(job.key)) is not None:
            run.job = replace(run.job, options=job.options)
        await self._library.choose(job)

    async def aclose(self) -> None:
        """See `ports.Driver`."""
        await self._session.aclose()

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`."""
        await self._resume.drop_resume(job.key)
        try:
            await asyncio.to_thread(self._delete, job, delete_files)
        except OSError as error:
            raise DiskError(f"The job's files cannot be deleted: {error.strerror}.") from None

    def _delete(self, job: Job, delete_files: bool) -> None:
        staging = disk.staging_folder(self._root, job.key)
        staged = staging.is_dir() and any(e.name[:1] != "." for e in staging.iterdir())
        # published a moment ago, and stopped before the row said so: still unfinished data
        unsaid = job.status is not Status.COMPLETED and job.path is not None and not staged
        orphaned = unsaid and not job.adopted
        published = job.completed_at is not None or job.adopted
        if job.path is not None and (orphaned or (delete_files and published)):
            files = job.files or (adopted.facts_of(job).files if job.adopted else ())
            disk.delete_files(self._root, [file.path for file in files if file.wanted])
        disk.delete_tree(staging)

    # --- running ----------------------------------------------------------------------------

    async def run(self, job: Job) -> AsyncGenerator[Report, None]:
        """See `ports.Driver`."""
        run = self._runs[job.key] = _Run(job, job.source, job.path)
        try:
            async with aclosing(self._run(run)) as reports:
                async for report in reports:
                    yield report
        finally:
            self._runs.pop(job.key, None)

    async def _run(self, run: _Run) -> AsyncGenerator[Report, None]:
        job = run.job
        if job.status is not Status.COMPLETED:
            # closed by hand: a generator left to the collector would go on with its traffic
            data = self._check_adopted(run) if job.adopted else self._fetch_and_publish(run)
            async with aclosing(data) as reports:
                async for report in reports:
                    yield report
            if not self._wants_seeding(job):
                return
        async with aclosing(self._seed(run)) as reports:
            async for report in reports:
                yield report

    async def _fetch_and_publish(self, run: _Run) -> AsyncGenerator[Report, None]:
        if p.is_url(run.source) and await self._resume.load_resume(run.job.key) is None:
            yield Report(Progress(phase=Phase.METADATA), "fetching the torrent file")
            run.source = await self._fetch(run.source)
        run.published = await asyncio.to_thread(self._published_before, run)
        async with self._torrent(run) as torrent, aclosing(self._download(run, torrent)) as reports:
            async for report in reports:
                yield report
            final = _progress(torrent.state, Phase.POST_PROCESSING)
        self._library.complete(run.job.key)
        if not run.published:
            async for report in self._publish(run, final):
                yield report
        yield Report(self._final(run, final), path=run.path, complete=True)

    async def _check_adopted(self, run: _Run) -> AsyncGenerator[Report, None]:
        """Compare what was there before the job with its hashes; nothing is written to it."""
        await self._resume.drop_resume(run.job.key)  # what an earlier check found is not trusted
        facts = await asyncio.to_thread(adopted.facts_of, run.job)
        yield Report(Progress(phase=Phase.CHECKING), facts=facts)
        await _on_disk(lambda: adopted.refuse_what_differs(self._root, facts))
        run.job, run.published = replace(run.job, files=facts.files), True
        async with self._torrent(run) as torrent:
            torrent.run()
            while not (state := await torrent.moved()).finished:
                if state.has_metadata and not state.checking:
                    raise adopted.differs()
                percent = round(min(99.9, 100 * state.checked), 2)
                yield Report(replace(_progress(state, Phase.CHECKING), percent=percent))
            final = _progress(state, Phase.POST_PROCESSING)
        yield Report(self._final(run, final), path=run.path, complete=True)

    async def _fetch(self, source: Source) -> Source:
        source = await fetch_torrent(source, allow_private=self._config.allow_private_addresses)
        try:
            p.identify(source)
        except InvalidSource as error:
            raise SourceRejected(str(error)) from None
        return source

    def _published_before(self, run: _Run) -> bool:
        """Whether an earlier run was stopped between publishing the film and saying so."""
        if run.path is None:
            return False
        staging = disk.staging_folder(self._root, run.job.key)
        staged = staging.is_dir() and any(e.name[:1] != "." for e in staging.iterdir())
        return not staged and (self._root / run.path).exists()

    @asynccontextmanager
    async def _torrent(self, run: _Run) -> AsyncIterator[Torrent]:
        """The job's torrent in the session; at the end its traffic stops and it is saved."""
        staging = disk.staging_folder(self._root, run.job.key)
        await _on_disk(lambda: staging.mkdir(parents=True, exist_ok=True))
        request = p.AddRequest(
            source=run.source, save_path=self._root if run.published else staging,
            part_path=staging, options=run.job.options,
            resume=await self._resume.load_resume(run.job.key),
            renames=run.published_paths() if run.published else None,
            allow_private=self._config.allow_private_addresses,
            read_only=run.job.adopted,
        )  # fmt: skip
        try:
            torrent = await self._session.add(request)
        except InvalidSource as error:
            raise SourceRejected(str(error)) from None
        self._running[run.job.key] = torrent
        self._library.attach(run.job.key, torrent.pieces)
        try:
            yield torrent
        finally:
            self._running.pop(run.job.key, None)
            await self._let_go(run, torrent)

    async def _let_go(self, run: _Run, torrent: Torrent) -> None:
        torrent.halt()
        try:
            await self._save(run, torrent, only_if_modified=True)
        except ChillyError as error:
            log.warning("resume data was not saved", job=run.job.id, problem=str(error))
        finally:
            await self._library.detach(run.job.key)
            await torrent.remove()

    async def _save(self, run: _Run, torrent: Torrent, *, only_if_modified: bool = False) -> None:
        run.saved_at = asyncio.get_running_loop().time()
        data = await torrent.save(only_if_modified=only_if_modified)
        if data is not None:
            await self._resume.save_resume(run.job.key, data)

    async def _save_if_due(self, run: _Run, torrent: Torrent) -> None:
        if asyncio.get_running_loop().time() - run.saved_at >= self._config.save_interval:
            await self._save(run, torrent, only_if_modified=True)

    async def _download(self, run: _Run, torrent: Torrent) -> AsyncGenerator[Report, None]:
        """Metadata, files, and the final check from disk; ends when all is verified."""
        torrent.run()
        verified = False
        while not verified:
            while True:
                state = await torrent.moved()
                facts = await self._learn(run, torrent, state)
                reason = why_still(state, torrent.trackers, torrent.why_no_webrtc())
                yield Report(_progress(state), reason, facts)
                if state.finished and run.metadata is not None:
                    break
                await self._save_if_due(run, torrent)
            await self._library.settle(run.job.key)
            check = asyncio.ensure_future(torrent.recheck())
            try:
                while not check.done():
                    yield Report(_progress(torrent.state, Phase.CHECKING))
                    await asyncio.wait([check], timeout=_REPORT_INTERVAL)
                await check
            finally:
                check.cancel()
            verified = torrent.state.finished

    async def _learn(self, run: _Run, torrent: Torrent, state: TorrentState) -> SourceFacts | None:
        """Read the metadata once it is there, and give the files our names."""
        if run.metadata is not None or not state.has_metadata:
            return None
        run.metadata = torrent.metadata()
        if run.metadata is None:
            return None
        folder = self._root if run.published else disk.staging_folder(self._root, run.job.key)
        paths = run.published_paths() if run.published else run.metadata.disk_paths
        await self._library.learn(run.job.key, run.metadata.facts.files, folder, paths)
        if not run.published:
            await torrent.apply_names(run.metadata.disk_paths)
        await self._save(run, torrent)
        return run.metadata.facts

    # --- publishing -------------------------------------------------------------------------

    async def _publish(self, run: _Run, progress: Progress) -> AsyncGenerator[Report, None]:
        """Flush the verified data and rename it into the media root; the name is told before."""
        staged = disk.staging_folder(self._root, run.job.key) / run.top
        await _on_disk(lambda: disk.flush_tree(staged))
        while True:
            run.path = await _on_disk(lambda: disk.free_name(self._root, run.top))
            yield Report(progress, path=run.path)
            target = self._root / run.path
            try:
                await asyncio.to_thread(disk.publish, staged, target)
            except FileExistsError:
                continue  # somebody took the name meanwhile: the next one
            except OSError as error:
                raise DiskError(f"The film cannot be published: {error.strerror}.") from None
            run.published = True
            self._library.place(run.job.key, self._root, run.published_paths())
            return

    # --- seeding ----------------------------------------------------------------------------

    def _wants_seeding(self, job: Job) -> bool:
        ratio, seconds = self._goal(job)
        return ratio > 0 and seconds > 0

    def _goal(self, job: Job) -> tuple[float, int]:
        ratio, seconds = self._config.seed_ratio, self._config.seed_time
        if job.adopted:  # whoever offers what they have goes on until they stop it
            ratio, seconds = math.inf, sys.maxsize
        wanted = job.options
        return (
            ratio if wanted.seed_ratio is None else wanted.seed_ratio,
            seconds if wanted.seed_time is None else wanted.seed_time,
        )

    def _final(self, run: _Run, progress: Progress) -> Progress:
        phase = Phase.SEEDING if self._wants_seeding(run.job) else None
        total = progress.bytes_total or 0
        return Progress(100.0, total, total, ratio=progress.ratio, phase=phase, peers=0, seeds=0)

    async def _seed(self, run: _Run) -> AsyncGenerator[Report, None]:
        """Give back the job's share from where it was published."""
        ratio, seconds = self._goal(run.job)
        if run.path is None or not (self._root / run.path).exists():
            raise DiskError("The film is no longer where it was published, so it is not seeded.")
        run.published = True
        if await _on_disk(lambda: adopted.was_written_to(self._root, run.job)):
            await self._resume.drop_resume(run.job.key)  # so that it is checked from disk again
        clock, began = asyncio.get_running_loop().time, math.inf
        async with self._torrent(run) as torrent:
            torrent.run()
            while True:
                state = await torrent.moved()
                progress = _progress(state, Phase.SEEDING)
                if state.checking or not state.has_metadata:
                    continue
                if not state.finished:
                    raise DiskError("The film was changed on disk, so it is not seeded.")
                yield Report(progress, complete=True)
                # our own clock: the engine tells no new figures while nobody asks for data
                began = min(began, clock() - state.seeding_time)
                if progress.ratio >= ratio or clock() - began >= seconds:
                    yield Report(progress, "the seeding goal is reached", complete=True)
                    return
                await self._save_if_due(run, torrent)


async def _on_disk(work: Callable[[], T]) -> T:
    """Run blocking disk work in a thread; what the disk refuses becomes a `DiskError`."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise DiskError(f"The media folder cannot be used: {error.strerror}.") from None


def _progress(state: TorrentState, phase: Phase | None = None) -> Progress:
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
        phase=phase or _phase(state),
        transports=state.transports,
    )


def _phase(state: TorrentState) -> Phase:
    if not state.has_metadata:
        return Phase.METADATA
    return Phase.CHECKING if state.checking else Phase.DOWNLOADING
