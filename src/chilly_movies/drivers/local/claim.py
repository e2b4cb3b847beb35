"""What a job of this driver has done: kept as its resume data, and never ahead of the disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from chilly_movies.disk.linking import Mode
from chilly_movies.disk.scan import FoundFile


@dataclass(frozen=True, slots=True)
class Claim:
    """How far an import is.

    Attributes:
        mode: how the files come to the media folder.
        files: those of the source by index, as they looked when it began.
        done: bytes of each file that are copied and survive a power cut, by index.
        inode: that of the file or folder that is about to be published, which a rename leaves as it
            is; None = nothing is yet.
    """

    mode: Mode
    files: tuple[FoundFile, ...]
    done: Mapping[int, int] = field(default_factory=dict)
    inode: int | None = None


def encode(claim: Claim) -> bytes:
    """The claim as resume data; names that are no UTF-8 keep their bytes as lone surrogates."""
    files = [(file.path, file.size, file.mtime_ns) for file in claim.files]
    done = sorted(claim.done.items())
    whole = {"mode": claim.mode, "files": files, "done": done, "inode": claim.inode}
    return json.dumps(whole, separators=(",", ":")).encode()


def decode(data: bytes | None) -> Claim | None:
    """The claim in resume data; None if there is none, or nothing that makes sense."""
    try:
        whole = json.loads(data or b"null")
        files = tuple(FoundFile(tuple(path), *about) for path, *about in whole["files"])
        return Claim(whole["mode"], files, dict(whole["done"]), whole["inode"])
    except (ValueError, TypeError, KeyError):
        return None
