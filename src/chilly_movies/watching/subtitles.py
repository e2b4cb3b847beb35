"""A job's subtitles: files that lie beside its films, and text tracks inside them."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from chilly_movies.errors import NotArrived, SubtitleNotFound, SubtitleUnreadable
from chilly_movies.jobs.models import Job, MediaFile, is_video
from chilly_movies.jobs.ports import FileReader
from chilly_movies.watching.facts import JobFiles, MediaFactsCache, ending_of
from chilly_movies.watching.languages import label_of, language_of
from chilly_movies.watching.subtitle_port import SubtitleConverter
from chilly_movies.watching.tracks import Cues, MediaFacts

ENDINGS = frozenset({".srt", ".ass", ".ssa", ".vtt", ".sub"})
_TEXT_CODECS = frozenset({"SRT", "ASS", "SSA", "WebVTT", "Timed Text"})
_EXTRACTABLE = frozenset({"Matroska", "WebM", "MP4", "QuickTime"})
_MAX_SIDECAR = 8 * 1024 * 1024
_NUMBER = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_KEPT = 32
_PATIENCE = 10.0


class SubtitleSource(StrEnum):
    """Where subtitles come from."""

    SIDECAR = "sidecar"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Subtitle:
    """One choice in a subtitle menu.

    Attributes:
        n: what to ask for: the file index of a sidecar, file index and track number of a track.
        label: for people.
        language: a BCP 47 tag, None if unknown.
        file: index of the file it is read from.
        film: index of the film it belongs to, None if that is not clear.
        format: `srt` or `ass` say.
    """

    n: str
    label: str
    language: str | None
    source: SubtitleSource
    file: int
    film: int | None
    format: str
    forced: bool = False
    sdh: bool = False


class Subtitles:
    """Lists subtitles and hands them out as WebVTT.

    Args:
        job_files: where the jobs and their bytes are.
        facts: who knows what is inside films.
        converter: who makes WebVTT.
    """

    def __init__(
        self, job_files: JobFiles, facts: MediaFactsCache, converter: SubtitleConverter
    ) -> None:
        self._job_files = job_files
        self._facts = facts
        self._converter = converter
        self._made: OrderedDict[tuple[str, str], Cues] = OrderedDict()

    async def of_job(self, job_id: str) -> Sequence[Subtitle]:
        """All subtitles known now; those inside films join when the films' heads have arrived."""
        job = await self._job_files.status(job_id)
        known = await self._facts.of_job(job_id)
        inside = [one for told in known if told.facts for one in _tracks(told.file, told.facts)]
        return [*_sidecars(job), *inside]

    async def cues(self, job_id: str, n: str) -> Cues:
        """One of them as WebVTT.

        A sidecar is waited for, some seconds; of a track one gets what has arrived.

        Raises:
            SubtitleNotFound: there is none of this number, or nothing can be made of it.
            NotArrived: it is still being downloaded.
        """
        job = await self._job_files.status(job_id)
        key = (job.key, n)
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        match = _NUMBER.fullmatch(n)
        track = int(match[2]) if match and match[2] else None
        if match is None:
            raise _not_found(job_id, n)
        index = int(match[1])
        cues = await (
            self._sidecar(job, index) if track is None else self._embedded(job, index, track)
        )
        if cues.complete:
            self._made[key] = cues
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return cues

    async def _sidecar(self, job: Job, index: int) -> Cues:
        one = next((one for one in _sidecars(job) if one.file == index), None)
        if one is None:
            raise _not_found(job.id, str(index))
        film = None if one.film is None else self._facts.known(job, one.film)
        fps = film.video.frame_rate if film and film.video else None
        async with self._job_files.open_file(job.id, index, quiet=not job.is_running) as reader:
            if reader.size > _MAX_SIDECAR:
                raise SubtitleUnreadable("This file is too large for subtitles.")
            whole = await _whole(reader, waits=job.is_running)
        return await self._converter.sidecar(
            whole, ending=f".{one.format}", language=one.language, fps=fps
        )

    async def _embedded(self, job: Job, index: int, track: int) -> Cues:
        wanted = any(file.index == index and file.wanted for file in job.files)
        facts = await self._facts.of_file(job.id, index) if wanted else None
        if facts is None or not any(text.number == track for text in facts.subtitles):
            raise _not_found(job.id, f"{index}-{track}")
        async with self._job_files.open_file(job.id, index, quiet=True) as reader:
            return await self._converter.embedded(reader, track)


