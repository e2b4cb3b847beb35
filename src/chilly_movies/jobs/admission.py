"""What becomes a job: a wish is looked at, compared with the jobs there are, and recorded."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from chilly_movies.errors import IdInUse, InvalidRequest, UnsupportedSource
from chilly_movies.jobs import events as e
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.lifecycle import born
from chilly_movies.jobs.models import (
    FurtherSource,
    Job,
    Progress,
    Source,
    SourceFacts,
    SourceType,
    Status,
    folder_of,
)
from chilly_movies.jobs.named import NamedFilm
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.requests import check_id, check_path, check_torrent, new_id
from chilly_movies.jobs.secrets import Secret
from chilly_movies.jobs.source_request import further
from chilly_movies.jobs.start_request import StartRequest


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to become a job.

    Attributes:
        id: its id.
        source: where the film comes from.
        options: what is asked of it.
        labels: what is kept with it.
        mirrors: further places for the same bytes.
        candidates: further sources for the same film.
        path: where in the media root its data lies already, None if it is to be downloaded.
        is_held: it is paused from the beginning.
    """

    id: str
    source: Source
    options: Options
    labels: Mapping[str, str] = field(default_factory=dict)
    mirrors: tuple[FurtherSource, ...] = ()
    candidates: tuple[FurtherSource, ...] = ()
    path: str | None = None
    is_held: bool = False

    @classmethod
    def of(cls, request: StartRequest, source: Source) -> Wish:
        """What a request for this source asks."""
        return cls(
            id=request.job_id,
            source=source,
            options=request.options,
            labels=request.labels or {},
            mirrors=further(request.mirrors),
            candidates=further(request.candidates),
            is_held=request.is_held,
        )

    def of_film(self, film: NamedFilm) -> Wish:
        """The same with all that is known of the film; what was asked for wins."""
        options = self.options
        return replace(
            self,
            source=film.source,
            options=replace(
                options,
                files=film.indices if options.files is None else options.files,
                checksum=film.checksum if options.checksum is None else options.checksum,
            ),
            labels={**film.labels, **self.labels},
            mirrors=(*self.mirrors, *film.mirrors),
            candidates=(*self.candidates, *film.candidates),
        )

    @classmethod
    def adopting(cls, path: str, torrent: bytes, job_id: str | None, options: Options) -> Wish:
        """What `Downloader.adopt` asks.

        Raises:
            InvalidRequest: a value has the wrong form.
        """
        if options.files is not None:
            raise InvalidRequest("What is there already is seeded as a whole.", field="files")
        job_id, path = new_id() if job_id is None else check_id(job_id), check_path(path)
        options = replace(options, allow_executables=True, folder=folder_of(path))  # the user's own
        check_torrent(torrent)
        return cls(job_id, Source(SourceType.TORRENT, "", torrent), options, path=path)


class Admission:
    """Lets new jobs in. The Downloader is its only user.

    Args:
        drivers: who runs which kind of source.
        ledger: where jobs are recorded.
        clock: the present time, aware.
        on_admitted: called when a job was added.
    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        ledger: Ledger,
        clock: Callable[[], datetime],
        on_admitted: Callable[[], None],
    ) -> None:
        self._drivers = drivers
        self._ledger = ledger
        self._clock = clock
        self._on_admitted = on_admitted

    async def admit(self, wish: Wish) -> Job:
        """Records a job, even if the caller goes away; a known one is given as it stands.

        Raises:
            UnsupportedSource: no driver reads this kind of source.
            InvalidSource: it is broken.
            IdInUse: the id belongs to a job with another source.
            DuplicateDownload: another job has the same film data.
        """
        return await self._ledger.shielded(self._admit(wish))

    async def _admit(self, wish: Wish) -> Job:
        birth = e.Held() if wish.is_held else e.Queued()
        facts = driver_of(self._drivers, wish.source).identify(wish.source)
        candidates = check_candidates(self._drivers, wish.candidates)
        wish = replace(wish, source=_as_stored(wish.source, facts), candidates=candidates)
        async with self._ledger.lock(wish.id):
            if wish.id in self._ledger:
                job = self._same_or_refuse(wish.id, wish.source, facts.identities)
                return await self._with_secret(job, wish.source.secret)
            self._ledger.refuse_duplicate(wish.id, facts.identities)
            now = self._clock()
            job = Job(
                id=wish.id,
                key=uuid.uuid4().hex,
                source=wish.source,
                created_at=now,
                updated_at=now,
                position=self._ledger.next_position(),
                options=wish.options,
                progress=Progress(needs=facts.needs),
                name=facts.name,
                identities=facts.identities,
                files=facts.files,
                path=wish.path,
                adopted=wish.path is not None,
                labels=wish.labels,
                mirrors=wish.mirrors,
                candidates=wish.candidates,
            )
            job = await self._ledger.add(born(job, birth), birth)
        self._on_admitted()
        return job

    def _same_or_refuse(self, job_id: str, source: Source, identities: tuple[str, ...]) -> Job:
        job = self._ledger.get(job_id)
        if job.source == source or set(job.identities) & set(identities):
            return job
        raise IdInUse(f"The id '{job_id}' belongs to a job with another source.")

    async def _with_secret(self, job: Job, secret: Secret | None) -> Job:
        """The job with the credentials that were given with its source this time, if any were."""
        if secret in (None, job.source.secret) or job.status is Status.CANCELED:
            return job
        return await self._ledger.record(job.id, e.SecretReplaced(secret))


def check_candidates(
    drivers: Mapping[str, Driver], candidates: Iterable[FurtherSource]
) -> tuple[FurtherSource, ...]:
    """The candidates as they are stored; those that no driver can read are refused.

    Raises:
        UnsupportedSource: no driver reads this kind of source.
        InvalidSource: one is broken.
    """
    found = []
    for one in candidates:
        try:
            facts = driver_of(drivers, one.source).identify(one.source)
        except InvalidRequest as error:
            error.field = "candidates"
            raise
        found.append(replace(one, source=_as_stored(one.source, facts)))
    return tuple(found)


def _as_stored(source: Source, facts: SourceFacts) -> Source:
    """The source under the name that its driver gives it."""
    return source if facts.urn is None else replace(source, urn=facts.urn)


def driver_of(drivers: Mapping[str, Driver], source: Source) -> Driver:
    """The driver that reads a source.

    Raises:
        UnsupportedSource: there is none.
    """
    try:
        return drivers[source.type]
    except KeyError:
        known = ", ".join(sorted(drivers))
        raise UnsupportedSource(
            f"This server has no driver for the source type '{source.type}'; it has: {known}."
        ) from None
