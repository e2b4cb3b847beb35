"""The torrent driver: from a magnet to a published film, and then seeding to its goal.

A job's data is downloaded into its staging folder, verified there, flushed, and published by one
rename; then it seeds from there. Closing `run` at any point keeps what the next one needs.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import structlog

from chilly_movies.disk.files import flush_tree
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import publish
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.torrent import adopted
from chilly_movies.drivers.torrent.belief import Beliefs, damaged
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.fetch import fetch_checked
from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.session import TorrentSession
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.found import BytesAreHereError, FoundData, unshare_film
from chilly_movies.drivers.torrent.inspector import Inspector
from chilly_movies.drivers.torrent.reading.readers import Readers
from chilly_movies.drivers.torrent.reasons import why_still
from chilly_movies.drivers.torrent.removal import Removal
from chilly_movies.drivers.torrent.resume_claim import decode
from chilly_movies.drivers.torrent.resume_saver import ResumeSaver
from chilly_movies.drivers.torrent.run import Run, figures, goal, selection
from chilly_movies.drivers.torrent.sources import TorrentSources
from chilly_movies.drivers.torrent.swarm import TorrentSwarm
from chilly_movies.errors import (
    ChillyError,
    DiskError,
    FilmDamaged,
    InvalidSource,
    SourceRejected,
)
from chilly_movies.jobs.inspection import SourceInspector
from chilly_movies.jobs.models import (
    FileStanding,
    Job,
    ListenPort,
    MediaFile,
    Peer,
    Phase,
    Pool,
    Progress,
    Report,
    Source,
    SourceFacts,
    Status,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.ports import FileReader, ResumeStore
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.stages import said_by, say

log = structlog.get_logger(__name__)

_REPORT_INTERVAL = 0.5
_FILES_A_SECOND = 200
"""Of films with very many files no more are looked at, so that all films together cost little."""
_PATIENCE = 3
"""How often the disk may refuse a film that seeds; one that is away and comes back may do so."""
_Seeded = Literal["enough", "changed", "doubted"]
"""Why seeding ended; doubted: the film looks as it did, and yet the engine found less in it."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """A job's torrent while it is in the session.

    Attributes:
        torrent: the torrent.
        saver: saves what it has.
        trusted: the claim was believed; else everything was compared when it was added.
    """

    torrent: Torrent
    saver: ResumeSaver
    trusted: bool


class TorrentDriver:
    """Implements `ports.Driver` on libtorrent.

    Args:
        config: the engine's settings.
        resume_store: where resume data is kept.
        policy: whom we may talk to; None = one of its own, from the same settings.

    Attributes:
        inspector: see `ports.Driver`.
        torrents: looks into torrents with the same engine.
        swarm: knows the swarms of the jobs.
    """

    pool = Pool.NETWORK

    def __init__(
        self, config: EngineConfig, resume_store: ResumeStore, policy: NetworkPolicy | None = None
    ) -> None:
        self._config = config
        self._resume = resume_store
        self._policy = policy or NetworkPolicy(config)
        self._session = TorrentSession(config, self._policy)
        self.torrents = Inspector(config, self._session)
        self.inspector: SourceInspector | None = TorrentSources(self.torrents)
        self._root = config.media_root
        self._place = Place(config.media_root)
        self._beliefs = Beliefs(resume_store, self._place)
        self._removal = Removal(self._place, resume_store, self._beliefs)
        self._found = FoundData(config, self._place, resume_store)
        self._running: dict[str, Torrent] = {}
        self._readers = Readers(self._root, self._session.hear_pieces)
        self._runs: dict[str, Run] = {}
        self.swarm = TorrentSwarm(
            config, self._session, self._policy, resume_store, self._runs, self._running
        )

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

    async def adjust(self, job: Job) -> None:
        """See `ports.Driver`."""
        run = self._runs.get(job.key)
        if run is None:
            return
        before, files = run.job.options, job.files or run.job.files
        run.job = replace(run.job, options=job.options, files=files, mirrors=job.mirrors)
        await self._take_over(job, before)

    async def _take_over(self, job: Job, before: Options) -> None:
        """Lets the engine know of a job's options, which were others before."""
        with suppress(RuntimeError):  # the torrent leaves the session meanwhile
            if (torrent := self._running.get(job.key)) is not None:
                torrent.adjust(job)
                if not torrent.read_only:
                    self._session.mirror(torrent, job.mirrors)
            if job.status is Status.ACTIVE and selection(before) != selection(job.options):
                await self._readers.choose(job)

    @property
    def listening(self) -> tuple[ListenPort, ...]:
        """The ports on which peers reach the engine; none before it is open."""
        return self._session.listening

    async def dht_nodes(self) -> int | None:
        """How many nodes of the DHT the engine knows; None if it does not use it."""
        return await self._session.dht_nodes()

    async def aclose(self) -> None:
        """See `ports.Driver`."""
        await self.torrents.aclose()
        await self._session.aclose()

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`."""
        await self._removal.remove(job, delete_files=delete_files)

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """See `ports.Driver`."""
        return await self._removal.reconcile(jobs)

    # --- running ----------------------------------------------------------------------------

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """See `ports.Driver`."""
        run = Run(job, job.source, job.path, asked=check)
        told = run.tally.figures
        async with aclosing(said_by(lambda: self._run(run))) as reports:
            async for report in reports:
                torrent = self._running.get(job.key)
                now = run.tally.figures if torrent is None else run.tally.count(torrent.state)
                is_new, told = now is not told, now
                needs = report.needs if run.linked is None else 0  # nothing is written to those
                yield replace(report, figures=now if is_new else report.figures, needs=needs)

    async def _run(self, run: Run) -> None:
        key = run.job.key
        self._runs[key] = run
        self._readers.begin(key)
        try:
            if run.job.moving_to is not None:
                await self._beliefs.move(run, self._root)
                if not (run.job.seeding or run.asked):
                    return
            if run.job.status is Status.COMPLETED:
                await self._seed_while_there(run, asked=run.asked)
            elif run.job.status is not Status.ACTIVE:
                await on_disk(self._place.require)
                await self._found.clear(run)
                run.published = run.job.completed_at is not None or run.job.adopted
                await self._compare(run)
            else:
                if run.job.adopted:
                    await self._check_adopted(run)
                else:
                    await self._fetch_and_publish(run)
                if run.seeds:
                    await self._seed_while_there(run, asked=False)
        finally:
            run.take(self._root)
            self._readers.end(key)
            self._runs.pop(key, None)

    async def _fetch_and_publish(self, run: Run) -> None:
        if p.is_url(run.source) and await self._resume.load_resume(run.job.key) is None:
            while (why := self._policy.halted) is not None:
                await say(Report(Progress(phase=Phase.METADATA), why))
                await asyncio.sleep(_REPORT_INTERVAL)
            await say(Report(Progress(phase=Phase.METADATA), "fetching the torrent file"))
            run.source = await fetch_checked(run.source, self._policy)
        await on_disk(self._place.require)
        trusts = not run.asked
        if run.job.completed_at is not None:  # asked for: the film is not what it was
            trusts, run.published = False, True
            await on_disk(lambda: self._place.require_room(run.published_files()))
            await on_disk(lambda: unshare_film(self._root, run.published_files()))
        elif await self._recognise(run) or await self._found.take(run, self._compare, self._finish):
            return
        try:
            async with self._torrent(run, trusts=trusts and not run.placed, writes=True) as visit:
                await self._download(run, visit)
                await visit.torrent.leave_swarm()  # soon it is added again, where it is published
                final = figures(visit.torrent.state, Phase.POST_PROCESSING)
        except BytesAreHereError:
            await self._fetch_and_publish(run)
        else:
            await self._finish(run, final)

    async def _finish(self, run: Run, final: Progress) -> None:
        """Publish what was verified, unless it lies where it belongs, and tell that it is whole."""
        if was_staged := not run.published:
            await self._publish(run, final)
        await on_disk(run.refuse_changed)
        if was_staged:
            await self._beliefs.carry(run)
        self._readers.complete(run.job.key)
        await self._tell_whole(run, final)

    async def _publish(self, run: Run, progress: Progress) -> None:
        """Publish what is staged; the run goes on with it where it is then.

        What is renamed lies in the very folder that the engine was given, and its files look as
        they did when they were compared with their hashes.

        Raises:
            DiskError: that folder was replaced, or a file was changed; both are checked anew.
        """
        staged, folder = run.folder / run.top, run.job.options.folder
        run.path = await publish(
            staged,
            self._place,
            progress,
            folder=folder,
            check=run.refuse_changed,
            flush=partial(flush_tree, shared=run.linked is not None),
        )
        run.published = True
        run.take(self._root)
        run.linked = None
        self._readers.place(run.job.key, self._root, run.published_paths())
        await on_disk(lambda: self._place.clear_staging(run.job.key))

    async def _recognise(self, run: Run) -> bool:
        """An earlier run was stopped about when it published: is the film what lies there?

        Nothing is written to it, as it may be somebody else's.
        """
        if not await on_disk(lambda: self._place.was_published(run.job)):
            return False
        run.published = True
        unlike = await on_disk(lambda: self._place.why_unlike(run.job.files))
        if unlike is None and (found := await self._compare(run)) is not None and found.finished:
            await on_disk(lambda: self._place.clear_staging(run.job.key))
            await self._is_whole(run)
            return True
        run.published, run.path = False, None
        return False

    async def _check_adopted(self, run: Run) -> None:
        """Compare what was there before the job with its hashes; nothing is written to it."""
        facts = await asyncio.to_thread(adopted.facts_of, run.job)
        await say(Report(Progress(phase=Phase.CHECKING), facts=facts))
        await on_disk(lambda: adopted.refuse_what_differs(self._root, facts))
        run.job, run.published = replace(run.job, files=facts.files), True
        found = await self._compare(run)
        if found is None or not found.finished:
            raise adopted.differs()
        await self._is_whole(run)

    async def _compare(self, run: Run) -> TorrentState | None:
        """Compare every byte on the disk with its hash; writes nothing.

        Returns:
            What was found, None if nothing can be there as the metadata is not known yet.
        """
        async with self._torrent(run, trusts=False, writes=False) as visit:
            await run.do(run.note_stamps)
            before = await visit.saver.stamps()
            visit.torrent.run_check()
            while (state := await visit.torrent.moved()).checking or not state.has_metadata:
                if not (state.checking or state.has_metadata):
                    return None
                percent = round(min(99.9, 100 * state.checked), 2)
                checked = replace(figures(state, Phase.CHECKING), percent=percent)
                what = "what is here already is compared" if run.linked else None
                await say(Report(checked, self._policy.halted or what))
            if state.finished or not run.published:
                await visit.saver.vouch(before)
        await on_disk(run.refuse_changed)
        await say(Report(figures(state, Phase.CHECKING)))
        return state

    @asynccontextmanager
    async def _torrent(self, run: Run, *, trusts: bool, writes: bool) -> AsyncIterator[_Visit]:
        """The job's torrent in the session; at the end its traffic stops and it is saved.

        Args:
            run: of the job.
            trusts: the claim is believed if it holds; else every byte is compared.
            writes: it may write. One that neither writes nor trusts is compared and no more.
        """
        key, staging = run.job.key, self._place.staging(run.job.key)
        if not run.published:
            await on_disk(lambda: self._place.make_staging(key))
        claim = decode(await self._resume.load_resume(key))
        trusted = trusts and await self._beliefs.holds(run, claim)
        if claim is not None and claim.closed:  # from now on the files change
            await self._resume.save_resume(key, replace(claim, closed=False).encode())
        request = p.AddRequest(
            source=run.source,
            save_path=run.linked or (self._root if run.published else staging),
            part_path=staging,
            options=run.job.options,
            priorities=run.job.priorities(),
            resume=claim.data if claim is not None else None,
            trust_resume=trusted,
            renames=run.disk_paths() if run.published or run.linked or run.placed else None,
            allow_private=self._config.allow_private_addresses,
            read_only=not writes,
            only_check=not (trusts or writes),
            known=run.tally.figures,
            trackers=run.job.trackers,
        )
        try:
            torrent = await self._session.add(request)
        except InvalidSource as error:
            raise SourceRejected(str(error)) from None
        run.metadata = run.metadata or torrent.metadata()
        run.take(request.save_path, torrent.held)
        known = claim.stamps if claim is not None and trusted else {}
        saver = ResumeSaver(
            self._resume,
            key,
            torrent,
            run.folder,
            held=run.held,
            dirty=self._config.save_bytes,
            seconds=self._config.save_interval,
            within=self._config.save_within,
            stamps=None if writes else known,
        )
        saver.watch(run.disk_paths())
        if writes:
            self._session.mirror(torrent, run.job.mirrors)
        self._running[key] = torrent
        run.tally.begin()
        self._readers.attach(key, torrent.pieces, run.job.options.order)
        try:
            if run.job.options != request.options:  # they changed while it was added
                now = replace(run.job, files=run.published_files())
                await self._take_over(now, request.options)
            yield _Visit(torrent, saver, trusted)
        finally:
            self._running.pop(key, None)
            await self._let_go(run, torrent, saver)

    async def _let_go(self, run: Run, torrent: Torrent, saver: ResumeSaver) -> None:
        torrent.halt()
        run.tally.count(torrent.state)
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

    async def _download(self, run: Run, visit: _Visit) -> None:
        """Metadata, files, and the final check from disk; ends when all is verified."""
        torrent, saver = visit.torrent, visit.saver
        if not visit.trusted:
            await run.do(run.make_exact)
        is_known, verified = False, False
        while not verified:
            torrent.run()
            while True:
                state = await torrent.moved()
                facts = None if is_known else await self._learn(run, visit, state)
                is_known = is_known or facts is not None
                webrtc, dropped = torrent.why_no_webrtc(), torrent.dropped.why
                seeds = torrent.web_seeds.problems
                why = why_still(state, torrent.trackers, webrtc, dropped, seeds)
                halted = self._policy.halted
                progress = figures(run.steady(state), halted=halted)
                await say(Report(progress, halted or why, facts))
                if facts is not None and await self._found.look(run, torrent):
                    raise BytesAreHereError
                if run.placed and is_known and not state.checking:
                    await self._found.count(run, torrent)
                if state.finished and is_known:
                    if state.wanted >= run.wanted:
                        break
                    await self._readers.choose(replace(run.job, files=run.published_files()))
                if not state.checking:
                    saver.save_if_due()
            await self._readers.wait_written(run.job.key)
            if run.compared and not (visit.trusted or state.received):  # it was, when it was added
                await run.do(run.flush)
                break
            verifying = asyncio.ensure_future(self._verify(run, visit))
            try:
                while not verifying.done():
                    await say(Report(figures(torrent.state, Phase.CHECKING)))
                    await asyncio.wait([verifying], timeout=_REPORT_INTERVAL)
                await verifying
            finally:
                verifying.cancel()
            verified = torrent.state.finished
        saver.compared = run.compared

    async def _verify(self, run: Run, visit: _Visit) -> None:
        """Compare everything on the disk with its hashes, and meanwhile flush it."""
        await visit.saver.aclose()
        await visit.torrent.flush()
        await run.do(run.make_exact)
        flushing = asyncio.ensure_future(run.do(run.flush))
        await visit.torrent.leave_swarm()  # a check would do so, too, and come back at its end
        await visit.torrent.recheck()
        await flushing
        failpoints.reach("publish.verified")

    async def _learn(self, run: Run, visit: _Visit, state: TorrentState) -> SourceFacts | None:
        """Read the metadata once it is there, and give the files our names."""
        if state.has_metadata:
            run.metadata = run.metadata or visit.torrent.metadata()
        if run.metadata is None or not state.has_metadata:
            return None
        if run.job.mirrors:
            self._session.mirror(visit.torrent, run.job.mirrors)
        files, paths = run.metadata.facts.files, run.disk_paths()
        order = run.job.options.order
        await self._readers.learn(run.job.key, order, files, run.folder, paths, run.held)
        if not run.published:
            await visit.torrent.apply_names(run.metadata.disk_paths)
        visit.saver.watch(run.disk_paths())
        if not state.checking:
            await visit.saver.save()
        return replace(run.metadata.facts, files=run.published_files())

    # --- seeding ----------------------------------------------------------------------------

    def _goal(self, job: Job) -> tuple[float, int]:
        return goal(job, self._config.seed_ratio, self._config.seed_time)

    async def _is_whole(self, run: Run) -> None:
        """Tells that the film is there and every byte was compared; its readers go on."""
        self._readers.place(run.job.key, self._root, run.published_paths())
        self._readers.complete(run.job.key)
        await self._tell_whole(run, Progress(bytes_total=run.wanted))

    async def _tell_whole(self, run: Run, progress: Progress) -> None:
        """Tells that the film is there; whether it seeds then is said once and for all."""
        final = self._final(run, progress)
        run.seeds = final.phase is not None
        await say(Report(final, path=run.path, complete=True))

    def _final(self, run: Run, progress: Progress) -> Progress:
        phase = Phase.SEEDING if min(self._goal(run.job)) > 0 else None
        total = progress.bytes_total or 0
        return Progress(100.0, total, total, ratio=progress.ratio, phase=phase, peers=0, seeds=0)

    async def _seed_while_there(self, run: Run, *, asked: bool) -> None:
        """Seed the film where it was published; wait while it is away, check it if it changed.

        Args:
            run: of a job whose film is published.
            asked: its user asked for a check.

        Raises:
            FilmDamaged: it is not what it was.
            DiskError: it is there, and the disk refuses it again and again.
        """
        run.published = True
        files, troubles, doubted = run.published_files(), 0, False
        while True:
            while (why := await asyncio.to_thread(self._place.why_missing, files)) is not None:
                if (gone := await self._beliefs.gone(run, files, asked=asked)) is not None:
                    raise damaged(run, gone, asked=asked, is_gone=True)
                reason = f"{why}; seeding goes on when it is back"
                await say(Report(self._final(run, Progress(bytes_total=run.wanted)), reason))
                await asyncio.sleep(self._config.look_interval)
            try:
                if asked or doubted or await self._beliefs.unchanged(run) is None:
                    await self._check_published(run, files, asked=asked)
                asked = doubted = False
                if run.job.status is Status.COMPLETED and not run.job.seeding:
                    return
                seeded = await self._seed(run, files)
                if seeded == "enough":
                    return
                doubted = seeded == "doubted"
            except (DiskError, FilmDamaged) as error:
                troubles += 1
                final = isinstance(error, FilmDamaged) or troubles >= _PATIENCE
                if final and await asyncio.to_thread(self._place.why_missing, files) is None:
                    raise
            await asyncio.sleep(self._config.look_interval)

    async def _check_published(self, run: Run, files: Sequence[MediaFile], *, asked: bool) -> None:
        why = await on_disk(lambda: self._place.why_unlike(files))
        if why is None:
            found = await self._compare(run)
            if found is not None and found.finished:
                checked = self._final(run, Progress(bytes_total=run.wanted))
                await say(Report(checked, "every byte was checked and is right"))
                return
            done = 0 if found is None else found.done
            why = f"{run.wanted - done} of {run.wanted} bytes differ"
        if not asked:  # the job stays completed, and whoever reads it gets what lies there
            self._readers.complete(run.job.key)
        raise damaged(run, why, asked=asked)

    async def _seed(self, run: Run, files: Sequence[MediaFile]) -> _Seeded:
        """Give back the job's share until that is enough, or the film changes or is doubted."""
        clock, began = asyncio.get_running_loop().time, math.inf
        pause = max(self._config.look_interval, len(files) / _FILES_A_SECOND)
        if (claim := await self._beliefs.unchanged(run)) is None:
            return "changed"
        async with self._torrent(run, trusts=True, writes=False) as visit:
            visit.torrent.run()
            look_at = clock() + pause
            while True:
                state = await visit.torrent.moved()
                if state.checking or not state.has_metadata:
                    continue
                ratio, seconds = self._goal(run.job)
                progress = figures(state, Phase.SEEDING, halted=self._policy.halted)
                # our own clock: the engine tells no new figures while nobody asks for data
                began = min(began, clock() - state.seeding_time)
                enough = progress.ratio >= ratio or clock() - began >= seconds
                alone = None if state.peers else visit.torrent.dropped.why
                halted = self._policy.halted or alone
                reason = "the seeding goal is reached" if enough else halted
                await say(Report(progress, reason, complete=True))
                if enough:
                    return "enough"
                visit.saver.save_if_due()
                if clock() >= look_at:
                    look_at = clock() + pause
                    if not state.finished:
                        return "doubted"
                    if not await self._beliefs.holds(run, claim):
                        return "changed"
