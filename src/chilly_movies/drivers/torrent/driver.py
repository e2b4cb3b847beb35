"""The torrent driver: from a magnet to a published film, and then seeding to its goal.

A job's data is downloaded into its staging folder, verified there, flushed, and published by one
rename; then it seeds from there. Closing `run` at any point keeps what the next one needs.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog

from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import move, publish, with_move_finished
from chilly_movies.disk.threads import on_disk
from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.torrent import adopted
from chilly_movies.drivers.torrent.belief import Beliefs, damaged
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.fetch import fetch_checked
from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.session import TorrentSession
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.inspector import Inspector
from chilly_movies.drivers.torrent.reading.readers import Readers
from chilly_movies.drivers.torrent.reasons import why_still
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.drivers.torrent.resume_saver import ResumeSaver
from chilly_movies.drivers.torrent.run import Run, figures, goal
from chilly_movies.errors import (
    ChillyError,
    DiskError,
    FilmDamaged,
    InvalidSource,
    SourceRejected,
)
from chilly_movies.jobs.models import (
    FileStanding,
    Job,
    MediaFile,
    Peer,
    Phase,
    Progress,
    Report,
    Source,
    SourceFacts,
    Status,
)
from chilly_movies.jobs.ports import FileReader, ResumeStore
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime import failpoints

log = structlog.get_logger(__name__)

_REPORT_INTERVAL = 0.5
_FILES_A_SECOND = 200
"""Of films with very many files no more are looked at, so that all films together cost little."""
_PATIENCE = 3
"""How often the disk may refuse a film that seeds; one that is away and comes back may do so."""


class TorrentDriver:
    """Implements `ports.Driver` on libtorrent.

    Args:
        config: the engine's settings.
        resume_store: where resume data is kept.
        policy: whom we may talk to; None = one of its own, from the same settings.

    Attributes:
        inspector: looks into torrents with the same engine.
    """

    def __init__(
        self, config: EngineConfig, resume_store: ResumeStore, policy: NetworkPolicy | None = None
    ) -> None:
        self._config = config
        self._resume = resume_store
        self._policy = policy or NetworkPolicy(config)
        self._session = TorrentSession(config, self._policy)
        self.inspector = Inspector(config, self._session)
        self._root = config.media_root
        self._place = Place(config.media_root)
        self._beliefs = Beliefs(resume_store, self._place)
        self._running: dict[str, Torrent] = {}
        self._readers = Readers(self._root, self._session.hear_pieces)
        self._runs: dict[str, Run] = {}
        self._savers: dict[str, ResumeSaver] = {}

    def identify(self, source: Source) -> SourceFacts:
        """See `ports.Driver`."""
        return p.identify(source)

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """See `ports.Driver`."""
        torrent = self._running.get(job.key)
        return () if torrent is None else await torrent.peers()

    async def open_file(
        self, job: Job, index: int, *, bitrate: int | None = None, quiet: bool = False
    ) -> FileReader:
        """See `ports.Driver`."""
        return await self._readers.open(job, index, bitrate, quiet=quiet)

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """See `ports.Driver`."""
        runs = job.key in self._running
        claim = None if runs else decode(await self._resume.load_resume(job.key))
        return await self._readers.files(job, None if claim is None else claim.data)

    async def choose(self, job: Job) -> None:
        """See `ports.Driver`."""
        if (run := self._runs.get(job.key)) is not None:
            run.job = replace(run.job, options=job.options)
        await self._readers.choose(job)

    async def aclose(self) -> None:
        """See `ports.Driver`."""
        await self.inspector.aclose()
        await self._session.aclose()

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`. The claim goes last: it tells what is ours if this is done again."""
        job = await on_disk(lambda: with_move_finished(job, self._root))
        claim = decode(await self._resume.load_resume(job.key))
        files = job.files or (adopted.facts_of(job).files if job.adopted else ())
        ours = partial(self._beliefs.is_ours, claim)
        try:
            await asyncio.to_thread(
                self._place.delete, job, files, delete_files=delete_files, ours=ours
            )
        except OSError as error:
            sentence = f"The job's files cannot be deleted: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        failpoints.reach("remove.deleted")
        await self._resume.drop_resume(job.key)

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """See `ports.Driver`."""
        by_key = {job.key: job for job in jobs}
        staged = await on_disk(lambda: set(self._place.staged_keys()))
        for job in jobs:
            if job.status is Status.CANCELED and (job.key in staged or job.path is not None):
                await self.remove(job, delete_files=False)
            elif job.status is Status.COMPLETED and job.key in staged:
                await asyncio.to_thread(self._place.clear_staging, job.key)
        return sorted(staged - by_key.keys())

    # --- running ----------------------------------------------------------------------------

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """See `ports.Driver`."""
        run = self._runs[job.key] = Run(job, job.source, job.path, check=check)
        self._readers.begin(job.key)
        try:
            async with aclosing(self._run(run)) as reports:
                async for report in reports:
                    yield report
        finally:
            run.take(self._root)
            self._readers.end(job.key)
            self._runs.pop(job.key, None)

    async def _run(self, run: Run) -> AsyncGenerator[Report, None]:
        # closed by hand: a generator left to the collector would go on with its traffic
        if run.job.moving_to is not None:
            async with aclosing(self._beliefs.moved(run, move(run.job, self._root))) as reports:
                async for report in reports:
                    yield report
            if not (run.job.seeding or run.check):
                return
        async with aclosing(self._work(run)) as reports:
            async for report in reports:
                yield report
        if run.job.status is Status.ACTIVE and self._wants_seeding(run.job):
            async with aclosing(self._seed_while_there(run)) as reports:
                async for report in reports:
                    yield report

    def _work(self, run: Run) -> AsyncGenerator[Report, None]:
        """What there is to do for the job before it seeds."""
        if run.job.status is Status.COMPLETED:
            return self._seed_while_there(run)
        if run.job.status is not Status.ACTIVE:
            return self._check_only(run)
        return self._check_adopted(run) if run.job.adopted else self._fetch_and_publish(run)

    async def _fetch_and_publish(self, run: Run) -> AsyncGenerator[Report, None]:
        if p.is_url(run.source) and await self._resume.load_resume(run.job.key) is None:
            while (why := self._policy.halted) is not None:
                yield Report(Progress(phase=Phase.METADATA), why)
                await asyncio.sleep(_REPORT_INTERVAL)
            yield Report(Progress(phase=Phase.METADATA), "fetching the torrent file")
            run.source = await fetch_checked(run.source, self._policy)
        await on_disk(self._place.require)
        if run.job.completed_at is not None:  # asked for: the film is not what it was
            run.published = run.check = run.may_write = True
        elif await on_disk(lambda: self._place.was_published(run.job)):
            async with aclosing(self._recognise(run)) as reports:
                async for report in reports:
                    yield report
            if run.published:
                return
        async with self._torrent(run) as torrent, aclosing(self._download(run, torrent)) as reports:
            async for report in reports:
                yield report
            await torrent.leave_swarm()  # soon it is added again, where it is published
            final = figures(torrent.state, Phase.POST_PROCESSING)
        run.check = run.may_write = False
        if was_staged := not run.published:
            async with aclosing(self._publish(run, final)) as reports:
                async for report in reports:
                    yield report
        await on_disk(run.refuse_changed)
        if was_staged:
            await self._beliefs.carry(run)
        self._readers.complete(run.job.key)
        yield Report(self._final(run, final), path=run.path, complete=True)

    async def _publish(self, run: Run, progress: Progress) -> AsyncGenerator[Report, None]:
        """Publish what is staged; the run goes on with it where it is then.

        What is renamed lies in the very folder that the engine was given, and its files look as
        they did when they were compared with their hashes.

        Raises:
            DiskError: that folder was replaced, or a file was changed; both are checked anew.
        """
        staged, folder = run.folder / run.top, run.job.options.folder
        steps = publish(staged, self._place, progress, folder=folder, check=run.refuse_changed)
        async with aclosing(steps) as reports:
            async for report in reports:
                run.path = report.path
                yield report
        run.published = True
        run.take(self._root)
        self._readers.place(run.job.key, self._root, run.published_paths())
        await on_disk(lambda: self._place.clear_staging(run.job.key))

    async def _recognise(self, run: Run) -> AsyncGenerator[Report, None]:
        """An earlier run was stopped about when it published: is the film what lies there?

        Nothing is written to it, as it may be somebody else's.
        """
        run.published = True
        if await on_disk(lambda: self._place.why_unlike(run.job.files)) is None:
            async with aclosing(self._compare(run)) as reports:
                async for report in reports:
                    yield report
        if run.is_intact:
            await on_disk(lambda: self._place.clear_staging(run.job.key))
            yield Report(
                self._final(run, Progress(bytes_total=run.wanted)), path=run.path, complete=True
            )
            return
        run.published, run.path = False, None

    async def _check_adopted(self, run: Run) -> AsyncGenerator[Report, None]:
        """Compare what was there before the job with its hashes; nothing is written to it."""
        facts = await asyncio.to_thread(adopted.facts_of, run.job)
        yield Report(Progress(phase=Phase.CHECKING), facts=facts)
        await on_disk(lambda: adopted.refuse_what_differs(self._root, facts))
        run.job, run.published = replace(run.job, files=facts.files), True
        async with aclosing(self._compare(run)) as reports:
            async for report in reports:
                yield report
        if not run.is_intact:
            raise adopted.differs()
        yield Report(
            self._final(run, Progress(bytes_total=run.wanted)), path=run.path, complete=True
        )

    async def _check_only(self, run: Run) -> AsyncGenerator[Report, None]:
        """Only compare: the job is paused, failed or waits."""
        await on_disk(self._place.require)
        run.published = run.job.completed_at is not None or run.job.adopted
        async with aclosing(self._compare(run)) as reports:
            async for report in reports:
                yield report

    async def _compare(self, run: Run) -> AsyncGenerator[Report, None]:
        """Compare every byte on the disk with its hash; writes nothing. Sets `run.is_intact`."""
        asked, run.check, run.only_check = run.check, True, True
        try:
            async with self._torrent(run) as torrent:
                saver = self._savers[run.job.key]
                await run.do(run.note_stamps)
                before = await saver.stamps()
                torrent.run_check()
                while (state := await torrent.moved()).checking or not state.has_metadata:
                    if not (state.checking or state.has_metadata):
                        return  # nothing can be there before the metadata
                    percent = round(min(99.9, 100 * state.checked), 2)
                    checked = replace(figures(state, Phase.CHECKING), percent=percent)
                    yield Report(checked, self._policy.halted)
                run.is_intact = state.finished
                if run.is_intact or not run.published:
                    await saver.vouch(before)
            await on_disk(run.refuse_changed)
            run.have = figures(state, Phase.CHECKING)
            yield Report(run.have)
        finally:
            run.check, run.only_check = asked, False

    @asynccontextmanager
    async def _torrent(self, run: Run) -> AsyncIterator[Torrent]:
        """The job's torrent in the session; at the end its traffic stops and it is saved."""
        key, staging = run.job.key, self._place.staging(run.job.key)
        if not run.published:
            await on_disk(lambda: self._place.make_staging(key))
        claim = decode(await self._resume.load_resume(key))
        trusted = not run.check and await self._beliefs.holds(run, claim)
        if claim is not None and claim.closed:  # from now on the files change
            await self._resume.save_resume(key, replace(claim, closed=False).encode())
        request = p.AddRequest(
            source=run.source,
            save_path=self._root if run.published else staging,
            part_path=staging,
            options=run.job.options,
            resume=claim.data if claim is not None else None,
            trust_resume=trusted,
            renames=run.published_paths() if run.published else None,
            allow_private=self._config.allow_private_addresses,
            read_only=run.only_check or (run.published and not run.may_write),
            only_check=run.only_check,
        )
        try:
            torrent = await self._session.add(request)
        except InvalidSource as error:
            raise SourceRejected(str(error)) from None
        run.checked = not trusted
        run.metadata = run.metadata or torrent.metadata()
        run.take(request.save_path, torrent.held)
        known = claim.stamps if claim is not None and trusted else {}
        saver = self._savers[key] = ResumeSaver(
            self._resume,
            key,
            torrent,
            run.folder,
            held=run.held,
            dirty=self._config.save_bytes,
            seconds=self._config.save_interval,
            within=self._config.save_within,
            stamps=known if request.read_only else None,
        )
        saver.watch(run.disk_paths())
        self._running[key] = torrent
        self._readers.attach(key, torrent.pieces)
        try:
            yield torrent
        finally:
            self._running.pop(key, None)
            await self._let_go(run, torrent, self._savers.pop(key))

    async def _let_go(self, run: Run, torrent: Torrent, saver: ResumeSaver) -> None:
        torrent.halt()
        try:
            await saver.aclose()
            if torrent.disk_problem is None and not torrent.state.checking:
                await saver.save(closing=True)
        except ChillyError as error:
            log.warning("resume data was not saved", job=run.job.id, problem=str(error))
        finally:
            try:
                await self._readers.detach(run.job.key)
            finally:  # stopped while it ended by itself: it must not stay in the session
                await torrent.remove()

    async def _download(self, run: Run, torrent: Torrent) -> AsyncGenerator[Report, None]:
        """Metadata, files, and the final check from disk; ends when all is verified."""
        saver = self._savers[run.job.key]
        if run.checked:
            await run.do(run.make_exact)
        verified = False
        while not verified:
            torrent.run()
            while True:
                state = await torrent.moved()
                facts = await self._learn(run, torrent, state)
                webrtc, dropped = torrent.why_no_webrtc(), torrent.dropped.why
                why = why_still(state, torrent.trackers, webrtc, dropped)
                yield Report(figures(run.steady(state)), self._policy.halted or why, facts)
                if state.finished and run.facts_reported:
                    if state.wanted >= run.wanted:
                        break
                    await self._readers.choose(replace(run.job, files=run.published_files()))
                if not state.checking:
                    saver.save_if_due()
            await self._readers.wait_written(run.job.key)
            if run.checked and run.compared and not state.received:  # all was, when it was added
                await run.do(run.flush)
                break
            verifying = asyncio.ensure_future(self._verify(run, torrent, saver))
            try:
                while not verifying.done():
                    yield Report(figures(torrent.state, Phase.CHECKING))
                    await asyncio.wait([verifying], timeout=_REPORT_INTERVAL)
                await verifying
            finally:
                verifying.cancel()
            verified = torrent.state.finished
        saver.compared = run.compared

    async def _verify(self, run: Run, torrent: Torrent, saver: ResumeSaver) -> None:
        """Compare everything on the disk with its hashes, and meanwhile flush it."""
        await saver.aclose()
        await torrent.flush()
        await run.do(run.make_exact)
        flushing = asyncio.ensure_future(run.do(run.flush))
        await torrent.leave_swarm()  # a check would do so, too, and come back at its end
        await torrent.recheck()
        await flushing
        failpoints.reach("publish.verified")

    async def _learn(self, run: Run, torrent: Torrent, state: TorrentState) -> SourceFacts | None:
        """Read the metadata once it is there, and give the files our names."""
        if run.facts_reported or not state.has_metadata:
            return None
        run.metadata = run.metadata or torrent.metadata()
        if run.metadata is None:
            return None
        run.facts_reported = True
        files, paths = run.metadata.facts.files, run.disk_paths()
        await self._readers.learn(run.job.key, files, run.folder, paths, run.held)
        if not run.published:
            await torrent.apply_names(run.metadata.disk_paths)
        saver = self._savers[run.job.key]
        saver.watch(run.disk_paths())
        if not state.checking:
            await saver.save()
        return replace(run.metadata.facts, files=run.published_files())

    # --- seeding ----------------------------------------------------------------------------

    def _wants_seeding(self, job: Job) -> bool:
        return min(self._goal(job)) > 0

    def _goal(self, job: Job) -> tuple[float, int]:
        return goal(job, self._config.seed_ratio, self._config.seed_time)

    def _final(self, run: Run, progress: Progress) -> Progress:
        phase = Phase.SEEDING if self._wants_seeding(run.job) else None
        total = progress.bytes_total or 0
        return Progress(100.0, total, total, ratio=progress.ratio, phase=phase, peers=0, seeds=0)

    async def _seed_while_there(self, run: Run) -> AsyncGenerator[Report, None]:
        """Seed the film where it was published; wait while it is away, check it if it changed.

        Raises:
            FilmDamaged: it is not what it was.
            DiskError: it is there, and the disk refuses it again and again.
        """
        run.published = True
        files, troubles = run.published_files(), 0
        while not run.ended:
            while (why := await asyncio.to_thread(self._place.why_missing, files)) is not None:
                if (gone := await self._beliefs.gone(run, files)) is not None:
                    raise damaged(run, gone, is_gone=True)
                reason = f"{why}; seeding goes on when it is back"
                yield Report(self._final(run, Progress(bytes_total=run.wanted)), reason)
                await asyncio.sleep(self._config.look_interval)
            try:
                async with aclosing(self._seed_for_now(run, files)) as reports:
                    async for report in reports:
                        yield report
            except (DiskError, FilmDamaged) as error:
                troubles += 1
                final = isinstance(error, FilmDamaged) or troubles >= _PATIENCE
                if final and await asyncio.to_thread(self._place.why_missing, files) is None:
                    raise
            if not run.ended:
                await asyncio.sleep(self._config.look_interval)

    async def _seed_for_now(
        self, run: Run, files: Sequence[MediaFile]
    ) -> AsyncGenerator[Report, None]:
        """Seed a film that is there, and check it before if somebody may have written to it."""
        if run.check or run.doubted or await self._beliefs.unchanged(run) is None:
            async with aclosing(self._check_published(run, files)) as reports:
                async for report in reports:
                    yield report
        run.check = run.doubted = False
        run.ended = run.job.status is Status.COMPLETED and not run.job.seeding
        if not run.ended:
            async with aclosing(self._seed(run, files)) as reports:
                async for report in reports:
                    yield report

    async def _check_published(
        self, run: Run, files: Sequence[MediaFile]
    ) -> AsyncGenerator[Report, None]:
        why = await on_disk(lambda: self._place.why_unlike(files))
        if why is None:
            async with aclosing(self._compare(run)) as reports:
                async for report in reports:
                    yield report
            if run.is_intact:
                checked = self._final(run, Progress(bytes_total=run.wanted))
                yield Report(checked, "every byte was checked and is right")
                return
            why = f"{run.wanted - run.have.bytes_downloaded} of {run.wanted} bytes differ"
        raise damaged(run, why)

    async def _seed(self, run: Run, files: Sequence[MediaFile]) -> AsyncGenerator[Report, None]:
        """Give back the job's share until its goal is reached or the film changes."""
        ratio, seconds = self._goal(run.job)
        clock, began = asyncio.get_running_loop().time, math.inf
        pause = max(self._config.look_interval, len(files) / _FILES_A_SECOND)
        if (claim := await self._beliefs.unchanged(run)) is None:
            return
        async with self._torrent(run) as torrent:
            torrent.run()
            look_at = clock() + pause
            while True:
                state = await torrent.moved()
                if state.checking or not state.has_metadata:
                    continue
                progress = figures(state, Phase.SEEDING)
                # our own clock: the engine tells no new figures while nobody asks for data
                began = min(began, clock() - state.seeding_time)
                run.ended = progress.ratio >= ratio or clock() - began >= seconds
                alone = None if state.peers else torrent.dropped.why
                halted = self._policy.halted or alone
                reason = "the seeding goal is reached" if run.ended else halted
                yield Report(progress, reason, complete=True)
                if run.ended:
                    return
                self._savers[run.job.key].save_if_due()
                if clock() >= look_at:
                    look_at = clock() + pause
                    run.doubted = not state.finished
                    if run.doubted or not await self._beliefs.holds(run, claim):
                        return
