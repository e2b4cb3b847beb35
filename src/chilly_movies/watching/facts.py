"""What players want to know of a job's films: what is inside, and whether browsers play it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Protocol

from chilly_movies.errors import ChillyError
from chilly_movies.jobs.models import Job, MediaFile, Status, is_video
from chilly_movies.jobs.ports import FileReader
from chilly_movies.watching.ports import MediaProbe
from chilly_movies.watching.tracks import MediaFacts, Probed

AUDIO_ENDINGS = frozenset({
    ".aac", ".ac3", ".dts", ".flac", ".m4a", ".mka", ".mp3", ".oga", ".ogg", ".opus", ".wav",
    ".wma",
})  # fmt: skip
_KEPT = 2000
"""Facts in memory at most, about 1 KB each."""


class FactsState(StrEnum):
    """Whether the facts of a file are known."""

    KNOWN = "known"
    WAITING = "waiting"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A film file and what is known of its inside."""

    file: MediaFile
    state: FactsState
    facts: MediaFacts | None = None


class JobFiles(Protocol):
    """The part of a `Downloader` that is needed here."""

    async def status(self, job_id: str) -> Job:
        """The job as it is now."""
        ...

    def open_file(
        self, job_id: str, index: int, *, quiet: bool
    ) -> AbstractAsyncContextManager[FileReader]:
        """Read a file of a job; a quiet reader starts nothing and gets only what has arrived."""
        ...


def ending_of(file: MediaFile) -> str:
    """`.mkv` of a film: the last part of its name, in lower case."""
    return PurePosixPath(file.path).suffix.lower()


def is_audio(file: MediaFile) -> bool:
    """Whether its name says that it is music."""
    return ending_of(file) in AUDIO_ENDINGS


def is_playable(file: MediaFile) -> bool:
    """Whether its name says that it is a film or music."""
    return is_video(file.path) or is_audio(file)


class MediaFactsCache:
    """Knows what is inside the files of all jobs; looks once, and again only if that may help.

    Args:
        job_files: where the jobs and their bytes are.
        probe: who looks.
    """

    def __init__(self, job_files: JobFiles, probe: MediaProbe) -> None:
        self._job_files = job_files
        self._probe = probe
        self._found: OrderedDict[tuple[str, int], Probed] = OrderedDict()
        self._probes: dict[tuple[str, int], asyncio.Task[Probed]] = {}

    async def of_job(self, job_id: str, *, patience: float = 1.0) -> Sequence[FileFacts]:
        """The facts of a job's wanted films and music, in file order.

        Args:
            job_id: which.
            patience: seconds to wait for files that have to be looked into; they go on being
                looked into afterwards.
        """
        job = await self._job_files.status(job_id)
        files = [file for file in job.files if file.wanted and is_playable(file)]
        probes = [self._probe_soon(job, file.index) for file in files]
        if probes:
            await asyncio.wait(probes, timeout=patience)
        told = []
        for file in files:
            probed = self._found.get((job.key, file.index))
            if probed is None or (probed.facts is None and probed.missing is not None):
                told.append(FileFacts(file, FactsState.WAITING))
            else:
                state = FactsState.KNOWN if probed.facts else FactsState.UNREADABLE
                told.append(FileFacts(file, state, probed.facts))
        return told

    async def of_file(self, job_id: str, index: int) -> MediaFacts | None:
        """The facts of one file as far as they can be known now; None if they cannot."""
        job = await self._job_files.status(job_id)
        probed = await asyncio.shield(self._probe_soon(job, index))
        return probed.facts

    def known(self, job: Job, index: int) -> MediaFacts | None:
        """The facts if somebody asked before; at once."""
        probed = self._found.get((job.key, index))
        return probed.facts if probed else None

    def glance(self, job: Job, index: int) -> MediaFacts | None:
        """The facts if they are known; if not, somebody looks, and the next caller gets them."""
        known = self.known(job, index)
        if known is None:
            self._probe_soon(job, index)
        return known

    async def aclose(self) -> None:
        """End all probes."""
        for probe in (probes := list(self._probes.values())):
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    def _probe_soon(self, job: Job, index: int) -> asyncio.Task[Probed]:
        """The probe of a file that runs already, or a new one; it outlives who asked."""
        key = (job.key, index)
        if key not in self._probes:
            self._probes[key] = asyncio.create_task(self._probe_once(job, index))
            self._probes[key].add_done_callback(lambda _done: self._probes.pop(key, None))
        return self._probes[key]

    async def _probe_once(self, job: Job, index: int) -> Probed:
        key = (job.key, index)
        before = self._found.get(key)
        if before is not None and before.missing is None:
            return before
        if job.status not in (Status.ACTIVE, Status.COMPLETED):
            return before or Probed(None, 0)  # opening its file would start it, or be refused
        try:
            async with self._job_files.open_file(job.id, index, quiet=True) as reader:
                # a probe costs a process: only if the byte that was missing is there now
                if reader.available(before.missing if before and before.missing else 0) <= 0:
                    return before or Probed(None, 0)
                probed = await self._probe.probe(reader)
        except ChillyError:  # the job was removed, or its disk fails: others will say so
            return before or Probed(None, 0)
        self._found[key] = probed
        self._found.move_to_end(key)
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)
        return probed
