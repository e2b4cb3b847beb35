"""One run of a job that is not complete: from its link to a file that is all there and right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from chilly_movies.disk import files as disk
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.plain import Held, hold_plain
from chilly_movies.disk.programs import is_program
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.http.arrival import Arrival, SourceChangedError
from chilly_movies.drivers.http.checksums import Checksum
from chilly_movies.drivers.http.claims import Claim, ClaimSaver, decode
from chilly_movies.drivers.http.documents import MetalinkFoundError, ask_document
from chilly_movies.drivers.http.hosts import Host, Version
from chilly_movies.drivers.http.links import identity, name_of
from chilly_movies.drivers.http.metalink import MetalinkFile, told_by
from chilly_movies.drivers.http.mirrors import hosts_at, hosts_of
from chilly_movies.drivers.http.pieces import PieceCheck
from chilly_movies.drivers.http.requests import Answer, Requests
from chilly_movies.drivers.http.spans import Spans
from chilly_movies.drivers.http.tally import Tally
from chilly_movies.drivers.http.transfer import Transfer
from chilly_movies.drivers.http.trust import Trust
from chilly_movies.errors import ChillyError, SourceRejected, SourceUnavailable
from chilly_movies.jobs.models import Job, MediaFile, Phase, Progress, Report, SourceFacts
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.net.limiter import Share
from chilly_movies.runtime.stages import say

log = structlog.get_logger(__name__)

TICK = 0.5
_STEP = 0.1
"""Seconds between two looks at what has to be saved."""
_CHANGES = 3
"""How often a file may change at its source in one run."""
_CHANGED = "the file changed at its source, so it is fetched anew from its beginning"
_DOUBTED = "the film does not have its checksum, so it is fetched anew from all its places"
_GONE = "The file changed at its source, and what was there is given up; open it again."


class Arrivals:
    """The files that arrive, or that somebody reads, by job key."""

    def __init__(self) -> None:
        self._by_key: dict[str, Arrival] = {}

    def get(self, key: str) -> Arrival | None:
        """The one of a job, None if it does not run and nobody reads it."""
        return self._by_key.get(key)

    def put(self, key: str, arrival: Arrival) -> None:
        """The job's file is this one from now on."""
        self._by_key[key] = arrival

    def let_go(self, key: str) -> None:
        """Forgets it unless it is written or read."""
        arrival = self._by_key.get(key)
        if arrival is not None and not arrival.in_use and not arrival.readers:
            del self._by_key[key]


