"""A driver for films on web pages: whatever yt-dlp reads, in a child process for each job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chilly_movies import errors
from chilly_movies.disk.files import delete_tree
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.plain import Held, hold_plain
from chilly_movies.disk.publishing import move, publish, with_move_finished
from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.ytdlp import staged, words
from chilly_movies.drivers.ytdlp.arriving import ArrivingFile
from chilly_movies.drivers.ytdlp.inspector import PageSources
from chilly_movies.drivers.ytdlp.process import INSTALL, Child, is_installed, started, wish_of
from chilly_movies.drivers.ytdlp.progress import Standing
from chilly_movies.drivers.ytdlp.proxy import JudgingProxy
from chilly_movies.drivers.ytdlp.reasons import error_of
from chilly_movies.jobs import models as m
from chilly_movies.jobs.inspection import SourceInspector
from chilly_movies.jobs.ports import FileReader
from chilly_movies.net.limiter import Share
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime.stages import said_by, say

_EVERY = 1.0
"""Seconds between two reports while nothing is said."""
_SILENCE = 180.0
"""Seconds without a sign of life after which a child that downloads nothing is given up: it never
takes so long, but the text of a page can keep it busy without end."""


class YtdlpDriver:
    """Implements `ports.Driver` by yt-dlp, which is an extra (`chilly-movies[ytdlp]`).

    Args:
        root: the media root.
        policy: whom we may talk to, which way, and how fast.
    """

    pool = m.Pool.NETWORK

    def __init__(self, root: Path, policy: NetworkPolicy) -> None:
        self._root, self._place, self._policy = root, Place(root), policy
        self.inspector: SourceInspector | None = PageSources(policy)
        self._more = asyncio.Condition()
        self._shares: dict[str, Share] = {}

    def identify(self, source: m.Source) -> m.SourceFacts:
        """See `ports.Driver`.

        Raises:
            InvalidSource: it is no link to a web page.
            UnsupportedSource: yt-dlp is not installed.
        """
        try:
            parts = urlsplit(source.urn)
            good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
            parts.port  # noqa: B018 (it is read to see whether it is one)
        except ValueError:
            good = False
        if not good or any(sign.isspace() for sign in source.urn):
            raise errors.InvalidSource("The link must begin with http:// or https://.")
        if not is_installed():
            raise errors.UnsupportedSource(
                f"Films on web pages need yt-dlp, which is not installed here: {INSTALL}."
            )
        return m.SourceFacts((f"page:{source.urn}",))

    def run(self, job: m.Job, *, check: bool = False) -> AsyncGenerator[m.Report, None]:
        """See `ports.Driver`."""
        return said_by(lambda: self._run(job))

    async def _run(self, job: m.Job) -> None:
        if job.moving_to:
            await move(job, self._root)
        elif job.status is m.Status.COMPLETED or await on_disk(lambda: self._was_published(job)):
            await self._compare(job)
        elif job.status is m.Status.ACTIVE:
            await self._fetch(job)
        else:  # nothing tells what the bytes of a part should be
            await say(m.Report(replace(job.progress, phase=m.Phase.CHECKING)))

    async def _compare(self, job: m.Job) -> None:
        why = await on_disk(lambda: self._place.why_missing(job.files))
        if why is not None:
            raise errors.FilmDamaged(f"The film is not what it was: {why}.", is_gone=True)
        if (why := await on_disk(lambda: self._place.why_unlike(job.files))) is not None:
            raise errors.FilmDamaged(f"The film is not what it was: {why}.")
        await self._finish(job, job.files, job.path)

    async def _finish(self, job: m.Job, files: tuple[m.MediaFile, ...], path: str | None) -> None:
        size = sum(file.size for file in files)
        await on_disk(lambda: delete_tree(self._place.staging(job.key)))
        await say(m.Report(m.Progress(100.0, size, size), path=path, complete=True))

    async def _fetch(self, job: m.Job) -> None:
        await say(m.Report(m.Progress(phase=m.Phase.METADATA), "the page is being read"))
        await on_disk(lambda: self._place.make_staging(job.key))
        held = await hold_plain(self._place.staging(job.key))
        try:
            standing = Standing(self.identify(job.source).identities)
            if await on_disk(lambda: staged.ready_in(held.path)) is None:
                await self._download(job, held, standing)
            path, files = await self._publish(job, held, standing)
        finally:
            held.let_go()
        await self._finish(job, files, path)

    # --- what the child does ----------------------------------------------------------------

    async def _download(self, job: m.Job, held: Held, standing: Standing) -> None:
        """Let a child get the film; it is whole and ready to be published then."""
        share = self._shares[job.key] = self._policy.limiter.share(job.options.download_limit or 0)
        try:
            with share:
                async with JudgingProxy(self._policy, share) as proxy:
                    wish = wish_of(job.source, proxy.url, job.options)
                    async with started(held.path, wish) as child:
                        done = await self._follow(child, proxy, standing, job)
        finally:
            del self._shares[job.key]
        name = staged.film_name(standing.title, Path(done.film).suffix[1:])
        put = partial(staged.put_ready, held.path, done.film, name, done.subtitles)
        await on_disk(put)

    async def _follow(
        self, child: Child, proxy: JudgingProxy, standing: Standing, job: m.Job
    ) -> words.Done:
        """Report what the child says until the film is there."""
        heard_at = time.monotonic()
        while True:
            word = await child.hear(_EVERY)
            heard_at = heard_at if word is None else time.monotonic()
            if isinstance(word, words.Done):
                return word
            if isinstance(word, words.Trouble):
                raise proxy.why(word) or error_of(word, job.source.secret)
            silent = 0.0 if standing.may_be_silent else time.monotonic() - heard_at
            if silent > _SILENCE:
                raise errors.SourceUnavailable("Reading the page does not come to an end.")
            standing.take(word)
            async with self._more:
                self._more.notify_all()
            await say(standing.report())

    async def _publish(
        self, job: m.Job, held: Held, standing: Standing
    ) -> tuple[str, tuple[m.MediaFile, ...]]:
        ready = await on_disk(lambda: staged.ready_in(held.path))
        if ready is None:
            raise errors.DiskError("The film is not where it was put.")
        size = sum(file.size for file in ready.files)
        progress = m.Progress(99.9, size, size, phase=m.Phase.POST_PROCESSING)
        facts = standing.facts(job.name or ready.path.stem, ready.files)
        await say(m.Report(progress, facts=facts, needs=0))
        path = await publish(
            ready.path, self._place, progress, folder=job.options.folder, check=held.refuse_swapped
        )
        return path, ready.files

    # --- what lies on the disk --------------------------------------------------------------

    def _was_published(self, job: m.Job) -> bool:
        """Whether the film lies where it was about to be published."""
        ready = staged.ready_in(self._place.staging(job.key))
        return ready is None and self._place.was_published(job)

    async def remove(self, job: m.Job, *, delete_files: bool) -> None:
        """See `ports.Driver`."""
        job = await on_disk(lambda: with_move_finished(job, self._root))
        delete = partial(self._place.delete, job, job.files, delete_files=delete_files)
        await on_disk(lambda: delete(ours=self._is_ours))

    def _is_ours(self, job: m.Job) -> bool:
        """Whether what lies at the job's path was put there by its rename: its place is empty."""
        folder = self._place.staging(job.key) / staged.READY
        return folder.is_dir() and not any(folder.iterdir())

    async def reconcile(self, jobs: Sequence[m.Job]) -> Sequence[str]:
        """See `ports.Driver`."""
        keys = await on_disk(lambda: set(self._place.staged_keys()))
        for job in (job for job in jobs if job.status is m.Status.CANCELED):
            await self.remove(job, delete_files=False)
        return sorted(keys - {job.key for job in jobs})

    async def open_file(self, job: m.Job, index: int, **_: Any) -> FileReader:
        """See `ports.Driver`.

        Raises:
            NotReadable: the film cannot be read before it is complete.
        """
        file = next((file for file in job.files if file.index == index), None)
        if file is None:
            raise errors.FileNotFound(f"This download has no file {index}.")
        if job.status is m.Status.COMPLETED:
            return await self._open_finished(job, file)
        folder = self._place.staging(job.key)
        path = await on_disk(lambda: staged.readable(folder, file))
        if path is None and job.path is None:
            raise errors.NotReadable("This film can be watched when it is complete.")
        try:
            return ArrivingFile(await DiskFile.open(path or folder), file, self._more)
        except FileNotFoundError:  # it was published a moment ago
            return await self._open_finished(job, file)

    async def _open_finished(self, job: m.Job, file: m.MediaFile) -> FileReader:
        try:
            return await DiskReader.open(self._root, file.path, file.size)
        except errors.FileNotFound:
            if job.moving_to is None:
                raise
        there = next(f for f in job.files_at(job.moving_to) if f.index == file.index)
        return await DiskReader.open(self._root, there.path, file.size)

    async def files(self, job: m.Job) -> tuple[m.FileStanding, ...]:
        """See `ports.Driver`."""
        folder, priorities = self._place.staging(job.key), job.priorities()
        whole = job.status is m.Status.COMPLETED
        there = 0 if whole else await on_disk(lambda: staged.size_there(folder))
        return tuple(
            m.FileStanding(
                file.index, file.size if whole else min(file.size, there), priorities[file.index]
            )
            for file in job.files
        )

    async def peers(self, job: m.Job) -> tuple[m.Peer, ...]:
        """See `ports.Driver`: there are none."""
        return ()

    async def adjust(self, job: m.Job) -> None:
        """See `ports.Driver`. The download limit counts."""
        if (share := self._shares.get(job.key)) is not None:
            share.limit = job.options.download_limit or 0

    async def aclose(self) -> None:
        """See `ports.Driver`: nothing outlives a run."""
