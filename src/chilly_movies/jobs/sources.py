"""Finds out what sources are: of which kind when nobody said so, and what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from chilly_movies.errors import (
    ChillyError,
    DownloadError,
    DuplicateDownload,
    InvalidRequest,
    InvalidSource,
    UnsupportedSource,
)
from chilly_movies.jobs.admission import Wish, driver_of
from chilly_movies.jobs.inspection import Certainty, InspectedSource
from chilly_movies.jobs.ledger import Ledger
from chilly_movies.jobs.models import Job, Source, SourceType
from chilly_movies.jobs.named import NamedFilm, Naming
from chilly_movies.jobs.ports import Driver
from chilly_movies.jobs.source_request import FurtherIn
from chilly_movies.jobs.start_request import StartRequest, parse
from chilly_movies.net.link_answer import LinkAnswer

Peek = Callable[[Source], Awaitable[LinkAnswer]]
"""Asks the server of a link what is there."""
_FIRST: Final = (SourceType.TORRENT, SourceType.LOCAL, SourceType.YOUTUBE, SourceType.HTTP)
"""Of kinds that are equally sure the first is taken; then come those of drivers handed in."""

_NO_SOURCE: Final = (
    "It cannot be told what this source is: it must be a magnet link, an info hash, an http or "
    "https link, or the path of a film that is there, for a server below one of its CHILLY_ROOTS."
)


class Sources:
    """Knows sources before they are jobs: `Downloader.sources`.

    Args:
        drivers: who runs which kind of source.
        ledger: where the jobs are.
        peek: asks the server of a link; None = none is asked.
        open_jobs: reads the jobs, if they are not read yet.

    Attributes:
        names: what knows films of a kind of name, by what stands before its colon.
    """

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        ledger: Ledger,
        peek: Peek | None,
        open_jobs: Callable[[], Awaitable[None]],
    ) -> None:
        self._drivers = drivers
        self._ledger = ledger
        self._peek = peek
        self._open_jobs = open_jobs
        self.names: dict[str, Naming] = {}

    async def told(self, source: Source, job_id: str | None = None) -> Source:
        """The source with its type, which is found out if it was not given.

        Nothing is sent but for a link that may be of several kinds: its own server is asked then.

        Args:
            source: as it was given.
            job_id: the job it is for; a known one has the type already.

        Raises:
            UnsupportedSource: no driver takes such a source.
            InvalidSource: the link leads to what no driver takes.
        """
        if source.type:
            return source
        if job_id is not None and job_id in self._ledger:
            known = self._ledger.get(job_id).source
            if (known.urn, known.data) == (source.urn, source.data):
                return replace(source, type=known.type)
        return replace(source, type=await self._kind_of(source))

    async def wish(self, request: StartRequest) -> Wish | Job:
        """What a request with a source asks; or the job that is there already.

        Raises:
            InvalidRequest: see `told`.
            ChillyError: see `named`.
        """
        assert request.source is not None  # noqa: S101 (for the type checker)
        named = await self.named(request.source, request.id)
        if isinstance(named, Job):
            return named
        source = request.source
        if named is None:
            source = await self.told(source, request.job_id)
        await self.settle(request.candidates)
        wish = Wish.of(request, source)
        return wish if named is None else wish.of_film(named)

    async def named(self, source: Source, job_id: str | None = None) -> NamedFilm | Job | None:
        """What a source stands for that is the name of a film in a catalogue.

        The catalogue is asked, and the server of a torrent for the files in it.

        Args:
            source: as it was given.
            job_id: the job it is for, None = a new one.

        Returns:
            The film; or the job, if that was started by this name; or None: it is no such name.

        Raises:
            MetadataError: the catalogue does not know it, or does not answer.
            InvalidSource: there is no film behind it.
            DownloadError: where it is said to be it is not.
            DuplicateDownload: another job has the same film data.
        """
        kind, _, name = source.urn.partition(":")
        naming = self.names.get(kind)
        if naming is None or source.type or source.data is not None:
            return None
        if job_id is not None and job_id in self._ledger:
            known = self._ledger.get(job_id)
            if known.labels.get(naming.label) == name:
                return known
        return await self._with_files(await naming.find(name), job_id or "")

    async def _with_files(self, film: NamedFilm, job_id: str) -> NamedFilm:
        """The film with the numbers of its files; from a link, if its torrent has them not."""
        inspector = driver_of(self._drivers, film.source).inspector
        if not film.files or inspector is None:
            return film
        try:
            found = await inspector.inspect(film.source, resolve=False)
        except DownloadError:
            if not film.candidates:
                raise
            return film.at_first_candidate()
        self._ledger.refuse_duplicate(job_id, found.identities)
        if (whole := film.with_files(found.files)) is not None:
            # A web seed that redirects each file elsewhere never sends the pieces that two files
            # share; the folder that it leads to does.
            answer = await self._answer(film.candidates[0].source) if film.candidates else None
            return whole if answer is None else whole.with_folder(answer.url, found.files)
        return film.at_first_candidate() if film.candidates else film

    async def settle(self, further: Iterable[FurtherIn] | None) -> None:
        """Find out the types of candidates that were given without, all at once.

        Raises:
            InvalidRequest: see `told`.
        """

        async def settle(one: FurtherIn) -> None:
            one.become(await self.told(one.further.source))

        ends = await asyncio.gather(*map(settle, further or ()), return_exceptions=True)
        for problem in filter(None, ends):
            if isinstance(problem, InvalidRequest):
                problem.field = "candidates"
            raise problem

    async def inspect(
        self, wish: StartRequest | None = None, /, *, resolve: bool = False, **wishes: Any
    ) -> InspectedSource:
        """Say what a source is, and what is in it, before it is downloaded. Stores nothing.

        Args:
            wish: a request that was checked already; all but its source is ignored.
            resolve: others than the server of a link may be asked, too: the peers of a magnet.
            **wishes: the same by keyword: `source_urn`, `source_type`, `torrent` (bytes of a
                `.torrent` file), `username`, `password`, `cookies`, `headers`.

        Raises:
            InvalidRequest: a value has the wrong form, or the source is broken.
            DownloadError: the source is not there, or does not say what it is.
        """
        await self._open_jobs()
        given = (wish or parse(wishes)).source
        if given is None:
            raise InvalidRequest("Say which source to look into.", field="sourceUrn")
        named = await self.named(given)
        source = named.source if isinstance(named, NamedFilm) else await self.told(given)
        driver = driver_of(self._drivers, source)
        facts = driver.identify(source)
        found = InspectedSource(source, facts.name, files=facts.files)
        if driver.inspector is not None:
            found = await driver.inspector.inspect(source, resolve=resolve)
        identities = (*facts.identities, *found.identities)
        try:
            self._ledger.refuse_duplicate("", identities)
        except DuplicateDownload as error:
            return replace(found, existing_id=error.existing_id)
        return found

    async def _kind_of(self, source: Source) -> str:
        if source.data is not None:
            return SourceType.TORRENT
        certainty, kinds = self._best(source)
        if certainty is Certainty.POSSIBLE and len(kinds) > 1:
            answer = await self._answer(source)
            if answer is not None:
                certainty, kinds = self._best(source, answer)
                if certainty is Certainty.NONE:
                    raise _of_no_kind(answer)
        if certainty is not Certainty.NONE:
            return kinds[0]
        if SourceType.TORRENT in self._drivers:
            raise InvalidSource(_NO_SOURCE)
        known = ", ".join(sorted(self._drivers))
        sentence = f"No driver of this server takes this source; sourceType names one of: {known}."
        raise UnsupportedSource(sentence, field="sourceUrn")

    def _best(
        self, source: Source, answer: LinkAnswer | None = None
    ) -> tuple[Certainty, list[str]]:
        """The greatest certainty, and which kinds have it, the first of them first."""
        kinds = [kind for kind in dict.fromkeys((*_FIRST, *self._drivers)) if kind in self._drivers]
        found = {kind: _judge(self._drivers[kind], source, answer) for kind in kinds}
        best = max(found.values(), default=Certainty.NONE)
        return best, [kind for kind, certainty in found.items() if certainty is best]

    async def _answer(self, source: Source) -> LinkAnswer | None:
        """What the server of a link says; None if it is no link, or the server says nothing."""
        if self._peek is None or not source.urn.lower().startswith(("http://", "https://")):
            return None
        try:
            return await self._peek(source)
        except ChillyError:
            return None  # what it was taken for before anybody was asked


def _judge(driver: Driver, source: Source, answer: LinkAnswer | None) -> Certainty:
    """How sure it is that a driver takes a source; one that cannot say may take what it reads."""
    if driver.inspector is not None:
        return driver.inspector.recognises(source.urn, answer)
    try:
        driver.identify(source)
    except InvalidRequest:
        return Certainty.NONE
    return Certainty.POSSIBLE


def _of_no_kind(answer: LinkAnswer) -> InvalidSource:
    what = "a page" if answer.is_page else f"what its server calls '{answer.media_type[:60]}'"
    return InvalidSource(
        f"The link leads to {what}, which no driver of this server takes; a sourceType names one "
        "that is to try it all the same."
    )
