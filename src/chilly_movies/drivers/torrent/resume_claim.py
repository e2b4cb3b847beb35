"""What we claim to have of a torrent, and when that may be believed.

The engine believes resume data as soon as files of the right size are there, whatever is in them.
So a claim also says how the files looked when it was made, and whether the run that made it
ended in order. It is stored only after the data it speaks of was flushed to the disk. Of a
published film, to which we do not write, it says how the files looked when they were compared with
their hashes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from chilly_movies.disk.file_stamps import FileStamp, stat_of


@dataclass(frozen=True, slots=True)
class ResumeClaim:
    """Resume data and what is needed to believe it.

    Attributes:
        data: the engine's resume data.
        stamps: the files by file index.
        closed: nothing was written after it was made.
    """

    data: bytes
    stamps: Mapping[int, FileStamp] = field(default_factory=dict)
    closed: bool = False

    def encode(self) -> bytes:
        """As a blob for the resume store."""
        stamps = [[i, stamp.path, stamp.size, stamp.mtime_ns] for i, stamp in self.stamps.items()]
        ctimes = [stamp.ctime_ns for stamp in self.stamps.values()]  # apart: older versions read on
        head = {"closed": self.closed, "looks": stamps, "ctimes": ctimes}
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.data

    def staged_paths(self, folder: Path) -> dict[int, Path]:
        """Where the files lie below the folder the engine wrote to."""
        return {i: folder / stamp.path for i, stamp in self.stamps.items()}

    def holds(self, paths: Mapping[int, Path], *, exactly: bool = True) -> bool:
        """Whether all the files still look as they did. Without any look nobody can tell.

        Args:
            paths: where they lie, by file index.
            exactly: they were not renamed either. No claim of an older version holds then.
        """
        return bool(self.stamps) and all(
            i in paths and stamp.is_of(paths[i], exactly=exactly)
            for i, stamp in self.stamps.items()
        )

    def renamed(self, paths: Mapping[int, Path]) -> ResumeClaim | None:
        """The same claim for files that we renamed; None if more than that happened to them."""
        stamps = {}
        for index, stamp in self.stamps.items():
            found = stat_of(paths[index]) if index in paths else None
            if found is None or not stamp.is_of(paths[index], exactly=False):
                return None
            stamps[index] = replace(stamp, ctime_ns=found.st_ctime_ns)
        return replace(self, stamps=stamps)


def decode(blob: bytes | None) -> ResumeClaim | None:
    """The claim of a blob; None if there is none or it is damaged: then the disk is asked.

    Blobs of older versions are bare resume data; they are not believed.
    """
    if blob is None or blob.startswith(b"d"):
        return None if blob is None else ResumeClaim(blob)
    head, _, data = blob.partition(b"\n")
    try:
        known = json.loads(head)
        ctimes = known.get("ctimes", [None] * len(known["looks"]))
        stamps = {
            int(i): FileStamp(path, size, mtime, ctime)
            for (i, path, size, mtime), ctime in zip(known["looks"], ctimes, strict=True)
        }
        return ResumeClaim(data, stamps, bool(known["closed"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
