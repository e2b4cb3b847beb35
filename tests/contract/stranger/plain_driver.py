"""A driver of another package: films behind `plain://host/film.mkv`, fetched over http."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from urllib.parse import unquote

import httpx2

from chilly_movies.disk import chores
from chilly_movies.disk.arriving import Arrivals
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.plain import hold_plain
from chilly_movies.disk.publishing import move, publish
from chilly_movies.disk.reader import DiskReader
from chilly_movies.disk.threads import on_disk
from chilly_movies.errors import FileNotFound, InvalidSource, SourceRejected, SourceUnavailable
from chilly_movies.jobs import models as m
from chilly_movies.jobs.ports import FileReader
from chilly_movies.names import safe_name
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime.stages import said_by, say


class PlainDriver:
    pool = m.Pool.NETWORK
    inspector = None

    def __init__(self, root: Path, policy: NetworkPolicy) -> None:
        self._root, self._place, self._arrivals = root, Place(root), Arrivals()
        self._policy, self._client = policy, policy.client()

    def identify(self, source: m.Source) -> m.SourceFacts:
        scheme, _, rest = source.urn.partition("://")
        host, _, path = rest.partition("/")
        name = unquote(path.rpartition("/")[2])
        if scheme != "plain" or not host or not name:
            raise InvalidSource("The source must look like plain://host/film.mkv.")
        return m.SourceFacts((source.urn,), safe_name(name))

    def run(self, job: m.Job, *, check: bool = False) -> AsyncGenerator[m.Report, None]:
        return said_by(lambda: self._run(job))

    async def _run(self, job: m.Job) -> None:
        was_published = await on_disk(lambda: self._place.was_published(job))
        if job.moving_to:
            await move(job, self._root)
        elif job.status is not m.Status.ACTIVE or was_published:
            await chores.confirm(job, self._place)
        else:
            await self._fetch(job)

    async def _fetch(self, job: m.Job) -> None:
        await say(m.Report(m.Progress(phase=m.Phase.METADATA), self._policy.halted))
        await self._policy.prepare()
        await on_disk(lambda: self._place.make_staging(job.key))
        with await hold_plain(self._place.staging(job.key)) as held:
            facts = self.identify(job.source)
            staged = held.path / (facts.name or "")
            size = await self._download(job, staged, facts)
            final = m.Progress(99.9, size, size, phase=m.Phase.POST_PROCESSING)
            folder, check = job.options.folder, held.refuse_swapped
            path = await publish(staged, self._place, final, folder=folder, check=check)
        await on_disk(lambda: self._place.clear_staging(job.key))
        await say(m.Report(m.Progress(100.0, size, size), path=path, complete=True))

    async def _download(self, job: m.Job, staged: Path, facts: m.SourceFacts) -> int:
        link = "http" + job.source.urn.removeprefix("plain")
        try:
            async with self._arrivals.grow(staged) as file:
                wanted = {"Range": f"bytes={file.size}-", "Accept-Encoding": "identity"}
                async with self._client.stream("GET", link, headers=wanted) as answer:
                    size = int(answer.headers.get("content-range", "/-1").rpartition("/")[2])
                    if file.size > size:  # there is no such film, or another one by now
                        raise SourceRejected(f"The server answered {answer.status_code}.")
                    files = (m.MediaFile(0, staged.name, size),)
                    known = m.SourceFacts(facts.identities, facts.name, files)
                    await say(m.Report(_figures(file.size, size), facts=known))
                    with self._policy.limiter.share(job.options.download_limit or 0) as share:
                        async for block in answer.aiter_bytes(64 * 1024):
                            await file.append(block)
                            await say(m.Report(_figures(file.size, size)))
                            await share.take(len(block))
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SourceUnavailable(f"No answer ({type(error).__name__}).") from None
        return size

    async def remove(self, job: m.Job, *, delete_files: bool) -> None:
        await chores.remove(job, self._place, delete_files=delete_files)

    async def reconcile(self, jobs: Sequence[m.Job]) -> Sequence[str]:
        return await chores.reconcile(jobs, self._place)

    async def open_file(self, job: m.Job, index: int, **_: object) -> FileReader:
        if index not in (file.index for file in job.files):
            raise FileNotFound(f"This download has no file {index}.")
        [file] = job.files
        if job.status is m.Status.COMPLETED:
            return await DiskReader.open(self._root, file.path, file.size)
        return await self._arrivals.open(self._place.staging(job.key) / Path(file.path).name, file)

    async def files(self, job: m.Job) -> tuple[m.FileStanding, ...]:
        async with aclosing(await self.open_file(job, 0)) as reader:
            return (m.FileStanding(0, reader.available(0), job.priorities()[0]),)

    async def peers(self, job: m.Job) -> tuple[m.Peer, ...]:
        return ()

    async def adjust(self, job: m.Job) -> None:
        """Take over nothing: this driver has no limits of its own."""

    async def aclose(self) -> None:
        await self._client.aclose()


def _figures(done: int, size: int) -> m.Progress:
    return m.Progress(min(99.9, 100 * done / max(1, size)), done, size, phase=m.Phase.DOWNLOADING)
