"""The folders of the user that films may be taken from, each with a name.

A place in one of them is written `<root>/<relative path>`, and shown, stored and logged in this
form only, so that nobody is told where on the disk it lies. It is opened folder by folder from the
root's descriptor, and no symbolic link below the root is followed: whoever may write to a folder
could lead us out of it otherwise.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chilly_movies.errors import InvalidSource, SourceRejected, SourceUnavailable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_PATH = 4096
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINK = (errno.ELOOP, errno.ENOTDIR)
"""What systems answer who opens a symbolic link and follows none."""


def read_roots(texts: Iterable[str]) -> dict[str, Path]:
    """The folder of each root of `CHILLY_ROOTS`, by its name.

    Args:
        texts: `name=path` each; `~` is the home folder.

    Raises:
        ValueError: one is malformed, or a name is there twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, sign, path = (part.strip() for part in text.partition("="))
        if not sign or not _NAME.fullmatch(name) or "\0" in path:
            raise ValueError("must look like films=/srv/films,drop=~/drop")
        if name in found:
            raise ValueError(f"the name {name} is there twice")
        try:
            found[name] = Path(path).expanduser()
        except RuntimeError:
            raise ValueError(f"the home folder of {name} is not known") from None
        if not found[name].is_absolute():
            raise ValueError(f"the path of {name} must begin with / or ~")
    return found


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of the user.

    Attributes:
        name: what it is called.
        folder: where it is, as the user wrote it.
        real: the same with every symbolic link on the way to it followed.
    """

    name: str
    folder: Path
    real: Path


@dataclass(frozen=True, slots=True)
class RootedPath:
    """A place in a root: a file, a folder, or nothing yet.

    Attributes:
        root: the root it is in.
        parts: the names that lead from the root to it; none = the root itself.
    """

    root: Root
    parts: tuple[str, ...]

    @property
    def urn(self) -> str:
        """How it is written: `<root>/<relative path>`."""
        return "/".join((self.root.name, *self.parts))

    @property
    def name(self) -> str:
        """Its last name."""
        return self.parts[-1] if self.parts else self.root.name

    def child(self, *names: str) -> RootedPath:
        """What has these names below it."""
        return RootedPath(self.root, (*self.parts, *names))

    def open_folder(self) -> int:
        """A descriptor of it, a folder. Blocks; the caller closes it.

        Raises:
            FileNotFoundError: it is not there.
            SourceRejected: something on the way is no folder, a symbolic link say.
            SourceUnavailable: the root itself is not there.
            OSError: the system refused.
        """
        try:
            handle = os.open(self.root.folder, _FOLDER)
        except (FileNotFoundError, NotADirectoryError):
            sentence = f"The folder '{self.root.name}' of CHILLY_ROOTS is not there."
            raise SourceUnavailable(sentence) from None
        for name in self.parts:
            try:
                inner = _opened(handle, name, _FOLDER)
            finally:
                os.close(handle)
            handle = inner
        return handle

    def open_parent(self) -> int:
        """A descriptor of the folder it is in; like `open_folder`."""
        return RootedPath(self.root, self.parts[:-1]).open_folder()

    def open_file(self) -> int:
        """A descriptor of it, an ordinary file, for reading; like `open_folder`.

        Raises:
            SourceRejected: it is a symbolic link or no ordinary file.
        """
        parent = self.open_parent()
        try:  # a pipe would be waited for
            handle = _opened(parent, self.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        finally:
            os.close(parent)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise SourceRejected(f"'{self.urn}' is no ordinary file.")
        return handle

    def stat(self) -> os.stat_result:
        """What the system says of it, a symbolic link included; like `open_folder`."""
        parent = self.open_parent()
        try:
            return os.stat(self.name if self.parts else ".", dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)


def _opened(parent: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in _LINK:
            raise
        sentence = f"'{name}' is a symbolic link or no folder, and links are not followed; "
        raise SourceRejected(f"{sentence}name the place that it leads to.") from None


class Roots:
    """All folders of the user that films may be taken from.

    Args:
        folders: each by its name.
        kept_out: the media folder and the state folder: what we keep there is no source.
    """

    def __init__(self, folders: Mapping[str, Path], kept_out: Iterable[Path] = ()) -> None:
        self._roots = {name: Root(name, path, path.resolve()) for name, path in folders.items()}
        self._kept_out = tuple(path.resolve() for path in kept_out)

    def find(self, text: str) -> RootedPath:
        """The place that a text names: an absolute path, or `<root>/<relative path>`. No I/O.

        One that several roots hold is of the innermost.

        Raises:
            InvalidSource: it lies in no root, leads out of one, or is ours.
        """
        if not text or len(text) > _MAX_PATH or "\0" in text:
            raise InvalidSource(f"A path must be text of 1 to {_MAX_PATH} characters.")
        path = PurePosixPath(text)
        if ".." in path.parts:
            raise InvalidSource("A path must not hold '..'.")
        if not path.is_absolute():
            root = self._roots.get(path.parts[0]) if path.parts else None
            if root is None:
                raise self._outside()
            path = PurePosixPath(root.folder, *path.parts[1:])
        place = self._innermost(path)
        self._refuse_ours(place)
        return place

    def _innermost(self, path: PurePosixPath) -> RootedPath:
        """The place in the root whose folder is the longest part of an absolute path."""
        found = [
            RootedPath(root, path.relative_to(folder).parts)
            for root in self._roots.values()
            for folder in {root.folder, root.real}
            if path.is_relative_to(folder)
        ]
        if not found:
            raise self._outside()
        return min(found, key=lambda place: len(place.parts))

    def _refuse_ours(self, place: RootedPath) -> None:
        real = place.root.real.joinpath(*place.parts)
        for ours in self._kept_out:
            if real.is_relative_to(ours) or ours.is_relative_to(real):
                raise InvalidSource(
                    "Nothing can be taken from the media folder or the state folder, nor a folder "
                    "that one of them lies in."
                )

    def _outside(self) -> InvalidSource:
        names = ", ".join(self._roots)
        known = f"in none of the folders of CHILLY_ROOTS ({names})" if names else "in no root"
        return InvalidSource(
            f"This path lies {known}; the setting CHILLY_ROOTS names the folders that films may be "
            "taken from: name=path, commas between them."
        )
