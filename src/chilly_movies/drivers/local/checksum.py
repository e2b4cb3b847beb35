"""The checksum that the caller of a start gave of a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from chilly_movies.drivers.local.copying import of_source
from chilly_movies.jobs.models import Progress, Report
from chilly_movies.runtime.stages import say

_BLOCK = 4 * 1024 * 1024


async def is_right(checksum: str, path: Path, progress: Progress) -> bool:
    """Whether a file's bytes have a checksum.

    A stage: it says how far it is.

    Args:
        checksum: `sha256:`, `sha1:` or `md5:` and the digest in hex.
        path: where the file lies.
        progress: the figures of each report.

    Raises:
        DownloadError: it cannot be read.
    """
    kind, _, digest = checksum.partition(":")
    known, at = hashlib.new(kind, usedforsecurity=False), 0
    handle = await of_source(path.name, lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def add_block() -> int:
        data = os.pread(handle, _BLOCK, at)
        known.update(data)
        return len(data)

    try:
        size = max(1, os.fstat(handle).st_size)
        while length := await of_source(path.name, add_block):
            at += length
            await say(Report(progress, f"the checksum is compared: {at / size:.0%}", needs=0))
    finally:
        os.close(handle)
    return known.hexdigest() == digest.lower()
