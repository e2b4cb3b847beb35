"""Where films lie: unfinished ones under `.incomplete/<job key>/`, finished ones beside it.

Only names made by `names.safe_name` reach the disk. A film is
published by one rename that never replaces what is there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from chilly_movies.disk.plain import harmless
from chilly_movies.names import INCOMPLETE, numbered

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def staging_folder(media_root: Path, key: str) -> Path:
    """The folder of a job's unfinished data."""
    return media_root / INCOMPLETE / key


def free_name(media_root: Path, name: str) -> str:
    """The name, or its first numbered variant that nothing in the media root has."""
    return next(n for n in numbered(name) if not os.path.lexists(media_root / n))


def publish(staged: Path, target: Path) -> None:
    """Rename the staged file or folder to its final place and flush the folder entry.

    Raises:
        FileExistsError: something is there already; nothing was changed.
        OSError: the file system refused.
    """
    rename_no_replace(staged, target)
    flush_folder(target.parent)


def rename_no_replace(
    source: Path | str,
    target: Path | str,
    source_folder: int = _AT_FDCWD,
    target_folder: int = _AT_FDCWD,
) -> None:
    """Linux renameat2(2); where the file system lacks it, claim the name first.

    Args:
        source: the file or folder.
        target: its new name.
        source_folder: a descriptor of the folder that the one is relative to.
        target_folder: the same of the other.

    Raises:
        FileExistsError: something is there already; nothing was changed.
        OSError: the file system refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, "renameat2", None)
    if rename is not None:
        names = source_folder, os.fsencode(source), target_folder, os.fsencode(target)
        if rename(*names, _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(code, os.strerror(code), str(target))
    at = [None if folder == _AT_FDCWD else folder for folder in (source_folder, target_folder)]
    if stat.S_ISDIR(os.stat(source, dir_fd=at[0], follow_symlinks=False).st_mode):
        os.mkdir(target, dir_fd=at[1])  # fails if it is there; a folder goes onto an empty one
        undo = os.rmdir
    else:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=at[1]))
        undo = os.unlink
    try:
        os.replace(source, target, src_dir_fd=at[0], dst_dir_fd=at[1])
    except OSError:
        undo(target, dir_fd=at[1])  # ours: made above, and empty
        raise


def flush_folder(folder: Path) -> None:
    """Make the folder's entries survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(top: Path, *, shared: bool = False) -> None:
    """Make a file, or all files and folders under it, survive a power cut, and nothing but files.

    Args:
        top: the file or folder.
        shared: its files are the user's, too, under other names: nothing of them is changed.

    Raises:
        NotPlainError: there is a link in it, which must not be published.
    """
    harmless(top, shared=shared)
    if not top.is_dir():
        _flush_file(top)
        return

    def fail(error: OSError) -> None:
        """A folder that cannot be listed would be left out without a word."""
        raise error

    for folder, _, names in os.walk(top, onerror=fail):
        for name in names:
            _flush_file(Path(folder, name))
        flush_folder(Path(folder))


def _flush_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fdatasync(handle)
    finally:
        os.close(handle)


def cut_to_size(sizes: Iterable[tuple[Path, int]]) -> None:
    """Cut files that are longer than they should be; shorter and missing ones stay as they are."""
    for path, size in sizes:
        if path.is_file() and not path.is_symlink() and path.stat().st_size > size:
            os.truncate(path, size)


def drop_empty(paths: Iterable[Path]) -> None:
    """Delete files that were given their size and no byte: those that were unchosen early."""
    for path in paths:
        if path.is_file() and not path.is_symlink() and path.stat().st_blocks == 0:
            path.unlink()


def delete_tree(path: Path) -> None:
    """Delete a file or folder of ours if it is there. Follows no symlinks."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        path.unlink(missing_ok=True)


def delete_files(media_root: Path, paths: Iterable[str]) -> None:
    """Delete published files and the folders that are empty afterwards.

    Files that others put into a film's folder stay, and so does the folder then.
    """
    folders: set[Path] = set()
    root = media_root.resolve()
    for path in paths:
        target = media_root / path
        parent = target.parent.resolve()
        if not parent.is_relative_to(root):
            continue  # a symlink leads out of the media root: not ours to delete
        _unlink_below(root, parent.relative_to(root).parts, target.name)
        folders.update(media_root / parent for parent in PurePosixPath(path).parents)
    for folder in sorted(folders - {media_root}, key=lambda f: len(f.parts), reverse=True):
        try:
            folder.rmdir()
        except OSError:
            continue  # not empty, or gone


def _unlink_below(root: Path, folders: Iterable[str], name: str) -> None:
    """Delete a file if it is there. No folder on the way can be swapped for a link meanwhile."""
    try:
        handle = os.open(root, _FOLDER)
    except FileNotFoundError:
        return
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = inner
        os.unlink(name, dir_fd=handle)
    except (FileNotFoundError, NotADirectoryError):
        return  # gone, or something else by now: not ours
    finally:
        os.close(handle)