class _Bytes:
    """A file that is in memory; implements `ports.FileReader`."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self.size = len(data)
        self.name = name

    async def read(self, offset: int, length: int) -> bytes:
        """See `ports.FileReader`."""
        return self._data[offset : offset + length]

    def available(self, offset: int) -> int:
        """See `ports.FileReader`."""
        return max(0, self.size - offset)

    async def aclose(self) -> None:
        """Nothing is held."""


async def _whole(reader: FileReader, *, waits: bool) -> FileReader:
    """All of a small file, waited for if it may still arrive."""
    data = bytearray()
    there = 1
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while there and len(data) < reader.size:
                if waits or reader.available(len(data)) > 0:
                    part = await reader.read(len(data), reader.size - len(data))
                    data += part
                    there = len(part)
                else:
                    there = 0
    if len(data) < reader.size:
        raise NotArrived("These subtitles have not arrived yet.")
    return _Bytes(bytes(data), reader.name)


def _not_found(job_id: str, n: str) -> SubtitleNotFound:
    return SubtitleNotFound(f"Job '{job_id}' has no subtitles '{n}'.")


def _sidecars(job: Job) -> Iterator[Subtitle]:
    films = {file.path: file for file in job.files if is_video(file.path)}
    pictures = {_bare(file) for file in job.files if ending_of(file) == ".idx"}
    for file in job.files:
        if not file.wanted or ending_of(file) not in ENDINGS:
            continue
        if ending_of(file) == ".sub" and _bare(file) in pictures:
            continue  # VobSub: pictures, not text
        path = film_beside(file.path, list(films))
        film = films.get(path or "")
        named = language_of(file.path, path)
        label = label_of(
            named.tag, forced=named.forced, sdh=named.sdh, title=PurePosixPath(file.path).name
        )
        yield Subtitle(
            str(file.index),
            label,
            named.tag,
            SubtitleSource.SIDECAR,
            file.index,
            film.index if film else None,
            ending_of(file)[1:],
            named.forced,
            named.sdh,
        )


def _bare(file: MediaFile) -> str:
    return str(PurePosixPath(file.path).with_suffix("")).casefold()


def film_beside(sidecar: str, films: Sequence[str]) -> str | None:
    """The path of the film that a sidecar belongs to, None if that is not clear.

    That is the film whose name the sidecar's begins with, or whose name its folder has; or else
    the only one.
    """
    path = PurePosixPath(sidecar)
    own, folder = path.stem.casefold(), path.parent.name.casefold()
    stems = [(PurePosixPath(film).stem.casefold(), film) for film in films]
    fitting = [(stem, film) for stem, film in stems if own.startswith(stem) or folder == stem]
    if fitting:
        return max(fitting, key=lambda pair: len(pair[0]))[1]
    return films[0] if len(films) == 1 else None


def _tracks(file: MediaFile, facts: MediaFacts) -> Iterator[Subtitle]:
    """The text tracks of a film that can be taken out of it."""
    if facts.container not in _EXTRACTABLE:
        return
    for text in facts.subtitles:
        if text.codec in _TEXT_CODECS:
            sdh = "sdh" in (text.title or "").casefold()
            label = label_of(text.language, forced=text.forced, sdh=sdh, title=text.title or "")
            yield Subtitle(
                f"{file.index}-{text.number}",
                label,
                text.language,
                SubtitleSource.EMBEDDED,
                file.index,
                file.index,
                text.codec.casefold(),
                text.forced,
                sdh,
            )
