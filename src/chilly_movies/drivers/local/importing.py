"""Brings the files of a source into the media folder: linked, shared or copied.

Everything is put together in the job's staging folder and published by one rename. A copy claims
what it has, as a torrent does: flushed first, at most `_BEHIND` bytes or `_LATEST` seconds later. A
link or reflink costs nothing, so one that was interrupted begins anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

from chilly_movies.disk import files as disk
from chilly_movies.disk.file_stamps import FileStamp, flush
from chilly_movies.disk.job_place import Place
from chilly_movies.disk.linking import Mode, goes
from chilly_movies.disk.moving import make_folder
from chilly_movies.disk.plain import Held, hold_plain
from chilly_movies.disk.programs import is_program, left_out
from chilly_movies.disk.publishing import publish
from chilly_movies.disk.roots import RootedPath
from chilly_movies.disk.scan import Found, FoundFile, look
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.local import modes
from chilly_movies.drivers.local.checksum import is_right
from chilly_movies.drivers.local.claim import Claim, decode, encode
from chilly_movies.drivers.local.copying import Stretches, of_source
from chilly_movies.errors import SourceRejected, SourceUnavailable
from chilly_movies.jobs.models import Job, MediaFile, Phase, Progress, Report, SourceFacts
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.names import safe_name, safe_paths
from chilly_movies.runtime import failpoints, tasks
from chilly_movies.runtime.stages import say

T = TypeVar("T")

_BEHIND = 64 * 1024 * 1024
_LATEST = 20.0
_REPORT_INTERVAL = 0.25
_TRIES = 3
"""How often a source that changes while it is copied is begun anew before it is left to rest."""


class _ChangedError(Exception):
    """The source is not what it was when its copy began."""


class Import:
    """One run of a job whose film is not in the media folder yet.

    Args:
        job: the job.
        source: where its film lies.
        place: where it goes.
        store: where claims are kept.

    Attributes:
        job: with the options it has now.
        files: the job's files, once they are known.
        done: bytes of each file that are there, by index.
        claim: what was claimed last.
    """

    def __init__(self, job: Job, source: RootedPath, place: Place, store: ResumeStore) -> None:
        self.job = job
        self.files: tuple[MediaFile, ...] = ()
        self.done: dict[int, int] = {}
        self.claim: Claim | None = None
        self._source, self._place, self._store = source, place, store
        self._found = Found((), is_folder=False)
        self._mode: Mode = "copy"
        self._held = Held(place.staging(job.key))
        self._stamps: dict[int, FileStamp] = {}
        self._stretches = Stretches()
        self._claimed_at = self._began = self._told = time.monotonic()
        self._unclaimed = self._before = 0

    async def go(self) -> None:
        """Brings the film to the media folder, from what is there already.

        A stage: it says a report at least once a second, and at the end a complete one.

        Raises:
            DownloadError: it cannot be done.
        """
        await say(Report(Progress(phase=Phase.METADATA), needs=0))
        self.claim = decode(await self._store.load_resume(self.job.key))
        if await on_disk(lambda: is_ours(self.claim, self.job, self._place)):
            self.files = self.job.files
            self.done = {file.index: file.size for file in self.files}
            await self._say_complete(self.job.path or "")
            return
        reason = None
        for _ in range(_TRIES):
            try:
                await self._attempt(reason)
            except _ChangedError as error:
                reason = f"'{error}' was changed while it was copied: the copy begins anew"
                self.claim = None
            else:
                return
        raise SourceUnavailable(
            f"'{self._source.urn}' is being changed while it is copied; it is tried again later."
        )

    async def _attempt(self, reason: str | None) -> None:
        reason = await self._prepare() or reason
        await self._say_facts(reason)
        self._held = await hold_plain(self._place.staging(self.job.key))
        try:
            await self._bring_all()
            path = await self._publish()
        finally:
            self._held.let_go()
        await on_disk(lambda: self._place.clear_staging(self.job.key))
        await self._say_complete(path)

    async def mend(self, bad: Sequence[MediaFile]) -> None:
        """Brings files of a published film again, to where they belong.

        A stage, like `go`.

        Args:
            bad: those that are gone or changed.

        Raises:
            SourceRejected: the original is not what it was either.
            DownloadError: it cannot be done.
        """
        claim, key = decode(await self._store.load_resume(self.job.key)), self.job.key
        known = Found(() if claim is None else claim.files, is_folder=True)
        self._found = known if claim else await self._of_source(lambda: look(self._source))
        if any(file.index >= len(self._found.files) for file in bad):
            raise self._is_another()
        await on_disk(lambda: disk.delete_tree(self._place.staging(key)))
        await on_disk(lambda: self._place.make_staging(key))
        self.files = tuple(replace(file, path=str(file.index)) for file in bad)
        await self._choose(self._found.files[bad[0].index])
        await say(self._report())
        self._held = await hold_plain(self._place.staging(key))
        try:
            await self._bring_all()
            for file in bad:
                await on_disk(lambda: self._put_back(file))  # noqa: B023
        except _ChangedError:
            raise self._is_another() from None
        finally:
            self._held.let_go()
        await on_disk(lambda: self._place.clear_staging(key))

    def _put_back(self, file: MediaFile) -> None:
        staged, target = self._held.path / str(file.index), self._place.root / file.path
        if staged.stat().st_size != file.size:
            raise self._is_another()
        make_folder(self._place.root, target.parent)
        staged.replace(target)
        disk.flush_folder(target.parent)

    def _is_another(self) -> SourceRejected:
        return SourceRejected(
            f"'{self._source.urn}' was changed since it was taken, so the film cannot be mended "
            "from it; start it under another id."
        )

    # --- what is to be done -----------------------------------------------------------------

    async def _prepare(self) -> str | None:
        """Look at the source and choose the way; why it begins anew, None if it does not."""
        self._found = await self._of_source(lambda: look(self._source))
        self._refuse_checksum_of_many()
        self.files = files_of(self._source, self._found, self.job)
        claim, key, wanted = self.claim, self.job.key, self.job.options.mode
        goes_on = claim is not None and wanted in (None, claim.mode) and claim.mode == "copy"
        same = claim is not None and claim.files == self._found.files
        if not (goes_on and same):
            await on_disk(lambda: disk.delete_tree(self._place.staging(key)))
        await on_disk(lambda: self._place.make_staging(key))
        self.done, self._stamps = {}, {}
        if claim is not None and goes_on and same:
            self._mode, self.done = "copy", await on_disk(lambda: self._still_there(claim))
        else:
            await self._choose(self._found.files[0])
        self._began, self._before = time.monotonic(), self._there
        changed = claim is not None and goes_on and not same and any(claim.done.values())
        return "the source was changed: the copy begins anew" if changed else None

    async def _choose(self, first: FoundFile) -> None:
        place, staging = self._source.child(*first.path), self._place.staging(self.job.key)
        wanted = self.job.options.mode
        self._mode = await self._of_source(lambda: modes.choose(wanted, place, staging))

    def _refuse_checksum_of_many(self) -> None:
        if self.job.options.checksum and self._found.is_folder:
            raise SourceRejected("A checksum is of one file, and the source is a folder.")

    def _still_there(self, claim: Claim) -> dict[int, int]:
        """The claimed bytes of the files that are as long as was claimed. Blocks."""
        folder, found = self._place.staging(self.job.key), {}
        for file in self.files:
            path, done = folder / file.path, claim.done.get(file.index, 0)
            if done and path.is_file() and path.stat().st_size >= done:
                found[file.index] = done
        return found

    async def _say_facts(self, reason: str | None) -> None:
        blocked = left_out([file.path for file in self.files if file.blocked])
        note = reason or blocked or modes.SAID[self._mode]
        name = safe_name(self._source.name)
        facts = SourceFacts((f"local:{self._source.urn}",), name, self.files, note)
        anew = reason is not None
        await say(Report(self._progress(), note, facts=facts, needs=self._needs, anew=anew))

    # --- doing it ---------------------------------------------------------------------------

    async def _bring_all(self) -> None:
        """Bring every wanted file into the staging folder; which are wanted may change."""
        try:
            while (file := self._next()) is not None:
                await self._bring(file)
        finally:
            if self._unclaimed:
                await tasks.to_the_end(self._save_claim())

    def _next(self) -> MediaFile | None:
        priorities = self.job.options.priorities_of(file.index for file in self.files)
        self.files = tuple(
            replace(file, wanted=bool(priorities[file.index]) and not file.blocked)
            for file in self.files
        )
        missing = (f for f in self._wanted if self.done.get(f.index, -1) < f.size)
        return next(missing, None)

    async def _bring(self, file: MediaFile) -> None:
        found = self._found.files[file.index]
        source, target = self._source.child(*found.path), self._held.path / file.path
        await on_disk(lambda: target.parent.mkdir(parents=True, exist_ok=True))
        if self._mode != "copy" and await of_source(
            source.urn, lambda: self._linked(source, target)
        ):
            self.done[file.index] = file.size
            await self._say_now_and_then()
        else:
            await self._copy(file, source, target)

    def _linked(self, source: RootedPath, target: Path) -> bool:
        """Whether the file needs no copy; one that lies on another disk than the first does."""
        for mode in get_args(Mode)[get_args(Mode).index(self._mode) : -1]:
            if goes(mode, source, target):
                return True
        if self.job.options.mode is not None:
            raise SourceRejected(f"There can be no {self.job.options.mode} of '{source.urn}'.")
        return False

    async def _copy(self, file: MediaFile, source: RootedPath, target: Path) -> None:
        found, at = self._found.files[file.index], self.done.setdefault(file.index, 0)
        reading = await of_source(source.urn, source.open_file)
        try:
            writing = await self._of_source(lambda: _open_target(target, at))
            try:
                while self.done[file.index] < file.size:
                    await self._copy_some(file, reading, writing)
                if not await self._of_source(lambda: _finish(found, reading, writing)):
                    raise _ChangedError(source.urn)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    async def _copy_some(self, file: MediaFile, reading: int, writing: int) -> None:
        at = self.done[file.index]
        step = partial(self._stretches.copy, reading, writing, at, file.size - at)
        copied = await self._of_source(step)
        if not copied:
            raise _ChangedError(self._source.urn)
        self.done[file.index] += copied
        self._unclaimed += copied
        late = time.monotonic() - self._claimed_at >= _LATEST
        if self._unclaimed >= _BEHIND or late:
            await self._save_claim()
        await say(self._report())

    async def _save_claim(self) -> None:
        """Claim what is copied, once it survives a power cut."""
        paths = {f.index: f.path for f in self._wanted if self.done.get(f.index)}
        done, folder = dict(self.done), self._held.path
        self._stamps = await on_disk(lambda: flush(folder, paths, self._stamps))
        self.claim = Claim(self._mode, self._found.files, done)
        await self._store.save_resume(self.job.key, encode(self.claim))
        self._unclaimed, self._claimed_at = 0, time.monotonic()
        failpoints.reach("local.claimed")

    async def _publish(self) -> str:
        await on_disk(self._drop_unwanted)
        staged = self._held.path / self.files[0].path.partition("/")[0]
        await self._compare(staged)
        inode = await on_disk(lambda: staged.lstat().st_ino)
        self.claim = Claim(self._mode, self._found.files, dict(self.done), inode)
        await self._store.save_resume(self.job.key, encode(self.claim))
        final = replace(self._progress(), phase=Phase.POST_PROCESSING)
        return await publish(
            staged,
            self._place,
            final,
            folder=self.job.options.folder,
            check=self._held.refuse_swapped,
            flush=partial(disk.flush_tree, shared=self._mode == "hardlink"),
        )

    def _drop_unwanted(self) -> None:
        for file in self.files:
            if not file.wanted:
                (self._held.path / file.path).unlink(missing_ok=True)

    async def _compare(self, staged: Path) -> None:
        checksum = self.job.options.checksum
        if checksum is None:
            return
        progress = replace(self._progress(), phase=Phase.CHECKING)
        if not await is_right(checksum, staged, progress):
            raise SourceRejected(f"'{self._source.urn}' does not have the given checksum.")

    # --- what is said of it -----------------------------------------------------------------

    @property
    def looked_at(self) -> Claim | None:
        """What is known of the source's files by now, None if nothing is."""
        return Claim(self._mode, self._found.files) if self._found.files else None

    @property
    def _wanted(self) -> list[MediaFile]:
        return [file for file in self.files if file.wanted]

    @property
    def _there(self) -> int:
        return sum(self.done.get(file.index, 0) for file in self._wanted)

    @property
    def _needs(self) -> int:
        """Bytes that are still to be written."""
        return 0 if self._mode != "copy" else sum(f.size for f in self._wanted) - self._there

    def _progress(self) -> Progress:
        total, there = sum(file.size for file in self._wanted), self._there
        speed = int((there - self._before) / max(0.05, time.monotonic() - self._began))
        left = (total - there) // speed if speed and self._mode == "copy" else None
        percent = min(99.9, 100 * there / max(1, total))
        return Progress(percent, there, total, speed, time_remaining=left, phase=Phase.DOWNLOADING)

    def _report(self) -> Report:
        return Report(self._progress(), modes.SAID[self._mode], needs=self._needs)

    async def _say_now_and_then(self) -> None:
        if time.monotonic() - self._told >= _REPORT_INTERVAL:
            self._told = time.monotonic()
            await say(self._report())

    async def _say_complete(self, path: str) -> None:
        total = sum(file.size for file in self._wanted)
        await say(Report(Progress(100.0, total, total), path=path, complete=True))

    async def _of_source(self, work: Callable[[], T]) -> T:
        return await of_source(self._source.urn, work)


