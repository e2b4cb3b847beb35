"""The local driver: a file or folder on the disk becomes a film in the media folder.

Its original is only read, or given a second name; it is never changed, and never deleted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

from chilly_movies.disk.job_place import Place
from chilly_movies.disk.publishing import move, with_move_finished
from chilly_movies.disk.reader import DiskFile, DiskReader
from chilly_movies.disk.roots import Roots
from chilly_movies.disk.scan import FoundFile
from chilly_movies.disk.threads import on_disk
from chilly_movies.drivers.local.checksum import is_right
from chilly_movies.drivers.local.claim import Claim, decode
from chilly_movies.drivers.local.copying import of_source
from chilly_movies.drivers.local.importing import Import, is_ours
from chilly_movies.drivers.local.inspector import LocalSources
from chilly_movies.errors import FileNotFound, FilmDamaged, InvalidSource, SourceRejected
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
from chilly_movies.names import safe_name
from chilly_movies.runtime.stages import said_by, say

_CHANGED = "The file was changed since its job began."


class LocalDriver:
    """Implements `ports.Driver` for files and folders of the user.

    Args:
        media_root: where films go.
        roots: where they may be taken from.
        resume_store: where claims are kept.
    """

    pool = Pool.DISK

    def __init__(self, media_root: Path, roots: Roots, resume_store: ResumeStore) -> None:
        self._root = media_root
        self._place = Place(media_root)
        self._roots = roots
        self.inspector: SourceInspector | None = LocalSources(roots)
        self._store = resume_store
        self._running: dict[str, Import] = {}

    def identify(self, source: Source) -> SourceFacts:
        """See `ports.Driver`."""
        if source.data is not None:
            raise InvalidSource("What is uploaded is no file of this machine.")
        place = self._roots.find(source.urn)
        if not place.parts:
            raise InvalidSource("Name a file or folder in the folder, not all of it.")
        identities = (f"local:{place.urn}",)
        return SourceFacts(identities, safe_name(place.name), urn=place.urn, needs=0)

    def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """See `ports.Driver`."""
        return said_by(lambda: self._run(job, check=check))

    async def _run(self, job: Job, *, check: bool) -> None:
        if job.moving_to:
            await move(job, self._root)
        elif job.completed_at is None and job.status is not Status.ACTIVE:
            await say(Report(job.progress))  # nothing but the source says what is right
        elif job.completed_at is None:
            await self._import(job)
        else:
            await self._compare(job, check=check)

    async def _import(self, job: Job) -> None:
        await on_disk(self._place.require)
        work = Import(job, self._roots.find(job.source.urn), self._place, self._store)
        self._running[job.key] = work
        try:
            await work.go()
        finally:
            del self._running[job.key]

    async def _compare(self, job: Job, *, check: bool) -> None:
        """Look whether a finished film is what it was; one that is resumed is brought again."""
        why = await on_disk(lambda: self._why_damaged(job))
        size = sum(file.size for file in job.files if file.wanted)
        progress = Progress(99.9, size, size, phase=Phase.CHECKING)
        if why is None and check and job.options.checksum:
            film = self._root / (job.path or "")
            right = await is_right(job.options.checksum, film, progress)
            why = None if right else "it does not have the given checksum any more"
        if why is not None and job.status is Status.ACTIVE:
            await self._bring_again(job)
        elif why is not None:
            raise FilmDamaged(f"The film is not what it was: {why}.")
        await say(Report(Progress(100.0, size, size), path=job.path, complete=True))

    def _why_damaged(self, job: Job) -> str | None:
        self._place.require()
        return self._place.why_missing(job.files) or self._place.why_unlike(job.files)

    async def _bring_again(self, job: Job) -> None:
        """Bring the files of a finished film that are gone or changed to where they were."""
        await on_disk(lambda: self._place.require_room(job.files))
        bad = await on_disk(lambda: [file for file in job.files if self._is_bad(file)])
        wanted = [file for file in job.files if file.wanted]
        work = Import(job, self._roots.find(job.source.urn), self._place, self._store)
        self._running[job.key] = work
        try:
            await work.mend(bad or wanted)
        finally:
            del self._running[job.key]

    def _is_bad(self, file: MediaFile) -> bool:
        path = self._root / file.path
        return file.wanted and not (path.is_file() and path.stat().st_size == file.size)

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`."""
        job = await on_disk(lambda: with_move_finished(job, self._root))
        claim = decode(await self._store.load_resume(job.key))
        delete = partial(self._place.delete, job, job.files, delete_files=delete_files)
        await on_disk(lambda: delete(ours=lambda job: is_ours(claim, job, self._place)))
        await self._store.drop_resume(job.key)

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """See `ports.Driver`; what belongs to nobody is told by the driver that is always there."""
        for job in (job for job in jobs if job.status is Status.CANCELED):
            await self.remove(job, delete_files=False)
        return ()

    async def open_file(
        self, job: Job, index: int, *, bitrate: int | None = None, quiet: bool = False
    ) -> FileReader:
        """See `ports.Driver`; an unfinished film is read from its original, which is all there."""
        file = next((file for file in job.files if file.index == index), None)
        if file is None:
            raise FileNotFound(f"This download has no file {index}.")
        if job.completed_at is not None:
            return await DiskReader.open(self._root, file.path, file.size)
        claim = await self._claim(job)
        if claim is None or index >= len(claim.files):
            raise FileNotFound("The file is not known any more.")
        place = self._roots.find(job.source.urn).child(*claim.files[index].path)
        try:
            opened = DiskFile(await of_source(place.urn, place.open_file))
        except SourceRejected as error:
            raise FileNotFound(str(error)) from None
        reader = _OriginalReader(opened, file.path.rpartition("/")[2], claim.files[index])
        if reader.is_changed:
            await reader.aclose()
            raise FileNotFound(_CHANGED)
        return reader

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """See `ports.Driver`."""
        work, priorities = self._running.get(job.key), job.priorities()
        if job.completed_at is not None:
            done = {file.index: file.size for file in job.files if file.wanted}
        else:
            claim = None if work else decode(await self._store.load_resume(job.key))
            done = work.done if work else dict(claim.done if claim else {})
        return tuple(
            FileStanding(i, done.get(i, 0), priority) for i, priority in priorities.items()
        )

    async def _claim(self, job: Job) -> Claim | None:
        work = self._running.get(job.key)
        known = None if work is None else work.looked_at
        return known or decode(await self._store.load_resume(job.key))

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """See `ports.Driver`."""
        return ()

    async def adjust(self, job: Job) -> None:
        """See `ports.Driver`."""
        if (work := self._running.get(job.key)) is not None:
            work.job = job

    async def aclose(self) -> None:
        """See `ports.Driver`."""


class _OriginalReader(DiskReader):
    """Reads an original, and ends once that is another film: a player would join the two.

    Args:
        file: open.
        name: the file's name.
        found: how it looked when its job began.
    """

    def __init__(self, file: DiskFile, name: str, found: FoundFile) -> None:
        super().__init__(file, name)
        self._found = found

    @property
    def is_changed(self) -> bool:
        """Whether it looks different now."""
        return (self._file.size, self._file.written_at) != (self._found.size, self._found.mtime_ns)

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`."""
        data = await super().read(offset, length)
        if self.is_changed:
            raise FileNotFound(_CHANGED)
        return data
