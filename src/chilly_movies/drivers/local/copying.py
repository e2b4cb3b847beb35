"""Copies the bytes of one open file into another, a stretch at a time, in threads."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from typing import TypeVar

from chilly_movies.disk.volume import disk_error
from chilly_movies.errors import SourceRejected, SourceUnavailable
from chilly_movies.runtime import tasks

T = TypeVar("T")

_SMALLEST, _LARGEST = 256 * 1024, 16 * 1024 * 1024
_SLOW, _QUICK = 0.4, 0.1
_OF_THE_TARGET = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_NOT_BETWEEN_THESE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What copy_file_range(2) answers for two file systems it cannot copy between."""


async def of_source(urn: str, work: Callable[[], T]) -> T:
    """Run blocking work on a source in a thread, to its end even if the caller is cancelled.

    A thread that goes on would use a descriptor that is closed, and may be another file's by then.

    Raises:
        SourceRejected: it is not there.
        SourceUnavailable: it cannot be read.
        DiskError: the disk that is written to refused.
    """
    try:
        return await tasks.to_the_end(asyncio.to_thread(work))
    except FileNotFoundError:
        raise SourceRejected(f"There is no file or folder '{urn}' any more.") from None
    except OSError as error:
        if error.errno in _OF_THE_TARGET:
            sentence = f"The film cannot be copied: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        why = f"'{urn}' cannot be read: {error.strerror}."
        raise SourceUnavailable(why) from None


class Stretches:
    """Copies stretches as long as the disks do in a quarter of a second or so.

    So a pause is quick and figures move on a slow disk, and a fast one is not held up.
    """

    def __init__(self) -> None:
        self._length = _SMALLEST
        self._by_the_system = True

    def copy(self, source: int, target: int, offset: int, left: int) -> int:
        """Copy what lies at an offset of one file to the same of another. Blocks.

        Args:
            source: an open descriptor.
            target: the same, for writing.
            offset: where.
            left: bytes at most.

        Returns:
            The bytes that were copied, 0 at the end of the source.

        Raises:
            OSError: a disk refused.
        """
        began, length = time.monotonic(), min(self._length, left)
        copied = self._copied(source, target, offset, length)
        took = time.monotonic() - began
        if took > _SLOW:
            self._length = max(_SMALLEST, self._length // 2)
        elif took < _QUICK:
            self._length = min(_LARGEST, self._length * 2)
        return copied

    def _copied(self, source: int, target: int, offset: int, length: int) -> int:
        if self._by_the_system:
            try:
                if copied := os.copy_file_range(source, target, length, offset, offset):
                    return copied
            except OSError as error:
                if error.errno not in _NOT_BETWEEN_THESE:
                    raise
            self._by_the_system = False  # some systems say 0 where they cannot
        return os.pwrite(target, os.pread(source, min(length, _SMALLEST * 4), offset), offset)
