"""A driver for one plain file behind an http link: proof of what every driver is given."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from chilly_movies import errors
from chilly_movies.disk import chores
from chilly_movies.disk.arriving import Arrivals
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.plain import hold_plain
from chilly_movies.disk.publishing import move, publish
from chilly_movies.disk.reader import DiskReader
from chilly_movies.disk.threads import on_disk
from chilly_movies.jobs import models as m
from chilly_movies.jobs.inspection import SourceInspector
from chilly_movies.jobs.ports import FileReader
from chilly_movies.names import safe_name
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime.stages import said_by, say


class HttpFileDriver:
    """Implements `ports.Driver`; it trusts the length of the file, as nothing tells its hash."""

    pool = m.Pool.NETWORK
    inspector: SourceInspector | None = None

    def __init__(self, root: Path, policy: NetworkPolicy) -> None:
        self._root, self._place, self._arrivals = root, Place(root), Arrivals()
        self._policy, self._client = policy, policy.client()

    def identify(self, source: m.Source) -> m.SourceFacts:
        parts = urlsplit(source.urn)
        name = unquote(parts.path.rpartition("/")[2])
        if parts.scheme not in ("http", "https") or not parts.hostname or not name:
            raise errors.InvalidSource("The link must begin with http:// and name a file.")
        return m.SourceFacts((f"url:{source.urn}",), safe_name(name))

    def run(self, job: m.Job, *, check: bool = False) -> AsyncGenerator[m.Report, None]:
        return said_by(lambda: self._run(job))

    async def _run(self, job: m.Job) -> None:
        if job.moving_to:
            await move(job, self._root)
        elif job.status is not m.Status.ACTIVE or await on_disk(
            lambda: self._place.was_published(job)
        ):
            await chores.confirm(job, self._place)
        else:
            await self._fetch(job)

    async def _fetch(self, job: m.Job) -> None:
        await say(m.Report(m.Progress(phase=m.Phase.METADATA), self._policy.halted))
        await self._policy.prepare()
        await on_disk(lambda: self._place.make_staging(job.key))
        facts, folder = self.identify(job.source), job.options.folder
        held = await hold_plain(self._place.staging(job.key))
        try:
            staged = held.path / (facts.name or "")
            size = await self._download(job, staged, facts)
            final = m.Progress(99.9, size, size, phase=m.Phase.POST_PROCESSING)
            check = held.refuse_swapped
            path = await publish(staged, self._place, final, folder=folder, check=check)
        finally:
            held.let_go()
        await on_disk(lambda: self._place.clear_staging(job.key))
        await say(m.Report(replace(final, percent=100.0, phase=None), path=path, complete=True))

    async def _download(self, job: m.Job, staged: Path, facts: m.SourceFacts) -> int:
        link = job.source.urn
        try:
            async with self._arrivals.grow(staged) as file, self._asked(link, file.size) as answer:
                if answer.status_code not in (206, 416):
                    raise errors.SourceRejected(f"The server answered {answer.status_code}.")
                size = int(answer.headers["content-range"].rpartition("/")[2])
                files = (m.MediaFile(0, staged.name, size),)
                known = replace(facts, files=files)
                await say(m.Report(_figures(file.size, size), facts=known))
                async for block in answer.aiter_bytes(64 * 1024):
                    await file.append(block)
                    await say(m.Report(_figures(file.size, size)))
        except httpx2.HTTPError as error:
            raise errors.SourceUnavailable(f"No answer ({type(error).__name__}).") from None
        return size

    def _asked(self, link: str, begin: int) -> AbstractAsyncContextManager[httpx2.Response]:
        wanted = {"Range": f"bytes={begin}-", "Accept-Encoding": "identity"}
        return self._client.stream("GET", link, headers=wanted)

    async def remove(self, job: m.Job, *, delete_files: bool) -> None:
        await chores.remove(job, self._place, delete_files=delete_files)

    async def reconcile(self, jobs: Sequence[m.Job]) -> Sequence[str]:
        return await chores.reconcile(jobs, self._place)

    async def open_file(self, job: m.Job, index: int, **_: object) -> FileReader:
        if index not in (file.index for file in job.files):
            raise errors.FileNotFound(f"This download has no file {index}.")
        file = job.files[index]
        if job.status is m.Status.COMPLETED:
            return await DiskReader.open(self._root, file.path, file.size)
        return await self._arrivals.open(self._place.staging(job.key) / file.path, file)

    async def files(self, job: m.Job) -> tuple[m.FileStanding, ...]:
        async with aclosing(await self.open_file(job, 0)) as reader:
            return (m.FileStanding(0, reader.available(0), job.priorities()[0]),)

    async def peers(self, job: m.Job) -> tuple[m.Peer, ...]:
        return ()

    async def adjust(self, job: m.Job) -> None:
        pass

    async def aclose(self) -> None:
        await self._client.aclose()


def _figures(done: int, size: int) -> m.Progress:
    return m.Progress(min(99.9, 100 * done / max(1, size)), done, size, phase=m.Phase.DOWNLOADING)
