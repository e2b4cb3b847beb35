"""A driver that plays a script instead of a network: for front-end authors and tests.

Any source works. A source of the form `mock:?seconds=3&fail=disk_error&failAt=40` says itself
how it behaves; everything else gets the driver's default script. No film is written to disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, unquote

from chilly_movies import errors
from chilly_movies.errors import DownloadError, InvalidSource
from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.inspection import SourceInspector
from chilly_movies.jobs.models import (
    FileStanding,
    Job,
    MediaFile,
    Peer,
    Phase,
    Pool,
    Progress,
    Report,
    Source,
    SourceFacts,
    Status,
    Transport,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.ports import FileReader, ResumeStore
from chilly_movies.runtime.clocks import utc_now

_FAILURES: dict[str, type[DownloadError]] = {
    kind.code: kind
    for kind in (
        errors.SourceUnavailable,
        errors.SourceNotFound,
        errors.DiskError,
        errors.DiskFull,
        errors.SourceRejected,
        errors.DriverCrashed,
    )
}


@dataclass(frozen=True, slots=True)
class MockScript:
    """How a mock download goes.

    Attributes:
        name: the film's name; None = taken from the source.
        size: bytes.
        seconds: from metadata to completion.
        metadata_seconds: before name and files are known.
        seed_seconds: how long it seeds; 0 = not at all.
        peers: how many peers it shows.
        fail: code of the error it ends with, None = it completes.
        fail_at: percent at which it fails.
        fail_times: how many attempts fail before one gets through.
    """

    name: str | None = None
    size: int = 700_000_000
    seconds: float = 20.0
    metadata_seconds: float = 1.0
    seed_seconds: float = 10.0
    peers: int = 12
    fail: str | None = None
    fail_at: float = 50.0
    fail_times: int = 1_000_000


class MockDriver:
    """Implements `ports.Driver` without a network.

    Args:
        script: for sources that bring none of their own.
        scripts: by source URN, for tests.
        resume_store: where the bytes already "downloaded" are kept over a restart.
        tick: seconds between two reports.
        sleep: how to wait; tests pass their own.
    """

    pool = Pool.NETWORK
    inspector: SourceInspector | None = None

    def __init__(
        self,
        script: MockScript | None = None,
        *,
        scripts: Mapping[str, MockScript] | None = None,
        resume_store: ResumeStore | None = None,
        tick: float = 0.25,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._script = script or MockScript()
        self._scripts = dict(scripts or {})
        self._resume = resume_store
        self._tick = tick
        self._sleep = sleep
        self._done: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._options: dict[str, Options] = {}
        self._moved = asyncio.Condition()
        self.banned: set[str] = set()

    def identify(self, source: Source) -> SourceFacts:
        """See `ports.Driver`. The script in a `mock:` source is checked."""
        self._script_of(source)
        text = source.data or source.urn.encode()
        return SourceFacts(
            identities=(f"mock:{hashlib.sha1(text, usedforsecurity=False).hexdigest()}",)
        )

    async def remove(self, job: Job, *, delete_files: bool) -> None:
        """See `ports.Driver`. There are no files."""
        self._done.pop(job.key, None)
        self._failures.pop(job.key, None)
        if self._resume is not None:
            await self._resume.drop_resume(job.key)

    async def peers(self, job: Job) -> tuple[Peer, ...]:
        """See `ports.Driver`: as many as the script says, one transport after the other."""
        if not job.is_running or job.progress.phase is Phase.METADATA:
            return ()
        kinds = tuple(Transport)
        hosts = [f"192.0.2.{i % 250 + 1}" for i in range(self._script_of(job.source).peers)]
        return tuple(
            Peer(f"{host}:6881", kinds[i % len(kinds)], "Mock/1.0", 50.0, 0, 0)
            for i, host in enumerate(hosts)
            if host not in self.banned
        )

    async def open_file(
        self, job: Job, index: int, *, bitrate: int | None = None, quiet: bool = False
    ) -> FileReader:
        """See `ports.Driver`. The bytes are those of `mock_bytes`."""
        for file in job.files:
            if file.index == index:
                return _MockReader(self, job, file)
        raise errors.FileNotFound(f"This download has no file {index}.")

    async def files(self, job: Job) -> tuple[FileStanding, ...]:
        """See `ports.Driver`."""
        priorities = job.options.priorities_of(file.index for file in job.files)
        return tuple(
            FileStanding(file.index, min(file.size, self.arrived(job)), priorities[file.index])
            for file in job.files
        )

    async def adjust(self, job: Job) -> None:
        """See `ports.Driver`. The download limit and the goal of seeding count."""
        if job.key in self._options:
            self._options[job.key] = job.options

    def arrived(self, job: Job) -> int:
        """How many bytes of the job are "downloaded"."""
        if job.status is Status.COMPLETED or job.completed_at is not None:
            return self._script_of(job.source).size
        return self._done.get(job.key, 0)

    async def more(self) -> None:
        """Wait until more bytes of any job are there."""
        async with self._moved:
            await self._moved.wait()

    async def aclose(self) -> None:
        """See `ports.Driver`."""

    async def reconcile(self, jobs: Sequence[Job]) -> Sequence[str]:
        """See `ports.Driver`. There are no files."""
        return ()

    async def run(self, job: Job, *, check: bool = False) -> AsyncGenerator[Report, None]:
        """See `ports.Driver`."""
        script, figures = self._script_of(job.source), job.counted or Figures()
        before, ticks = figures, 0
        self._options[job.key] = job.options
        try:
            async with aclosing(self._run(job, script, check=check)) as reports:
                async for report in reports:
                    ticks += 1
                    seconds = int(ticks * self._tick)
                    figures = _figures(before, figures, report.progress, seconds, script)
                    yield replace(report, figures=figures)
        finally:
            self._options.pop(job.key, None)

    async def _run(
        self, job: Job, script: MockScript, *, check: bool
    ) -> AsyncGenerator[Report, None]:
        if job.moving_to is not None:
            await self._sleep(self._tick)
            yield Report(self._final(job, script), path=job.moving_to, complete=True)
            if not (job.seeding or check):
                return
            job = replace(job, moving_to=None)
        if check and not job.is_running:
            yield Report(replace(job.progress, phase=Phase.CHECKING))
            return
        facts = _facts(job, script)
        if job.status is not Status.COMPLETED:
            if job.adopted:
                await self._save(job, script.size)  # it was there before the job
            elif not job.files:
                yield Report(Progress(phase=Phase.METADATA), "looking for peers with the metadata")
                await self._sleep(script.metadata_seconds)
            if job.key not in self._done:
                saved = await self._resume.load_resume(job.key) if self._resume else None
                self._done[job.key] = int(saved) if saved else 0
            yield Report(self._progress(job, script), facts=facts)
            while (done := self._done[job.key]) < script.size:
                self._fail_if_scripted(job, script, done)
                await self._sleep(self._tick)
                step = self._step(job, script)
                await self._save(job, min(script.size, done + step))
                yield Report(self._progress(job, script))
            final, path = self._final(job, script), job.path or facts.files[0].path
            yield Report(final, path=path, complete=True)
            if final.phase is None:
                return
        waited, ratio = 0.0, 0.0
        while waited < script.seed_seconds and not self._is_enough(job, ratio, waited):
            await self._sleep(self._tick)
            waited += self._tick
            ratio = round(min(1.0, waited / script.seed_seconds), 3)
            yield Report(replace(self._final(job, script), ratio=ratio, peers=script.peers))

    def _is_enough(self, job: Job, ratio: float, seconds: float) -> bool:
        """Whether the job's own goal of seeding is reached."""
        goal = self._options.get(job.key, job.options)
        most = math.inf if goal.seed_ratio is None else goal.seed_ratio
        longest = math.inf if goal.seed_time is None else goal.seed_time
        return ratio >= most or seconds >= longest

    def _limit(self, job: Job) -> float:
        """Bytes per second that may arrive."""
        return self._options.get(job.key, job.options).download_limit or math.inf

    def _step(self, job: Job, script: MockScript) -> int:
        """Bytes that arrive until the next report."""
        share = self._tick / script.seconds if script.seconds > 0 else 1.0
        return max(1, math.ceil(min(script.size * share, self._limit(job) * self._tick)))

    def _script_of(self, source: Source) -> MockScript:
        if source.urn in self._scripts:
            return self._scripts[source.urn]
        if source.urn.startswith("mock:"):
            return _parse_script(source.urn, self._script)
        return self._script

    def _fail_if_scripted(self, job: Job, script: MockScript, done: int) -> None:
        failed = self._failures.get(job.key, 0)
        if script.fail is None or failed >= script.fail_times:
            return
        if 100 * done >= script.fail_at * script.size:
            self._failures[job.key] = failed + 1
            raise _FAILURES[script.fail]("This mock download was scripted to fail here.")

    async def _save(self, job: Job, done: int) -> None:
        self._done[job.key] = done
        async with self._moved:
            self._moved.notify_all()
        if self._resume is not None:
            await self._resume.save_resume(job.key, str(done).encode())

    def _progress(self, job: Job, script: MockScript) -> Progress:
        speed = int(script.size / script.seconds) if script.seconds > 0 else script.size
        done, speed = self._done[job.key], int(min(speed, self._limit(job)))
        return Progress(
            percent=min(99.9, round(100 * done / script.size, 2)) if script.size else 0.0,
            bytes_downloaded=done,
            bytes_total=script.size,
            download_speed=speed,
            time_remaining=(script.size - done) // speed if speed else None,
            peers=script.peers,
            seeds=script.peers // 2,
            phase=Phase.DOWNLOADING,
        )

    def _final(self, job: Job, script: MockScript) -> Progress:
        seeds = script.seed_seconds > 0 and not self._is_enough(job, 0.0, 0.0)
        phase = Phase.SEEDING if seeds else None
        return Progress(100.0, script.size, script.size, phase=phase)


