"""What the core asks of the outside. Adapters implement these; each has a shipped fake."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from chilly_movies.jobs.events import Change
from chilly_movies.jobs.figures import Moved
from chilly_movies.jobs.inspection import SourceInspector
from chilly_movies.jobs.models import FileStanding, Job, Peer, Pool, Report, Source, SourceFacts


class FileReader(Protocol):
    """One reader's view of one file. Several of them do not disturb each other.

    Attributes:
        size: bytes of the whole file.
        name: the file's name without folders; hostile text was made harmless in it.
    """

    size: int
    name: str

    async def read(self, offset: int, length: int) -> bytes:
        """The bytes at `offset`: at most `length`, at least one unless at the file's end.

        Waits until they have arrived and are verified. Cancelling is safe.

        Raises:
            DiskError: the disk refused.
        """
        ...

    def available(self, offset: int) -> int:
        """How many bytes from `offset` on have arrived already, without a gap."""
        ...

    async def aclose(self) -> None:
        """Give the place back. Idempotent."""
        ...


class Driver(Protocol):
    """Knows one kind of source.

    A driver has no states of its own: pause, resume, cancel and shutdown are the core closing
    the iterator of `run` and maybe calling `run` again.

    Attributes:
        pool: what its jobs take a slot of.
    """

    pool: Pool

    @property
    def inspector(self) -> SourceInspector | None:
        """Knows its sources before they are jobs.

        None = what `identify` says is all, and every source that it lets pass may be its.
        """
        ...

    def identify(self, source: Source) -> SourceFacts:
        """What the source says of itself, without any I/O.

        Raises:
            InvalidSource: it is broken; the message says how.
        """
        ...

    def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """Download the job, from what is already there, and then seed it to its goal.

        Yields a report at least once a second, and a last one before it ends. Ending = done. By
        them the core leaves a source that is silent, slow or no film, if the job has another; and
        while nothing may be sent it closes a run that fetches, unless the report's `reason` says
        just that.
        Closing the iterator (or cancelling the task in it) = stop all traffic now and keep what
        is needed to run again. A completed job is only seeded. An active one that was completed
        before is mended where it was published.

        Args:
            job: the job.
            check: compare everything on the disk with its hashes first; a job that is paused or
                failed, or completed and not seeding, is only checked.

        Raises:
            FilmDamaged: a completed job's film is not what it was, or, with `check`, not there.
            DownloadError: the attempt failed.
        """
        ...

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """Forget a job that does not run: its unfinished data and resume data are deleted.

        Args:
            job: the job.
            delete_files: delete the published film, too.
        """
        ...

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """Finish what a crash interrupted: data of canceled jobs is deleted.

        Args:
            jobs: all jobs there are of this driver's kinds.

        Returns:
            What is on the disk and belongs to no job; it is left alone.
        """
        ...

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """The peers the job is connected to right now; none if it does not run."""
        ...

    async def open_file(
        self, job: Job, index: int, *, bitrate: int | None = None, quiet: bool = False
    ) -> FileReader:
        """Read a file of the job, whether or not it is complete or the job runs.

        Missing bytes are asked for first while the job runs; a seek orders them anew, and a
        reader that is closed gives its place back.

        Args:
            job: its files are known.
            index: a wanted file's index.
            bitrate: bytes per second of playing, for the read-ahead; None = not known.
            quiet: it reads only what is `available`, so nothing is fetched sooner for it.

        Raises:
            FileNotFound: there is no such file, or it is no longer where it was published.
        """
        ...

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """How far each file is, in the order of `job.files`."""
        ...

    async def adjust(self, job: Job) -> None:
        """Take over all of `job.options` while the job runs: other options than it runs with.

        A limit applies within 2 s, a goal that is reached already ends the seeding at once. The
        driver itself compares what it needs to compare. It must not raise.
        """
        ...

    async def aclose(self) -> None:
        """Free everything. No `run` is open any more. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a store held when it was opened.

    Attributes:
        jobs: in queue order.
        last_seq: no change ever had a higher number than this.
        unclean: whoever opened the store before did not close it.
        rebooted: the machine was started anew since then.
        totals: what all jobs together moved, None = nobody counted yet.
    """

    jobs: tuple[Job, ...]
    last_seq: int
    unclean: bool = False
    rebooted: bool = False
    totals: Moved | None = None


class JobStore(Protocol):
    """Keeps jobs and their changes, and numbers the changes. The only writer is the Downloader.

    A change gets its number in the transaction that stores it: one above every number in the
    store, and above the `seq` it came with, the newest that the caller knows. So numbers rise in
    the order of the commits, and who reads by number misses nothing. Calls end in that order, too.

    Several servers may have one store. Who writes of a job holds it: under its newest epoch.
    Whatever comes under an older one, or of a job that is gone, is refused and changes nothing.

    All methods raise `StoreError` when the store cannot do it.
    """

    async def load(self) -> Loaded:
        """Open the store (migrating it if it is older) and read all jobs.

        Raises:
            StoreFromTheFuture: a newer version of this program wrote it.
        """
        ...

    async def add(self, job: Job, change: Change) -> int:
        """Save a new job and its change in one transaction. Returns when both are durable.

        What `load` could not read of a job with this id is replaced.

        Returns:
            The number of the change.

        Raises:
            JobLost: there is such a job.
        """
        ...

    async def record(self, job: Job, change: Change) -> int:
        """Save a known job and its change in one transaction. Returns when both are durable.

        Returns:
            The number of the change.

        Raises:
            JobLost: it is gone, or another holds it.
        """
        ...

    async def save_progress(self, moved: Sequence[Job]) -> frozenset[str]:
        """Save the progress of many jobs at once.

        Args:
            moved: only `progress`, `counted`, `reason` and `updated_at` are saved.

        Returns:
            The ids of the jobs that are gone, or that others hold.
        """
        ...

    async def save_totals(self, totals: Moved) -> None:
        """Keep what all jobs together moved, beyond the life of each."""
        ...

    async def changes_since(
        self, seq: int, job_id: str | None = None, *, limit: int = 1000
    ) -> list[Change]:
        """Durable changes with a higher number than `seq`, oldest first.

        Args:
            seq: exclusive lower bound.
            job_id: only this job's changes.
            limit: at most so many.
        """
        ...

    async def delete(self, job: Job, change: Change) -> int:
        """Delete a job and its resume data and record the change, in one transaction.

        Returns:
            The number of the change; of a job that is gone already, too.

        Raises:
            JobLost: another holds it.
        """
        ...

    async def aclose(self) -> None:
        """Note that this run ended in order, flush and close. Idempotent."""
        ...


class Cursors(Protocol):
    """Keeps how far followers are, so that the changes they still need are kept.

    All methods raise `StoreError` when the store cannot do it.
    """

    async def report(self, name: str, seq: int) -> None:
        """Note that a follower lives, and did everything up to the change `seq`.

        That may lag behind its own cursor, and never leads.
        """
        ...

    async def forget(self, name: str) -> None:
        """Keep nothing for this follower any more, if there is one."""
        ...

    async def keeps_all_after(self, seq: int) -> bool:
        """Whether every change after `seq` is still there."""
        ...


class Cluster(Protocol):
    """Says which jobs are this server's. Several may have one store; a job is one's at a time.

    `Alone` is the one that ships. Further methods come with several servers.
    """

    def owns(self, job: Job) -> bool:
        """Whether this server, and no other, runs the job."""
        ...

    async def take(self, job: Job) -> Job:
        """Make a job ours that nobody runs, before a verb changes it.

        Returns:
            The job with its owner and its new epoch; as it was if it is ours already.

        Raises:
            JobLost: another server runs it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Room:
    """How the volume of the media folder is at one moment.

    Attributes:
        free: bytes we may write.
        problem: one sentence for why nothing may be written at all, None if it may.
    """

    free: int
    problem: str | None = None


class Volume(Protocol):
    """The volume films are written to."""

    async def measure(self) -> Room:
        """How it is right now. Never raises."""
        ...

    async def held(self, key: str) -> int:
        """Bytes that a job's unfinished data takes up on the disk already."""
        ...

    async def missing(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of the paths, relative to the media root, at which nothing lies."""
        ...


class ResumeStore(Protocol):
    """Keeps what a driver needs to go on after a restart, one opaque blob per job key."""

    async def load_resume(self, key: str) -> bytes | None:
        """The blob last saved under the job key, None if there is none."""
        ...

    async def save_resume(self, key: str, data: bytes) -> None:
        """Replace the blob. Returns when it is durable."""
        ...

    async def drop_resume(self, key: str) -> None:
        """Delete the blob if there is one."""
        ...
