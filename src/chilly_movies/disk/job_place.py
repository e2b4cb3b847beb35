"""A job's place on the disk: the media root, its staging folder, and where its film lies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from chilly_movies.disk import files as disk
from chilly_movies.errors import DiskError
from chilly_movies.jobs.models import Job, MediaFile, Status
from chilly_movies.names import INCOMPLETE


class Place:
    """The media root of one driver. All methods block, and are called in threads.

    Args:
        root: the media root; it is made if it is not there at the first use, and never again.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._was_mount: bool | None = None

    def staging(self, key: str) -> Path:
        """The folder of a job's unfinished data."""
        return disk.staging_folder(self.root, key)

    def linked(self, key: str) -> Path:
        """The folder in it for second names of files that are the user's: no driver writes there.

        All others below the staging folder have one name, and nobody else has them.
        """
        return self.staging(key) / ".linked"

    def require(self) -> None:
        """Make sure that the media root is there.

        A file system that is not mounted any more leaves an empty folder behind, and nothing may
        be written there.

        Raises:
            DiskError: it is not.
        """
        if self._was_mount is None:
            self.root.mkdir(parents=True, exist_ok=True)
            self._was_mount = os.path.ismount(self.root)
        if not self.is_there():
            raise DiskError("The media folder is not there; the job goes on when it is back.")

    def is_there(self) -> bool:
        """Whether the media root is what it was at the first use."""
        return self.root.is_dir() and (not self._was_mount or os.path.ismount(self.root))

    def make_staging(self, key: str) -> None:
        """Make the job's staging folder if it is missing.

        Raises:
            DiskError: the media root is not there.
            OSError: the disk refused.
        """
        self.require()
        folder = self.staging(key)
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)

    def clear_staging(self, key: str) -> None:
        """Remove the staging folder if nothing is in it."""
        for folder in (self.linked(key), self.staging(key)):
            with suppress(OSError):  # pieces of files that were left out lie there, or it is gone
                folder.rmdir()

    def has_staged(self, key: str) -> bool:
        """Whether unfinished data is there; hidden files are the engine's own."""
        folder = self.staging(key)
        linked = self.linked(key)
        return (folder.is_dir() and any(e.name[:1] != "." for e in folder.iterdir())) or (
            linked.is_dir() and any(linked.iterdir())
        )

    def was_published(self, job: Job) -> bool:
        """Whether something lies where the job was about to publish, and nothing is staged."""
        if job.path is None or self.has_staged(job.key):
            return False
        return (self.root / job.path).exists()

    def why_missing(self, files: Iterable[MediaFile]) -> str | None:
        """One clause on what is not there of a published film, None if all is."""
        if not self.is_there():
            return "the media folder is not there"
        gone = (f for f in files if f.wanted and not (self.root / f.path).is_file())
        first = next(gone, None)
        return None if first is None else f"the file '{Path(first.path).name}' is not there"

    def why_gone(self, files: Iterable[MediaFile]) -> str | None:
        """The same, but None, too, while the media root is away or comes back just now."""
        there = self.is_there()
        why = self.why_missing(files)
        return why if there and self.is_there() else None

    def why_unlike(self, files: Iterable[MediaFile]) -> str | None:
        """One clause on which file has another size than it should, None if none has."""
        for file in files:
            if file.wanted and (self.root / file.path).stat().st_size != file.size:
                return f"the file '{Path(file.path).name}' has another size"
        return None

    def require_room(self, files: Iterable[MediaFile]) -> None:
        """Make sure that nothing else lies where a published film is to be written again.

        The engine writes through a link, also to a disk that is not mounted any more. A folder
        that is a link and leads somewhere is the user's own way of having the film there.

        Raises:
            DiskError: something does.
        """
        for file in files:
            path = self.root / file.path
            for folder in [*path.parents][: file.path.count("/")]:
                if os.path.lexists(folder) and not folder.is_dir():
                    raise _in_the_way(folder)
            if file.wanted and os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
                raise _in_the_way(path)

    def paths(self, files: Iterable[MediaFile]) -> dict[int, Path]:
        """Where published files lie, by file index."""
        return {file.index: self.root / file.path for file in files}

    def delete(
        self,
        job: Job,
        files: tuple[MediaFile, ...],
        *,
        delete_files: bool,
        ours: Callable[[Job], bool],
    ) -> None:
        """Delete a job's unfinished data, and its film if that is wanted.

        Args:
            job: the job.
            files: its files, where they lie in the media root.
            delete_files: delete a finished film, too.
            ours: whether what lies at the job's path is the film that it published. A film that
                was published a moment before the row could say so is unfinished data, too; it
                must be told from one that somebody else put there.
        """
        finished = job.completed_at is not None or job.adopted
        if job.path is not None:
            unsaid = job.status is not Status.COMPLETED and not finished
            is_ours = unsaid and not self.has_staged(job.key) and ours(job)
            if is_ours or (delete_files and finished):
                disk.delete_files(self.root, [file.path for file in files if file.wanted])
        disk.delete_tree(self.staging(job.key))

    def staged_keys(self) -> Iterator[str]:
        """The names of all staging folders there are."""
        folder = self.root / INCOMPLETE
        if folder.is_dir():
            yield from (e.name for e in folder.iterdir() if e.is_dir() and e.name[:1] != ".")


def _in_the_way(path: Path) -> DiskError:
    what = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "something else"
    return DiskError(
        f"Where the film is to lie, '{path.name}' is {what}, so nothing is written; move it away, "
        "and the job goes on."
    )
