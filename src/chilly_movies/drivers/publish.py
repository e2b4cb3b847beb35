"""Where films lie: unfinished ones under `.incomplete/<job key>/`, finished ones beside it.

Names from a torrent are hostile text; only names made by `safe_name` reach the disk. A film is
published by one rename that never replaces what is there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from chilly_movies.drivers.plain import harmless

INCOMPLETE = ".incomplete"
_MAX_BYTES = 200
"""Longest name we make, in bytes of UTF-8: 255 is the usual limit, players add suffixes."""
_RESERVED = {"con", "prn", "aux", "nul", *(f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10))}
_FORBIDDEN = str.maketrans(dict.fromkeys('<>:"/\\|?*', "_"))
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def staging_folder(media_root: Path, key: str) -> Path:
    """The folder of a job's unfinished data."""
    return media_root / INCOMPLETE / key


def safe_name(name: str) -> str:
    """One path component that is harmless on every file system.

    Control and bidi characters go, separators and Windows' special characters become `_`, reserved
    device names get a `_`, no leading dot, no trailing dot or space, at most 200 bytes.
    """
    text = name.encode("utf-8", "replace").decode()
    if not (text.isascii() and text.isprintable()):  # most names are, and there may be thousands
        kept = (c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
        text = unicodedata.normalize("NFC", "".join(kept))
    text = text.translate(_FORBIDDEN).strip()
    if text.startswith("."):
        text = "_" + text[1:]
    if _is_reserved(text):
        text = "_" + text
    text = _shorten(text).rstrip(". ")
    return text or "unnamed"


def _is_reserved(name: str) -> bool:
    return name.split(".")[0].rstrip().lower() in _RESERVED


def _shorten(name: str) -> str:
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > 16:
        stem, dot, suffix = name, "", ""
    room = _MAX_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip() + dot + suffix


def safe_paths(paths: Iterable[str]) -> Iterator[str]:
    """Harmless and distinct relative paths, in order; `/` separates components.

    Two names that a case-blind or normalising file system would take for one are told apart by
    a number.
    """
    taken: set[str] = set()
    for path in paths:
        parts = [safe_name(part) for part in path.split("/") if part not in ("", ".", "..")]
        wanted = "/".join(parts or ["unnamed"])
        candidate = next(c for c in numbered(wanted) if _key(c) not in taken)
        taken.add(_key(candidate))
        yield candidate


def _key(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFKC", path).casefold()


def numbered(path: str) -> Iterator[str]:
    """The path, then the same with ` (2)`, ` (3)` and so on before its suffix."""
    yield path
    pure = PurePosixPath(path)
    suffix = pure.suffix if len(pure.suffix) <= 6 and " " not in pure.suffix else ""
    stem = path.removesuffix(suffix) if suffix else path
    for number in range(2, 100_000):
        yield f"{stem} ({number}){suffix}"


def free_name(media_root: Path, name: str) -> str:
    """The name, or its first numbered variant that nothing in the media root has."""
    return next(n for n in numbered(name) if not os.path.lexists(media_root / n))


def publish(staged: Path, target: Path) -> None:
    """Rename the staged file or folder to its final place and flush the folder entry.

    Raises:
        FileExistsError: something is there already; nothing was changed.
        OSError: the file system refused.
    """
    _rename_no_replace(staged, target)
    flush_folder(target.parent)


def _rename_no_replace(source: Path, target: Path) -> None:
    """Linux renameat2(2); where the file system lacks it, claim the name first."""
    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, "renameat2", None)
    if rename is not None:
        if rename(
            _AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE
        ) == 0:  # fmt: skip
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(code, os.strerror(code), str(target))
    if source.is_dir():
        target.mkdir()  # fails if it is there; POSIX renames a folder onto an empty one
    else:
        target.touch(exist_ok=False)
    try:
        source.replace(target)
    except OSError:
        delete_tree(target)  # ours: made above, and empty
        raise


def flush_folder(folder: Path) -> None:
    """Make the folder's entries survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(top: Path) -> None:
    """Make a file, or all files and folders under it, survive a power cut, and nothing but files.

    Raises:
        NotPlainError: there is a link in it, which must not be published.
    """
    harmless(top)
    if not top.is_dir():
        _flush_file(top)
        return
    for folder, _, names in os.walk(top):
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
    for path in paths:
        target = media_root / path
        if not target.parent.resolve().is_relative_to(media_root.resolve()):
            continue  # a symlink leads out of the media root: not ours to delete
        target.unlink(missing_ok=True)
        folders.update(media_root / parent for parent in PurePosixPath(path).parents)
    for folder in sorted(folders - {media_root}, key=lambda f: len(f.parts), reverse=True):
        try:
            folder.rmdir()
        except OSError:
            continue  # not empty, or gone
