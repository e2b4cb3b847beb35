"""What `chilly get` remembers of each film: a state folder of its own, below the user's.

So a film goes on, and is known to be there, whatever else was or is downloaded beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chilly_movies.cli.checks import Finding
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.sources import Wanted
from chilly_movies.errors import ChillyError, StoreError
from chilly_movies.jobs.disk_guard import amount
from chilly_movies.jobs.models import Job, Source, SourceType, Status
from chilly_movies.names import INCOMPLETE
from chilly_movies.runtime.state_folder import StateFolder

if TYPE_CHECKING:
    from chilly_movies.disk.roots import Roots
    from chilly_movies.settings import Settings

_LOCK_WITHIN = 1.0
"""Seconds in which the lock of a process that was killed becomes free at the latest."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Film:
    """A film that is wanted.

    Attributes:
        id: of its job.
        source: where it comes from.
        state: what is remembered of it.
    """

    id: str
    source: Wanted
    state: StateFolder


def films_of(
    settings: Settings, wanted: Sequence[Wanted], files: Sequence[int] | None
) -> list[Film]:
    """Returns the films that sources stand for, each once, however they name it.

    Args:
        settings: say where films and state lie.
        wanted: the sources.
        files: the files that are wanted of each; another choice is another download.

    Raises:
        InvalidSource: one is broken.
    """
    films: dict[str, Film] = {}
    for one in wanted:
        name, state = _place(settings, _digest(_identity(one)), files)
        old_name, old_state = _place(settings, one.digest, files)
        if old_state.path.exists():  # as earlier versions called it
            name, state = old_name, old_state
        films.setdefault(name, Film(name, one, state))
    return list(films.values())


def _identity(one: Wanted) -> str:
    """What is the same however a source is written.

    Raises:
        InvalidSource: it is broken.
    """
    from chilly_movies.drivers.torrent.engine.params import identify

    if one.is_path:
        return f"path:{one.urn}"
    return min(identify(Source(SourceType.TORRENT, one.urn or "", one.torrent)).identities)


def roots_of(settings: Settings, films: Sequence[Film]) -> Roots:
    """The folders that films may be taken from: the user's, and those of the paths that were typed.

    Args:
        settings: say where films and state lie.
        films: those that are wanted; who typed a path may read what lies there.
    """
    from chilly_movies.disk.roots import Roots, read_roots

    paths = (Path(one.source.urn or "") for one in films if one.source.is_path)
    typed = {f"typed-{_digest(str(p.parent))[:16]}": p.parent for p in paths if p.is_absolute()}
    ours = (settings.media_root.absolute(), *(film.state.path for film in films))
    return Roots({**read_roots(settings.disk.roots), **typed}, ours)


class FilmsInUse:
    """Keeps other commands off the films of this one.

    Args:
        films: the films.
        media_root: where they go; each record remembers it.
    """

    def __init__(self, films: Sequence[Film], media_root: Path) -> None:
        self._films = films
        self._root = media_root

    async def begin(self) -> None:
        """Take all of them, or none. Idempotent.

        Raises:
            CommandFailed: another command has one.
        """
        from chilly_movies.disk.volume import MediaVolume

        for film in self._films:
            try:
                await film.state.lock_within(_LOCK_WITHIN)
            except StoreError as error:
                await self.end()
                if not film.state.is_locked():
                    raise
                sentence = f"Another 'chilly get' downloads {film.source.text} already."
                raise CommandFailed(sentence, Exit.USAGE) from error
            await MediaVolume(self._root, film.state).measure()

    async def end(self) -> None:
        """Give them back. Idempotent."""
        for film in self._films:
            film.state.release()


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of a film.

    Attributes:
        state: the folder that it is in.
        media_root: where its film goes, None if that is not known.
        jobs: its job; several if an older version made it for a set of films.
    """

    state: StateFolder
    media_root: Path | None
    jobs: tuple[Job, ...]


def records_of(state: StateFolder) -> Iterator[Record]:
    """Yields what `chilly get` remembers below a state folder; what cannot be read is left out."""
    from chilly_movies.disk.volume import MediaVolume
    from chilly_movies.storage.sqlite.inspection import survey

    folder = state.of_command("")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        own = StateFolder(path)
        try:
            jobs = survey(own.database).jobs
        except ChillyError:
            jobs = ()
        yield Record(own, MediaVolume(Path(), own).remembered, jobs)


def check_records(records: Sequence[Record]) -> Iterator[Finding]:
    """Checks what `chilly get` left behind: unfinished films, and what it remembers of others."""
    left = [
        (record, job)
        for record in records
        for job in record.jobs
        if job.status not in (Status.COMPLETED, Status.CANCELED)
    ]
    for record, job in left[:_SHOWN]:
        folder = record.state.path
        if record.media_root is not None:
            folder = record.media_root / INCOMPLETE / job.key
        yield Finding(
            "get",
            "remark",
            f"'chilly get' has {job.progress.percent:.1f} % of '{job.name or job.id}' in {folder}.",
            f"The same command goes on. To give it up delete {folder} and {record.state.path}.",
        )
    if len(left) > _SHOWN:
        yield Finding("get", "remark", f"{len(left) - _SHOWN} more films of it are unfinished.")
    if records:
        done = sum(job.status is Status.COMPLETED for record in records for job in record.jobs)
        size = sum(path.stat().st_size for one in records for path in one.state.path.iterdir())
        what = f"'chilly get' remembers {done} finished films ({amount(size)} in"
        yield Finding("get", "ok", f"{what} {records[0].state.path.parent}).")


def _place(settings: Settings, digest: str, files: Sequence[int] | None) -> tuple[str, StateFolder]:
    """The job's id and the state folder of the film with this digest."""
    parts = [str(settings.media_root.absolute()), digest]
    parts += [f"files {','.join(map(str, files))}"] if files is not None else []
    state = StateFolder(settings.state_dir).of_command(_digest("\0".join(parts))[:16])
    return digest[:16], StateFolder(state)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