class Fetching:
    """One run; a stage (`runtime.stages`) that says reports.

    Args:
        job: the job.
        place: where films lie.
        store: where claims are kept.
        arrivals: where readers find what arrives.
        hosts: where the file comes from, the source itself first.
        requests: asks them.
        share: says how fast it may be.
        tally: counts what came.
        checksum: what the file must have, None = nothing is known.
    """

    def __init__(
        self,
        job: Job,
        place: Place,
        store: ResumeStore,
        arrivals: Arrivals,
        hosts: list[Host],
        requests: Requests,
        share: Share,
        tally: Tally,
        checksum: Checksum | None,
    ) -> None:
        self._job, self._place, self._store = job, place, store
        self._arrivals, self._hosts, self._requests = arrivals, hosts, requests
        self._share, self._tally, self._checksum = share, tally, checksum
        self._arrival = Arrival()
        self._held = Held(place.staging(job.key))
        self._name = name_of(job.source.urn)
        self._saver: ClaimSaver | None = None
        self._facts: SourceFacts | None = None
        self._metalink: MetalinkFile | None = None
        self._trust = Trust(self._arrival, hosts, None)

    async def run(self, publish: Callable[[Path, Claim, Progress, Held], Awaitable[None]]) -> None:
        """Fetches what is missing and verifies it.

        Args:
            publish: a stage that is run at the end with the file, its claim, the final figures,
                and the folder it is in.

        Raises:
            DownloadError: it cannot be had, or is not what it should be.
        """
        key = self._job.key
        await on_disk(lambda: self._place.make_staging(key))
        self._held = await hold_plain(self._place.staging(key))
        try:
            await self._take_up()
            for _ in range(_CHANGES):
                try:
                    await self._fetch_right()
                    break
                except MetalinkFoundError as found:
                    self._learn(found.file)
                    await self._begin_empty()
                except SourceChangedError:
                    await self._begin_anew(_CHANGED)
            else:
                raise SourceUnavailable("The file changes at its source again and again.")
            claim = await self._require_saver().save(closed=True)
            final = self._figures(Phase.POST_PROCESSING, 0)
            await publish(self._held.path / self._name, claim, final, self._held)
        finally:
            await self._let_go()

    def adjust(self, job: Job) -> None:
        """Ask the mirrors that the job has now, and no others that it had."""
        own, before = self._hosts[0], {mirror.source.urn for mirror in self._job.mirrors}
        wanted = {host.link: host for host in hosts_of(job, own.most, own.patience)}
        for host in self._hosts[1:]:
            if host.link in before and host.link not in wanted:
                host.given_up = SourceUnavailable(f"{host.name} is no mirror any more.")
                self._hosts.remove(host)
        known = {host.link for host in self._hosts}
        added = (mirror.source.urn for mirror in job.mirrors)
        self._hosts += [wanted[link] for link in added if link in wanted and link not in known]
        self._job = job
        if self._arrival.wake is not None:
            self._arrival.wake()

    async def _let_go(self) -> None:
        arrival, key = self._arrival, self._job.key
        arrival.close()
        arrival.in_use = False
        self._arrivals.let_go(key)
        self._held.let_go()

    # --- what is there already --------------------------------------------------------------

    async def _take_up(self) -> None:
        """Go on from what is claimed, if it is there; else from nothing."""
        claim = decode(await self._store.load_resume(self._job.key))
        if claim is not None and claim.metalink:
            self._learn(await ask_document(self._hosts[0], self._requests))
            claim = None if self._version.differs(claim.version) else claim
        if claim is not None and await on_disk(lambda: claim.holds(self._held.path)):
            self._name = claim.name
            if self._metalink is None:
                self._hosts[0].version = claim.version
            self._arrive(Arrival(claim.size, Spans(claim.spans)))
            await self._open()
            if claim.version.condition is None and len(self._hosts) == 1:
                await on_disk(self._arrival.take_proof)
            if claim.closed:  # from now on the file changes
                await self._store.save_resume(self._job.key, replace(claim, closed=False).encode())
            if claim.size is not None:
                self._facts = self._made_facts(claim.size)
        else:
            await self._clear()
            await self._begin_empty()

    async def _begin_empty(self) -> None:
        """Begin with nothing; what a metalink says of the file is known."""
        size = None if self._metalink is None else self._metalink.size
        self._arrive(Arrival(size))
        if size is not None:
            await self._open()
            self._facts = self._made_facts(size)

    def _learn(self, file: MetalinkFile) -> None:
        """Take over what a metalink says: where the file comes from, and how it is known."""
        own = self._hosts[0]
        places = hosts_at(file.links, self._job.source, own.most, own.patience)
        self._metalink, self._hosts[:] = file, [*places, *self._hosts[1:]]
        self._name = file.path.rpartition("/")[2]
        self._refuse_program()
        if self._checksum is None and file.digest is not None:
            self._checksum = Checksum(file.digest.kind, file.digest.value.hex())

    @property
    def _version(self) -> Version:
        """What tells the file from others."""
        if self._metalink is None:
            return self._hosts[0].version
        return Version(self._metalink.fingerprint, size=self._metalink.size)

    def _arrive(self, arrival: Arrival) -> None:
        before = self._arrivals.get(self._job.key)
        if before is not None and before.size == arrival.size and before.gone is None:
            before.spans, arrival = arrival.spans, before  # who reads it goes on reading
        elif before is not None:
            before.end(_GONE)
        arrival.in_use = True
        self._arrival = arrival
        self._arrivals.put(self._job.key, arrival)

    async def _open(self) -> None:
        path = self._held.path / self._name
        await on_disk(lambda: self._arrival.open(path))
        self._saver = ClaimSaver(
            self._store,
            self._job.key,
            self._arrival,
            self._held,
            self._name,
            lambda: self._version,
            metalink=self._metalink is not None,
        )

    def _require_saver(self) -> ClaimSaver:
        if self._saver is None:
            raise SourceUnavailable("The link's server sent nothing.")
        return self._saver

    async def _clear(self) -> None:
        """Delete what lies in the staging folder: nothing says what it is."""

        def clear() -> None:
            for entry in self._held.path.iterdir():
                disk.delete_tree(entry)

        await self._store.drop_resume(self._job.key)
        await on_disk(clear)

    async def _begin_anew(self, why: str) -> None:
        """Give up what is there: it is of another version of the file, or not right."""
        self._arrival.end(_GONE)
        self._tally.waste(self._arrival.spans.total)
        self._arrival.close()
        if self._saver is not None:
            await self._saver.wait_idle()
        await self._clear()
        self._saver, self._facts = None, None
        for host in self._hosts:
            host.version, host.ranges = Version(), None
        await self._begin_empty()
        await say(Report(Progress(phase=Phase.METADATA), why, anew=True))

    # --- fetching ---------------------------------------------------------------------------

    async def _fetch_right(self) -> None:
        """Fetch what is missing, and what proves wrong, until the file is what it should be."""
        file, pieces = self._metalink, None
        if file is not None and file.pieces is not None and file.size is not None:
            pieces = PieceCheck(file.pieces, file.size)
        self._trust = Trust(self._arrival, self._hosts, pieces)
        await self._transfer()
        while not await self._is_right():
            if await self._trust.suspect():
                await self._transfer()
                await self._trust.settle()
            elif len(self._hosts) > 1 and not self._trust.knows_all:
                await self._begin_anew(_DOUBTED)
                self._trust = Trust(self._arrival, self._hosts, pieces)
                await self._transfer()
            else:
                await self._refuse(self._checksum.kind if self._checksum else "")

    async def _transfer(self) -> None:
        told: SourceFacts | None = None
        source = self._hosts[0] if self._metalink is None else None
        transfer = Transfer(
            self._arrival,
            self._hosts,
            source,
            self._trust,
            self._requests,
            self._share,
            self._begin,
        )
        self._arrival.wake = transfer.wake
        try:
            while True:
                facts = self._facts if self._facts is not told else None
                told = self._facts
                await say(self._report(transfer, facts))
                if self._arrival.is_complete:
                    break
                await self._steps(transfer, told)
                if self._saver is not None:
                    self._saver.save_if_due()
        finally:
            await self._end(transfer)

    async def _steps(self, transfer: Transfer, told: SourceFacts | None) -> None:
        """Go on until there is something to say."""
        clock = asyncio.get_running_loop().time
        until = clock() + TICK
        while (left := until - clock()) > 0:
            await transfer.step(min(left, _STEP))
            await self._trust.compare()
            if self._saver is not None:
                self._saver.save_if_due()
            if self._arrival.is_complete or self._facts is not told:
                return

    async def _end(self, transfer: Transfer) -> None:
        """End the connections, and keep what they brought."""
        self._arrival.wake = None
        await transfer.aclose()
        self._tally.count(transfer.received, transfer.dropped + self._arrival.wasted)
        if self._saver is None:
            return
        try:
            await self._saver.save(closed=True)
        except ChillyError as error:
            log.warning("what arrived was not saved", job=self._job.id, problem=str(error))

    async def _begin(self, answer: Answer, is_source: bool) -> None:
        """The first answer: the file gets its name, and a place on the disk."""
        if self._saver is None:
            if self._metalink is None:
                self._name = name_of(self._job.source.urn, answer.link, answer.headers)
                self._refuse_program()
            await self._open()
        if is_source:
            self._take_mirrors(answer)
        if answer.part.total is not None and self._facts is None:
            self._facts = self._made_facts(answer.part.total, ranges=answer.part.ranges)

    def _refuse_program(self) -> None:
        if is_program(self._name) and not self._job.options.allow_executables:
            raise SourceRejected(
                f"The link leads to a program ({self._name}), which no film is; with "
                "allowExecutables it is downloaded all the same."
            )

    def _take_mirrors(self, answer: Answer) -> None:
        """Ask the mirrors that the answer names, too, if it says how to tell whether they lie."""
        told, own = told_by(answer.headers.items(), answer.link), self._hosts[0]
        if not told.mirrors or told.digest is None:
            return
        if self._checksum is None:
            self._checksum = Checksum(told.digest.kind, told.digest.value.hex())
        known = {host.link for host in self._hosts}
        places = hosts_at(told.mirrors, self._job.source, own.most, own.patience)
        self._hosts += [host for host in places if host.link not in known]

    def _made_facts(self, size: int, *, ranges: bool = True) -> SourceFacts:
        note = None if ranges else "its server sends the file only from the beginning on"
        files = (MediaFile(0, self._name, size),)
        return SourceFacts((identity(self._job.source.urn),), self._name, files, note)

    def _report(self, transfer: Transfer, facts: SourceFacts | None) -> Report:
        self._tally.count(transfer.received, transfer.dropped + self._arrival.wasted)
        is_known = self._arrival.size is not None or transfer.received > 0
        phase = Phase.DOWNLOADING if is_known else Phase.METADATA
        return Report(
            self._figures(phase, transfer.speed),
            None if self._arrival.is_complete else transfer.reason,
            facts,
        )

    def _figures(self, phase: Phase, speed: int) -> Progress:
        done, size = self._arrival.spans.total, self._arrival.size
        if phase is Phase.METADATA:
            done, size = 0, None
        left = 0 if size is None else size - done
        percent = min(99.9, round(100 * done / size, 2)) if size else 0.0
        remaining = left // speed if speed and left else None
        return Progress(percent, done, size, speed, time_remaining=remaining, phase=phase)

    # --- verifying --------------------------------------------------------------------------

    async def _is_right(self) -> bool:
        """Compare the file with its checksum, if it has one."""
        if self._facts is None and self._arrival.size is not None:  # known at the end only
            self._facts = self._made_facts(self._arrival.size, ranges=False)
            await say(Report(self._figures(Phase.DOWNLOADING, 0), facts=self._facts))
        sum_, path = self._checksum, self._held.path / self._name
        if sum_ is None:
            return True
        return await hashed(sum_, path, lambda: Report(self._figures(Phase.CHECKING, 0)))

    async def _refuse(self, kind: str) -> None:
        """Delete the file, which does not have its checksum.

        Raises:
            SourceRejected: always.
        """
        self._arrival.end(_GONE)
        self._tally.waste(self._arrival.spans.total)
        await self._clear()
        raise SourceRejected(
            f"What the link's server sent does not have the {kind} that was given: it is another "
            "file, or damaged."
        )


async def hashed(checksum: Checksum, path: Path, report: Callable[[], Report]) -> bool:
    """Whether a file has a checksum; a stage that says reports while it is read."""
    stopped = False

    def goes_on(_done: int) -> bool:
        return not stopped

    work = asyncio.ensure_future(on_disk(lambda: checksum.is_of(path, goes_on)))
    try:
        while not work.done():
            await say(report())
            await asyncio.wait([work], timeout=TICK)
        return await work
    finally:
        stopped = True
        await asyncio.wait([work])
