"""The user's files by size, so that what has the size of a wanted file is found at once.

Listing all folders takes a while once; after that only those are listed again that changed. A file
that grows does not change its folder, so a folder with a file that was written to lately is listed
each time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_MOST_FILES = 1_000_000
_RESTS_NS = 60 * 10**9
"""What was changed so short a time ago may be about to change again."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """What was in a folder.

    Attributes:
        mtime_ns: when entries of it came or went last.
        is_at_rest: neither it nor one of its files had changed lately.
        files: name and size of each.
        folders: their names.
    """

    mtime_ns: int
    is_at_rest: bool
    files: tuple[tuple[str, int], ...]
    folders: tuple[str, ...]


class SizeIndex:
    """The files of some folders and all folders below them. All methods block.

    Hidden files and folders are left out, our unfinished data among them, and so are symbolic
    links, which may lead anywhere. A folder that cannot be listed counts as empty.

    Args:
        folders: where the files are. One that is not there, or holds another, does not matter.
        most: so many files are known at most.
        now: nanoseconds since 1970.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        most: int = _MOST_FILES,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._folders = tuple(folders)
        self._most = most
        self._now = now
        self._lock = threading.Lock()
        self._listings: dict[str, _Listing] = {}
        self._by_size: dict[int, list[tuple[str, str]]] = {}

    def renew(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Look at all folders, and list those that changed since the last time.

        Args:
            stopped: asked before each folder; True = what is known by then must do. The next call
                goes on from there.
        """
        with self._lock:
            before, left = self._listings, self._most
            known: dict[str, _Listing] = {}
            for folder, listing in self._walk(stopped):
                if len(listing.files) > left:
                    break
                known[folder] = listing
                left -= len(listing.files)
            if stopped():
                known = {**before, **known}
            self._listings = known
            same = len(known) == len(before) and all(
                listing is before.get(folder) for folder, listing in known.items()
            )
            if not same:
                self._by_size = _by_size(known)

    def of_size(self, size: int) -> list[Path]:
        """The files that had this size when they were last looked at."""
        return [Path(folder, name) for folder, name in self._by_size.get(size, ())]

    def _walk(self, stopped: Callable[[], bool]) -> Iterator[tuple[str, _Listing]]:
        seen: set[tuple[int, int]] = set()
        waiting = [str(folder) for folder in reversed(self._folders)]
        while waiting and not stopped():
            folder = waiting.pop()
            try:
                found = Path(folder).stat()
                if (node := (found.st_dev, found.st_ino)) in seen:
                    continue
                seen.add(node)
                known = self._listings.get(folder)
                if known is None or not known.is_at_rest or known.mtime_ns != found.st_mtime_ns:
                    known = self._listed(folder, found.st_mtime_ns)
            except OSError:
                continue
            yield folder, known
            waiting.extend(f"{folder}/{name}" for name in known.folders)

    def _listed(self, folder: str, mtime_ns: int) -> _Listing:
        files, folders, newest = [], [], mtime_ns
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    files.append((entry.name, found.st_size))
                    newest = max(newest, found.st_mtime_ns)
        is_at_rest = newest < self._now() - _RESTS_NS
        return _Listing(mtime_ns, is_at_rest, tuple(files), tuple(folders))


def _by_size(listings: dict[str, _Listing]) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    for folder, listing in listings.items():
        for name, size in listing.files:
            found.setdefault(size, []).append((folder, name))
    return found
