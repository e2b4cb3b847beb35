"""What of the watch folders was taken already: kept in a file, so that it is taken once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path


class Memory:
    """Places that were taken, with the stamp and the job of each. Everything blocks.

    Args:
        path: the file (JSON); what cannot be read of it is not remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[str, str]] | None = None

    def get(self, urn: str) -> tuple[str, str] | None:
        """The stamp a place had when it was taken, and the id of its job; None = it was not."""
        return self._all().get(urn)

    def put(self, urn: str, stamp: str, job_id: str) -> None:
        """Remember that a place was taken. Returns when that survives a power cut.

        Raises:
            OSError: the disk refused.
        """
        self._write({**self._all(), urn: (stamp, job_id)})

    def keep_only(self, folder: str, urns: Iterable[str]) -> None:
        """Forget what of a folder is there no more.

        Raises:
            OSError: the disk refused.
        """
        there = set(urns)
        gone = [u for u in self._all() if u.rpartition("/")[0] == folder and u not in there]
        if gone:
            self._write({urn: about for urn, about in self._all().items() if urn not in gone})

    def _all(self) -> dict[str, tuple[str, str]]:
        if self._known is None:
            try:
                whole = json.loads(self._path.read_bytes())
                self._known = {str(u): (str(stamp), str(job)) for u, (stamp, job) in whole.items()}
            except (OSError, ValueError, TypeError, AttributeError):
                self._known = {}
        return self._known

    def _write(self, known: dict[str, tuple[str, str]]) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump(known, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._known = known
