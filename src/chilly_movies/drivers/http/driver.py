"""The http driver: one file behind a link, fetched over several connections, and published.

Closing `run` at any point keeps what the next one needs. What was published is never written to:
a film that is to be mended is fetched anew, and takes the place of the one before at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

from chilly_movies.disk import files as disk
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.plain import Held
from chilly_movies.disk.publishing import job_at, move, publish, with_move_finished
from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.http.arrival import Arrival, ArrivingReader
from chilly_movies.drivers.http.checksums import Checksum, parse_checksum
from chilly_movies.drivers.http.claims import Claim, decode, save_published
from chilly_movies.drivers.http.fetching import Arrivals, Fetching, hashed
from chilly_movies.drivers.http.hosts import Patience
from chilly_movies.drivers.http.inspector import HttpSources
from chilly_movies.drivers.http.links import identity, name_of
from chilly_movies.drivers.http.mirrors import hosts_of
from chilly_movies.drivers.http.requests import Requests
from chilly_movies.drivers.http.settings import HttpSourceSettings
from chilly_movies.drivers.http.spans import Spans
from chilly_movies.drivers.http.tally import Tally
from chilly_movies.errors import FileNotFound, FilmDamaged
from chilly_movies.jobs.inspection import SourceInspector
from chilly_movies.jobs.models import (
    FileStanding,
    Job,
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
from chilly_movies.jobs.ports import FileReader, ResumeStore
from chilly_movies.net.limiter import Share
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.stages import said_by, say


class HttpDriver:
    """Implements `ports.Driver` for http and https links.

    Args:
        root: the media root.
        resume_store: where claims are kept.
        policy: whom we may talk to, which way, and how fast.
        settings: the user's.
        patience: how long servers are waited for, None = as the settings say.
    """

    pool = Pool.NETWORK

    def __init__(
        self,
        root: Path,
        resume_store: ResumeStore,
        policy: NetworkPolicy,
        settings: HttpSourceSettings | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._root, self._place = root, Place(root)
        self._resume, self._policy = resume_store, policy
        self.inspector: SourceInspector | None = HttpSources(policy)
        self._settings = settings or HttpSourceSettings()
        self._patience = patience or Patience(silence=self._settings.http_timeout)
        self._requests = Requests(policy, self._patience)
        self._arrivals = Arrivals()
        self._shares: dict[str, Share] = {}
        self._fetching: dict[str, Fetching] = {}

    def identify(self, source: Source) -> SourceFacts:
        """See `ports.Driver`."""
        return SourceFacts((identity(source.urn),), name_of(source.urn))

    # --- running ----------------------------------------------------------------------------

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """See `ports.Driver`."""
        tally = Tally(job.counted)
        async with aclosing(said_by(lambda: self._run(job, tally, check=check))) as reports:
            async for report in reports:
                yield replace(report, figures=tally.figures)

    async def _run(self, job: Job, tally: Tally, *, check: bool) -> None:
        if job.moving_to is not None:
            path = await move(job, self._root)
            if not check:
                return
            job = job_at(job, path)
        if job.status is Status.COMPLETED:
            await self._compare(job)
        elif job.status is Status.ACTIVE:
            await self._recognise_or_fetch(job, tally)
        elif job.completed_at is not None:
            await self._compare(job)
        else:
            await self._look(job)

    async def _recognise_or_fetch(self, job: Job, tally: Tally) -> None:
        """Go on with a film that an earlier run published last, else fetch what is missing."""
        if await on_disk(lambda: self._place.was_published(job)):
            claim = decode(await self._resume.load_resume(job.key))
            if await on_disk(lambda: self._is_ours(claim, job)):
                await on_disk(lambda: self._place.clear_staging(job.key))
                await self._tell_whole(job, job.path or "")
                return
        await say(Report(Progress(phase=Phase.METADATA), "asking the link's server"))
        await self._policy.prepare()
        with self._policy.limiter.share(job.options.download_limit or 0) as share:
            self._shares[job.key] = share
            try:
                await self._fetch(job, share, tally)
            finally:
                self._shares.pop(job.key, None)

    async def _fetch(self, job: Job, share: Share, tally: Tally) -> None:
        fetching = Fetching(
            job,
            self._place,
            self._resume,
            self._arrivals,
            hosts_of(job, self._settings.http_connections, self._patience),
            self._requests,
            share,
            tally,
            self._checksum(job),
        )
        self._fetching[job.key] = fetching
        try:
            await fetching.run(partial(self._publish, job))
        finally:
            self._fetching.pop(job.key, None)

    def _checksum(self, job: Job) -> Checksum | None:
        """What was said of the file that is fetched now."""
        said = job.announced
        given = job.options.checksum if said is None else said.checksum
        return None if given is None else parse_checksum(given)

    async def _publish(
        self, job: Job, staged: Path, claim: Claim, final: Progress, held: Held
    ) -> None:
        if job.completed_at is not None:  # what lies there was found damaged, and is to be mended
            damaged = [file.path for file in job.files]
            await on_disk(lambda: disk.delete_files(self._root, damaged))
        check, folder = held.refuse_swapped, job.options.folder
        path = await publish(staged, self._place, final, folder=folder, check=check)
        if (arrival := self._arrivals.get(job.key)) is not None:
            arrival.path = self._root / path
        await save_published(self._resume, job.key, claim, self._root, path)
        await on_disk(lambda: self._place.clear_staging(job.key))
        size = claim.size or 0
        await self._tell_whole(replace(job, files=(MediaFile(0, path, size),)), path)

    async def _tell_whole(self, job: Job, path: str) -> None:
        size = sum(file.size for file in job.files if file.wanted)
        await say(Report(Progress(100.0, size, size), path=path, complete=True))

    # --- comparing --------------------------------------------------------------------------

    async def _look(self, job: Job) -> None:
        """Say what is there of a job that does not run: nothing tells whether it is right."""
        claim = decode(await self._resume.load_resume(job.key))
        folder = self._place.staging(job.key)
        holds = claim is not None and await on_disk(lambda: claim.holds(folder))
        done, size = (claim.total, claim.size) if claim is not None and holds else (0, None)
        percent = min(99.9, round(100 * done / size, 2)) if size else 0.0
        await say(Report(Progress(percent, done, size, phase=Phase.CHECKING)))

    async def _compare(self, job: Job) -> None:
        """Compare a published film with its checksum, or, without one, with how it looked.

        Raises:
            FilmDamaged: it is not what it was.
        """
        why = await on_disk(lambda: self._place.why_missing(job.files))
        if why is not None:
            raise _damaged(why, is_gone=True)
        if (why := await on_disk(lambda: self._place.why_unlike(job.files))) is not None:
            raise _damaged(why)
        size = sum(file.size for file in job.files)
        checksum, path = self._checksum(job), self._root / job.files[0].path
        whole = Progress(100.0, size, size)
        if checksum is not None:
            checking = Report(replace(whole, phase=Phase.CHECKING))
            if not await hashed(checksum, path, lambda: checking):
                raise _damaged(f"it does not have the {checksum.kind} that was given")
            reason = f"every byte was checked: the {checksum.kind} is right"
        else:
            claim = decode(await self._resume.load_resume(job.key))
            stamp = None if claim is None else claim.stamp
            if stamp is not None and not await on_disk(lambda: stamp.is_of(path, exactly=False)):
                raise _damaged("it was written to")
            reason = "it has the right size and was not written to; it has no checksum"
        await say(Report(whole, reason, path=job.path, complete=True))

    def _is_ours(self, claim: Claim | None, job: Job) -> bool:
        """Whether what lies at the job's path is the film that it published. Blocks."""
        if claim is None or claim.stamp is None or job.path is None or not job.files:
            return False
        complete = claim.closed and claim.size is not None and claim.total >= claim.size
        return complete and claim.stamp.is_of(self._root / job.path, exactly=False)

    # --- reading ----------------------------------------------------------------------------

    async def open_file(
        self, job: Job, index: int, *, bitrate: int | None = None, quiet: bool = False
    ) -> FileReader:
        """See `ports.Driver`."""
        file = next((file for file in job.files if file.index == index), None)
        if file is None:
            raise FileNotFound(f"This download has no file {index}.")
        if job.status is Status.COMPLETED:
            return await self._open_finished(job, file)
        arrival = await self._arrival(job, file)
        name = file.path.rpartition("/")[2]
        paths = [arrival.path, self._place.staging(job.key) / name, self._root / file.path]
        for path in filter(None, paths):
            try:
                opened = await DiskFile.open(path)
            except FileNotFoundError:
                continue
            left = partial(self._arrivals.let_go, job.key)
            return ArrivingReader(opened, file, arrival, left, quiet=quiet)
        self._arrivals.let_go(job.key)
        raise FileNotFound("Nothing of the file is there yet.")

    async def _open_finished(self, job: Job, file: MediaFile) -> FileReader:
        """Open a finished film, which may be on its way to another folder just now."""
        try:
            return await DiskReader.open(self._root, file.path, file.size)
        except FileNotFound:
            if job.moving_to is None:
                raise
        there = next(f for f in job.files_at(job.moving_to) if f.index == file.index)
        return await DiskReader.open(self._root, there.path, file.size)

    async def _arrival(self, job: Job, file: MediaFile) -> Arrival:
        """What is there of a job's file; of one that does not run, as it is claimed."""
        if (arrival := self._arrivals.get(job.key)) is not None:
            return arrival
        claim = decode(await self._resume.load_resume(job.key))
        spans = Spans(() if claim is None or claim.size != file.size else claim.spans)
        if (arrival := self._arrivals.get(job.key)) is None:  # nobody was faster
            arrival = Arrival(file.size, spans)
            self._arrivals.put(job.key, arrival)
        return arrival

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """See `ports.Driver`: a link has none."""
        del job
        return ()

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """See `ports.Driver`."""
        if not job.files:
            return ()
        [file], priorities = job.files, job.priorities()
        if job.status is Status.COMPLETED:
            done = file.size
        else:
            arrival = self._arrivals.get(job.key)
            claim = None if arrival else decode(await self._resume.load_resume(job.key))
            done = arrival.spans.total if arrival else 0 if claim is None else claim.total
        return (FileStanding(file.index, min(done, file.size), priorities[file.index]),)

    async def adjust(self, job: Job) -> None:
        """See `ports.Driver`."""
        if (share := self._shares.get(job.key)) is not None:
            share.limit = job.options.download_limit or 0
        if (fetching := self._fetching.get(job.key)) is not None:
            fetching.adjust(job)

    # --- cleaning up ------------------------------------------------------------------------

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`. The claim goes last: it tells what is ours if this is done again."""
        job = await on_disk(lambda: with_move_finished(job, self._root))
        claim = decode(await self._resume.load_resume(job.key))
        if (arrival := self._arrivals.get(job.key)) is not None:
            arrival.end("The download was removed.")
        ours = partial(self._is_ours, claim)
        delete = partial(self._place.delete, job, job.files, delete_files=delete_files, ours=ours)
        await on_disk(delete)
        failpoints.reach("remove.deleted")
        await self._resume.drop_resume(job.key)

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """See `ports.Driver`."""
        staged = await on_disk(lambda: set(self._place.staged_keys()))
        for job in jobs:
            if job.status is Status.CANCELED and (job.key in staged or job.path is not None):
                await self.remove(job, delete_files=False)
            elif job.status is Status.COMPLETED and job.key in staged:
                await asyncio.to_thread(self._place.clear_staging, job.key)
        return sorted(staged - {job.key for job in jobs})

    async def aclose(self) -> None:
        """See `ports.Driver`."""
        await self._requests.aclose()


def _damaged(why: str, *, is_gone: bool = False) -> FilmDamaged:
    what = f"The film is not what it was when it was finished: {why}"
    return FilmDamaged(f"{what}; resume fetches it again.", is_gone=is_gone)