def _figures(
    before: Figures, last: Figures, progress: Progress, seconds: int, script: MockScript
) -> Figures:
    """What a job seems to have moved: one byte in 500 for nothing.

    Args:
        before: its figures when this run began.
        last: its figures a moment ago.
        progress: how far it is.
        seconds: how long this run is.
        script: how the job goes.
    """
    downloaded = max(last.downloaded, progress.bytes_downloaded * 501 // 500)
    uploaded = max(last.uploaded, int(progress.ratio * script.size))
    moved = downloaded + uploaded > last.downloaded + last.uploaded
    seeding = progress.phase is Phase.SEEDING
    return Figures(
        uploaded=uploaded,
        downloaded=downloaded,
        wasted=downloaded - downloaded * 500 // 501,
        seconds_active=before.seconds_active + seconds,
        seconds_seeding=before.seconds_seeding + seconds if seeding else last.seconds_seeding,
        last_activity_at=utc_now() if moved else last.last_activity_at,
        distributed_copies=None if seeding else script.peers / 2,
        swarm_seeds=script.peers // 2,
        swarm_peers=2 * script.peers,
    )


def mock_bytes(offset: int, length: int) -> bytes:
    """What every mock film holds there: the numbers of its 8-byte words, big-endian."""
    first, last = offset // 8, -(-(offset + length) // 8)
    words = struct.pack(f">{last - first}Q", *range(first, last))
    return words[offset - 8 * first :][:length]


class _MockReader:
    """See `ports.FileReader`."""

    def __init__(self, driver: MockDriver, job: Job, file: MediaFile) -> None:
        self._driver = driver
        self._job = job
        self.size = file.size
        self.name = file.path.rpartition("/")[2]

    def available(self, offset: int) -> int:
        return max(0, min(self.size, self._driver.arrived(self._job)) - offset)

    async def read(self, offset: int, length: int) -> bytes:
        while offset < self.size and not self.available(offset):
            await self._driver.more()
        return mock_bytes(offset, min(length, self.available(offset)))

    async def aclose(self) -> None:
        pass


def _facts(job: Job, script: MockScript) -> SourceFacts:
    name = script.name or job.path or _name_of(job.source.urn)
    wanted = job.options.files is None or 0 in job.options.files
    return SourceFacts(
        identities=job.identities,
        name=name,
        files=(MediaFile(0, f"{name}.mkv", script.size, wanted),),
    )


def _name_of(urn: str) -> str:
    query = parse_qs(urn.partition("?")[2])
    last = "" if urn.startswith("mock:") else unquote(urn.rpartition("/")[2])
    name = query.get("dn", [""])[0] or last or "mock film"
    return name.replace("/", "_")[:100]


def _parse_script(urn: str, default: MockScript) -> MockScript:
    """The script in a `mock:?key=value` source."""
    query = {key: values[-1] for key, values in parse_qs(urn.partition("?")[2]).items()}
    readers: dict[str, tuple[str, Callable[[str], object]]] = {
        "name": ("name", str), "size": ("size", _count), "seconds": ("seconds", _measure),
        "metadataSeconds": ("metadata_seconds", _measure),
        "seedSeconds": ("seed_seconds", _measure), "peers": ("peers", _count),
        "fail": ("fail", lambda code: _FAILURES[code].code), "failAt": ("fail_at", _measure),
        "failTimes": ("fail_times", _count),
    }  # fmt: skip
    changes: dict[str, object] = {"name": _name_of(urn) if "name" not in query else None}
    for key, value in query.items():
        if key == "dn":
            continue
        if key not in readers:
            raise InvalidSource(f"A mock source knows no '{key}'; it knows {', '.join(readers)}.")
        field, read = readers[key]
        try:
            changes[field] = read(value)
        except (ValueError, KeyError):
            raise InvalidSource(f"The '{key}' of this mock source is malformed.") from None
    return replace(default, **changes)  # type: ignore[arg-type]


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**53:
        raise ValueError(text)
    return value


def _measure(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 10**9:  # also false for NaN
        raise ValueError(text)
    return value
