"""Checksums that were given for a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chilly_movies.jobs.options import check_checksum

_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class Checksum:
    """A kind of checksum, and the digest in hexadecimal digits."""

    kind: str
    digest: str

    def is_of(self, path: Path, hashed: Callable[[int], bool]) -> bool:
        """Whether a file has it. Blocks.

        Args:
            path: the file.
            hashed: called with the bytes that were read so far; False = it is given up.

        Raises:
            OSError: the disk refused.
        """
        made, done = hashlib.new(self.kind, usedforsecurity=False), 0
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                made.update(block)
                done += len(block)
                if not hashed(done):
                    return False
        return made.hexdigest() == self.digest


def parse_checksum(text: str) -> Checksum:
    """Reads `sha256:`, `sha1:` or `md5:` and hexadecimal digits.

    Raises:
        InvalidRequest: it is something else.
    """
    kind, _, digest = check_checksum(text).partition(":")
    return Checksum(kind, digest)
