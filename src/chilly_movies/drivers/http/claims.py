"""What is claimed to be there of a file, and when it is stored: after it reached the disk.

Order, as in every driver: the claim is made, what it speaks of is flushed, the claim is stored. So
after a power cut nothing is claimed that is missing, and after a crash only what came since the
last claim is fetched again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chilly_movies.disk.file_stamps import FileStamp, flush, take
from chilly_movies.disk.plain import Held
from chilly_movies.disk.volume import disk_error
from chilly_movies.drivers.http.arrival import Arrival
from chilly_movies.drivers.http.hosts import Version
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.ports import ResumeStore
from chilly_movies.runtime import failpoints
from chilly_movies.runtime.tasks import begin, to_the_end

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """What is there of a file, and of which version.

    Attributes:
        name: what the file is called.
        version: of the file at its server.
        size: bytes of the whole file, None if they are not known.
        spans: first byte, and the one behind the last, of each range that is there.
        stamp: how the file looked after it was flushed.
        closed: nothing was written after that.
        metalink: the link is of a metalink, whose hash stands for the version.
    """

    name: str
    version: Version = field(default_factory=Version)
    size: int | None = None
    spans: tuple[tuple[int, int], ...] = ()
    stamp: FileStamp | None = None
    closed: bool = False
    metalink: bool = False

    @property
    def total(self) -> int:
        """Bytes that are there."""
        return sum(end - begin for begin, end in self.spans)

    def encode(self) -> bytes:
        """As a blob for the resume store."""
        stamp = self.stamp
        return json.dumps(
            {
                "format": _FORMAT,
                "name": self.name,
                "size": self.size,
                "spans": self.spans,
                "version": [self.version.etag, self.version.modified, self.version.size],
                "stamp": stamp and [stamp.path, stamp.size, stamp.mtime_ns, stamp.ctime_ns],
                "closed": self.closed,
                "metalink": self.metalink,
            },
            separators=(",", ":"),
        ).encode()

    def holds(self, folder: Path) -> bool:
        """Whether the file in the staging folder is the one that is claimed. Blocks."""
        path, stamp = folder / self.name, self.stamp
        if stamp is None or path.is_symlink() or not path.is_file():
            return False
        if self.closed:
            return stamp.is_of(path)
        reached = max((end for _, end in self.spans), default=0)
        return path.stat().st_size >= max(reached, self.size or 0)


def decode(blob: bytes | None) -> Claim | None:
    """The claim of a blob; None if there is none or it is damaged: then all is fetched again."""
    if blob is None:
        return None
    try:
        known = json.loads(blob)
        if known["format"] != _FORMAT:
            return None
        closed, metalink = bool(known["closed"]), bool(known.get("metalink"))
        spans = tuple((int(begin), int(end)) for begin, end in known["spans"])
        stamp = known["stamp"] and FileStamp(*known["stamp"])
        version, size = Version(*known["version"]), known["size"]
        return Claim(str(known["name"]), version, size, spans, stamp, closed, metalink)
    except (ValueError, KeyError, TypeError):
        return None


class ClaimSaver:
    """Saves the claim of one file while it arrives.

    Args:
        store: where claims are kept.
        key: the job's key.
        arrival: what is there.
        held: the staging folder.
        name: the file's name.
        version: says which version of the file it is.
        dirty: how many bytes are new when a save begins, if the disk has time for it.
        metalink: the link is of a metalink.
        within: seconds after which all that came is saved, however little it is.
    """

    def __init__(
        self,
        store: ResumeStore,
        key: str,
        arrival: Arrival,
        held: Held,
        name: str,
        version: Callable[[], Version],
        *,
        metalink: bool = False,
        dirty: int = 4 << 20,
        within: float = 5.0,
    ) -> None:
        self._store, self._key, self._arrival = store, key, arrival
        self._held, self._name, self._version = held, name, version
        self._dirty, self._within, self._metalink = dirty, within, metalink
        self._clock = asyncio.get_running_loop().time
        self._stamps: dict[int, FileStamp] = {}
        self._saved_total = arrival.spans.total
        self._saved_at = self._ended_at = self._clock()
        self._took = 0.0
        self._saving: asyncio.Task[Claim] | None = None

    def save_if_due(self) -> None:
        """Begins a save if it is time for one and none is under way.

        The disk has as long for other work as the last save took.

        Raises:
            DiskError: the disk refused the save before this one.
            StoreError: the save before this one could not be stored.
        """
        if self._saving is not None:
            if not self._saving.done():
                return
            done, self._saving = self._saving, None
            done.result()
        now, new = self._clock(), self._arrival.spans.total - self._saved_total
        rested = now - self._ended_at >= self._took
        if new and rested and (new >= self._dirty or now - self._saved_at >= self._within):
            self._saving = begin(self._save(closed=False), "claim save")

    async def save(self, *, closed: bool = False) -> Claim:
        """Saves now, after the save that is under way.

        Args:
            closed: nothing is written any more.

        Raises:
            DiskError: the disk refused.
            StoreError: it could not be stored.
        """
        await self.wait_idle()
        return await to_the_end(self._save(closed=closed))

    async def wait_idle(self) -> None:
        """Waits for the save that is under way; what it could not do the next one does."""
        saving, self._saving = self._saving, None
        if saving is not None:
            await asyncio.wait([saving])

    async def _save(self, *, closed: bool) -> Claim:
        began, arrival = self._clock(), self._arrival
        spans, total = tuple(arrival.spans), arrival.spans.total
        version, size = self._version(), arrival.size
        failpoints.reach("claim.made")
        try:
            stamps = await asyncio.to_thread(self._flush, closed=closed)
        except OSError as error:
            sentence = f"The unfinished data cannot be saved: {error.strerror}."
            raise disk_error(error.errno, sentence) from None
        failpoints.reach("claim.flushed")
        claim = Claim(self._name, version, size, spans, stamps.get(0), closed, self._metalink)
        await self._store.save_resume(self._key, claim.encode())
        failpoints.reach("claim.stored")
        self._saved_total, self._saved_at = total, began
        self._ended_at = self._clock()
        self._took = self._ended_at - began
        return claim

    def _flush(self, *, closed: bool) -> dict[int, FileStamp]:
        self._held.refuse_swapped()
        self._stamps = flush(self._held.path, {0: self._name}, self._stamps, closing=closed)
        return self._stamps


async def save_published(
    store: ResumeStore, key: str, claim: Claim, folder: Path, name: str
) -> None:
    """Keeps how a film looks where it was published, so that a later change can be told.

    A claim that cannot be kept costs only that.
    """
    try:
        stamps = await asyncio.to_thread(take, folder, {0: name})
        kept = Claim(claim.name, claim.version, claim.size, claim.spans, stamps.get(0), True)
        await store.save_resume(key, kept.encode())
    except (OSError, ChillyError):
        return
