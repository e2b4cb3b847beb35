"""What of a file or folder goes into a torrent: plain files with names every client can make."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.errors import DiskError, InvalidRequest, PathNotFound
from chilly_movies.jobs.options import MAX_FILES
from chilly_movies.jobs.torrents import TorrentVersion


@dataclass(frozen=True, slots=True)
class ContentFile:
    """One file.

    Attributes:
        path: relative to the folder the content lies in; `/` separates folders.
        size: bytes.
        changed: when it was last written to, as the file system counts.
    """

    path: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Content:
    """All that goes into a torrent, in the order of the paths.

    Attributes:
        folder: what the paths are relative to.
    """

    folder: Path
    files: tuple[ContentFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def refuse_if_changed(self) -> None:
        """Look at all files again.

        Raises:
            DiskError: one is no longer what it was.
        """
        for file in self.files:
            try:
                now = _stamp(self.folder, self.folder / file.path)
            except OSError:
                now = None
            if now != file:
                raise DiskError(f"The file '{file.path}' was changed while it was read.")


def read_content(path: Path, version: TorrentVersion = TorrentVersion.HYBRID) -> Content:
    """Look at a file, or at all files below a folder; hidden ones and symlinks are left out.

    Args:
        path: absolute.
        version: which torrent is to be made of it.

    Raises:
        PathNotFound: nothing lies there.
        InvalidRequest: it cannot be shared: it is empty, unreadable, too many files, or neither
            file nor folder.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise PathNotFound(f"There is nothing at '{shown(path.name)}'.") from None
    except (OSError, ValueError):
        raise _unreadable(path) from None
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise _invalid(f"'{shown(path.name)}' is neither a file nor a folder.")
    # versions with v2 fill files up to whole pieces, which counts as a file each
    only_v1 = version is TorrentVersion.V1
    most, more = (MAX_FILES, "") if only_v1 else (MAX_FILES // 2, ": only v1 takes those")
    files: list[ContentFile] = []
    for file in _walk(path) if stat.S_ISDIR(mode) else [path]:
        try:
            file.open("rb").close()
            files.append(_stamp(path.parent, file))
        except OSError:
            raise _unreadable(file) from None
        if len(files) > most:
            raise _invalid(f"The folder has more than {most:,} files{more}.")
    content = Content(path.parent, tuple(files))
    if not content.size:
        what = "folder" if stat.S_ISDIR(mode) else "file"
        raise _invalid(f"The {what} '{shown(path.name)}' holds nothing to share.")
    return content


def shown(text: str) -> str:
    """A name from the disk as text that can be sent and printed."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _walk(top: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise _unreadable(Path(str(error.filename))) from None

    for folder, subfolders, names in os.walk(top, onerror=fail):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path


def _stamp(folder: Path, path: Path) -> ContentFile:
    facts = path.stat()
    return ContentFile(path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns)


def _unreadable(path: Path) -> InvalidRequest:
    return _invalid(f"'{shown(path.name)}' cannot be read.")


def _invalid(sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, field="path")