def _open_target(path: Path, length: int) -> int:
    """A descriptor of a file of ours to write to, cut to what of it counts. Blocks."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    os.ftruncate(handle, length)
    return handle


def _finish(found: FoundFile, reading: int, writing: int) -> bool:
    """Give a copy the times of its original; False if that was changed meanwhile. Blocks."""
    now = os.fstat(reading)
    os.utime(writing, ns=(now.st_atime_ns, now.st_mtime_ns))
    return (now.st_size, now.st_mtime_ns) == (found.size, found.mtime_ns)


def files_of(source: RootedPath, found: Found, job: Job) -> tuple[MediaFile, ...]:
    """What a source holds as files of a job, under names that are harmless everywhere.

    Raises:
        SourceRejected: none of them is wanted.
    """
    top = safe_name(source.name)
    paths = [*safe_paths("/".join((top, *file.path)) for file in found.files)]
    options = job.options
    priorities = options.priorities_of(range(len(paths)))
    files = []
    for index, (path, file) in enumerate(zip(paths, found.files, strict=True)):
        blocked = not options.allow_executables and is_program("/".join((top, *file.path)))
        wanted = bool(priorities[index]) and not blocked
        files.append(MediaFile(index, path, file.size, wanted=wanted, blocked=blocked))
    if not any(file.wanted for file in files):
        raise SourceRejected(
            "None of the files is wanted: programs are left out unless allowExecutables is set."
        )
    return tuple(files)


def is_ours(claim: Claim | None, job: Job, place: Place) -> bool:
    """Whether what lies at the job's path is what this job published. Blocks."""
    if claim is None or claim.inode is None or not place.was_published(job):
        return False
    return (place.root / (job.path or "")).lstat().st_ino == claim.inode
