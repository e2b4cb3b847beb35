"""What becomes a job: a wish is looked at, compared with the jobs there are, and recorded."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chilly_movies.errors import IdInUse, UnsupportedSource
from chilly_movies.jobs import events as e
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.lifecycle import born
from chilly_movies.jobs.models import Job, Source, SourceType, Status
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.secrets import Secret


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to become a job.

    Attributes:
        id: its id.
        source: where the film comes from.
        options: what is asked of it.
        labels: what is kept with it.
        path: where in the media root its data lies already, None if it is to be downloaded.
        is_held: it is paused from the beginning.
    """

    id: str
    source: Source
    options: Options
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    is_held: bool = False


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
        drivers: Mapping[SourceType, Driver],
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
        facts = self._driver(wish.source).identify(wish.source)
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
                name=facts.name,
                identities=facts.identities,
                files=facts.files,
                path=wish.path,
                adopted=wish.path is not None,
                labels=wish.labels,
            )
            job = await self._ledger.add(born(job, birth), birth)
        self._on_admitted()
        return job

    def _driver(self, source: Source) -> Driver:
        try:
            return self._drivers[source.type]
        except KeyError:
            known = ", ".join(sorted(self._drivers))
            raise UnsupportedSource(
                f"This server has no driver for the source type '{source.type}'; it has: {known}."
            ) from None

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
