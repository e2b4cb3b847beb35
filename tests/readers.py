"""Files of which only parts have arrived, as a driver's reader shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from chilly_movies.errors import JobNotFound
from chilly_movies.jobs.models import Job, MediaFile, Status
from chilly_movies.media.mediainfo import MediaInfoProbe
from chilly_movies.media.subtitles import SandboxConverter
from chilly_movies.watching.facts import FileFacts, MediaFactsCache
from chilly_movies.watching.subtitles import Subtitles
from tests.doubles import make_job


class PartReader:
    """Implements `ports.FileReader` over bytes.

    Args:
        data: the whole file.
        *there: what has arrived, as ranges; none = all.
    """

    def __init__(self, data: bytes, *there: range, name: str = "film.mkv") -> None:
        self.size = len(data)
        self.name = name
        self._data = data
        self.there = list(there or (range(self.size),))
        self.asked: list[tuple[int, int]] = []
        self.closed = False

    async def read(self, offset: int, length: int) -> bytes:
        """What has arrived; asking for anything else is a mistake here."""
        assert length <= self.available(offset) or not self.available(offset)
        assert offset >= self.size or self.available(offset), "would wait"
        self.asked.append((offset, length))
        return self._data[offset : offset + length]

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        return next((part.stop - offset for part in self.there if offset in part), 0)

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True


class FakeJobFiles:
    """Implements `watching.facts.JobFiles`: one job whose files are given by name."""

    def __init__(self, files: Mapping[str, PartReader | bytes | Path], job_id: str = "a") -> None:
        self.readers = [_reader(name, what) for name, what in files.items()]
        self.job: Job = make_job(
            job_id,
            Status.COMPLETED,
            files=tuple(
                MediaFile(index, name, self.readers[index].size) for index, name in enumerate(files)
            ),
        )
        self.opened = 0

    def become(self, status: Status) -> None:
        """Give the job another status."""
        self.job = replace(self.job, status=status)

    async def status(self, job_id: str) -> Job:
        """The one job."""
        if job_id != self.job.id:
            raise JobNotFound(f"There is no job '{job_id}'.")
        return self.job

    @asynccontextmanager
    async def open_file(self, job_id: str, index: int, *, quiet: bool) -> AsyncIterator[PartReader]:
        """The file's reader, the same each time."""
        await self.status(job_id)
        self.opened += 1
        yield self.readers[index]


def _reader(name: str, what: PartReader | bytes | Path) -> PartReader:
    if isinstance(what, PartReader):
        return what
    return PartReader(what.read_bytes() if isinstance(what, Path) else what, name=name)


class _PatientFacts(MediaFactsCache):
    """Facts that are waited for: a listing for users is without those that take over a second."""

    async def of_job(self, job_id: str, *, patience: float = 60.0) -> Sequence[FileFacts]:
        return await super().of_job(job_id, patience=patience)


def subtitles_of(job_files: FakeJobFiles) -> Subtitles:
    return Subtitles(job_files, _PatientFacts(job_files, MediaInfoProbe()), SandboxConverter())
