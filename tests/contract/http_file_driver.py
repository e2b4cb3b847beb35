"""A driver for one plain file behind an http link: proof of what every driver is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2

from chilly_movies import errors
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.plain import hold_plain
from chilly_movies.disk.publishing import move, publish, with_move_finished
from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.disk.threads import on_disk
from chilly_movies.jobs import models as m
from chilly_movies.jobs.ports import FileReader
from chilly_movies.names import safe_name
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime.stages import said_by, say


class HttpFileDriver:
    """Implements `ports.Driver`; it trusts the length of the file, as nothing tells its hash."""

    pool = m.Pool.NETWORK

    def __init__(self, root: Path, policy: NetworkPolicy) -> None:
        self._root, self._place, self._more = root, Place(root), asyncio.Condition()
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
            await self._compare(job)
        else:
            await self._fetch(job)

    async def _compare(self, job: m.Job) -> None:
        why = await on_disk(lambda: self._place.why_missing(job.files))
        if why or (why := await on_disk(lambda: self._place.why_unlike(job.files))):
            raise errors.FilmDamaged(f"The film is not what it was: {why}.")
        size = sum(file.size for file in job.files)
        await say(m.Report(m.Progress(100.0, size, size), path=job.path, complete=True))

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
        done = await on_disk(lambda: staged.stat().st_size if staged.exists() else 0)
        wanted = {"Range": f"bytes={done}-", "Accept-Encoding": "identity"}
        try:
            async with self._client.stream("GET", job.source.urn, headers=wanted) as answer:
                if answer.status_code not in (206, 416):
                    raise errors.SourceRejected(f"The server answered {answer.status_code}.")
                size = int(answer.headers["content-range"].rpartition("/")[2])
                with await on_disk(lambda: staged.open("ab", buffering=0)) as file:
                    files = (m.MediaFile(0, staged.name, size),)
                    await say(m.Report(_figures(done, size), facts=replace(facts, files=files)))
                    async for chunk in answer.aiter_bytes(64 * 1024):
                        done += await on_disk(partial(file.write, chunk))
                        async with self._more:
                            self._more.notify_all()
                        await say(m.Report(_figures(done, size)))
        except httpx2.HTTPError as error:
            raise errors.SourceUnavailable(f"No answer ({type(error).__name__}).") from None
        return size

    async def remove(self, job: m.Job, *, delete_files: bool) -> None:
        job = await on_disk(lambda: with_move_finished(job, self._root))
        delete = partial(self._place.delete, job, job.files, delete_files=delete_files)
        await on_disk(lambda: delete(ours=lambda _: False))

    async def reconcile(self, jobs: Sequence[m.Job]) -> Sequence[str]:
        staged = await on_disk(lambda: set(self._place.staged_keys()))
        for job in (job for job in jobs if job.status is m.Status.CANCELED):
            await self.remove(job, delete_files=False)
        return sorted(staged - {job.key for job in jobs})

    async def open_file(self, job: m.Job, index: int, **_: object) -> FileReader:
        if index not in (file.index for file in job.files):
            raise errors.FileNotFound(f"This download has no file {index}.")
        file = job.files[index]
        if job.status is m.Status.COMPLETED:
            return await DiskReader.open(self._root, file.path, file.size)
        opened = await DiskFile.open(self._place.staging(job.key) / file.path)
        return _ArrivingFile(opened, file, self._more)

    async def files(self, job: m.Job) -> tuple[m.FileStanding, ...]:
        async with aclosing(await self.open_file(job, 0)) as reader:
            return (m.FileStanding(0, reader.available(0), job.priorities()[0]),)

    async def peers(self, job: m.Job) -> tuple[m.Peer, ...]:
        return ()

    async def adjust(self, job: m.Job) -> None:
        pass

    async def aclose(self) -> None:
        await self._client.aclose()


class _ArrivingFile(DiskReader):
    """A file that grows at its end; it stays open when it is published."""

    def __init__(self, file: DiskFile, wanted: m.MediaFile, more: asyncio.Condition) -> None:
        super().__init__(file, wanted.path)
        self.size, self._more = wanted.size, more

    def available(self, offset: int) -> int:
        return max(0, self._file.size - offset)

    async def read(self, offset: int, length: int) -> bytes:
        async with self._more:
            await self._more.wait_for(lambda: offset >= self.size or self.available(offset))
        return await super().read(offset, length)


def _figures(done: int, size: int) -> m.Progress:
    return m.Progress(min(99.9, 100 * done / max(1, size)), done, size, phase=m.Phase.DOWNLOADING)
