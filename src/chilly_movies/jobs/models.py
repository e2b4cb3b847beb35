"""The values everything else is made of. All frozen.

A `Job` is one wish to have a film. Drivers describe what happens to it with
`Report` values, the state machine turns these into new `Job` values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.secrets import Secret


class Status(StrEnum):
    """Where a job stands. Spelled on the wire exactly like this."""

    QUEUED = "queued"
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether `Downloader.wait` returns at this status."""
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})


class Phase(StrEnum):
    """What a running job is doing right now. Shown to people, decides nothing."""

    METADATA = "metadata"
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    SEEDING = "seeding"
    POST_PROCESSING = "post-processing"


class Pool(StrEnum):
    """What kinds of source share: the jobs of one pool wait for each other's slots."""

    NETWORK = "network"
    DISK = "disk"


Place = tuple[int, str]
"""A number that tells where in the queue a job stands: its whole part, and the hexadecimal digits
behind its point without zeros at the end. Two of them compare as the numbers do."""


class SourceType(StrEnum):
    """The kinds of source we have drivers for; those of others have names of their own."""

    TORRENT = "torrent"
    HTTP = "http"
    YOUTUBE = "youtube"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a film comes from. With another secret it is the same source.

    Attributes:
        type: the name of the driver that reads it: a `SourceType`, or one that was handed in.
        urn: magnet link, info hash or URL, as the caller gave it, without user name and password.
        data: the bytes of an uploaded `.torrent` file, else None.
        secret: what only its server is told, None if there is nothing.
    """

    type: str
    urn: str
    data: bytes | None = None
    secret: Secret | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """What says which of a job's sources it is."""
        return f"{self.type} {self.urn}"


@dataclass(frozen=True, slots=True)
class FurtherSource:
    """Another place that a film can be had from, beside its job's source.

    Attributes:
        source: where it is.
        checksum: `sha256:`, `sha1:` or `md5:` and the digest in hex of what is there, None if it is
            not known.
        size: bytes of what is there, None if they are not known.
    """

    source: Source
    checksum: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file of a job.

    Attributes:
        index: the file index, counted as the torrent counts (pad files included).
        path: relative to the media root once published; `/` separates folders.
        size: bytes.
        wanted: False if the file was left out by file selection.
        blocked: left out because it looks like a program.
    """

    index: int
    path: str
    size: int
    wanted: bool = True
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class FileStanding:
    """How far one file of a job is.

    Attributes:
        index: the file index.
        done: bytes of it that have arrived and are verified.
        priority: 0 = not wanted, 1 to 7 = the higher the earlier; 4 is usual.
    """

    index: int
    done: int
    priority: int


VIDEO_SUFFIXES = frozenset(
    ("mp4", "m4v", "f4v", "mov", "qt", "3gp", "3gpp", "3g2", "mkv", "mk3d", "webm", "ogv", "ogm",
     "ogx", "avi", "divx", "wmv", "asf", "dvr-ms", "wtv", "mpg", "mpeg", "mpe", "mpv", "m1v", "m2v",
     "vob", "evo", "ts", "mts", "m2ts", "m2t", "trp", "tp", "flv", "rm", "rmvb", "mxf",
     "dv", "nsv", "nut", "amv")
)  # fmt: skip


def is_video(path: str) -> bool:
    """Whether a file's name says that it is a film."""
    return path.rpartition(".")[2].lower() in VIDEO_SUFFIXES


class Transport(StrEnum):
    """What carries the data of a peer."""

    TCP = "tcp"
    UTP = "utp"
    WEBRTC = "webrtc"
    WEBSEED = "webseed"


@dataclass(frozen=True, slots=True)
class Peer:
    """One connected peer.

    Attributes:
        address: IP address and port, IPv6 in brackets.
        client: its program as it calls itself, "" if unknown.
        percent: how much of the torrent it has, 0-100.
        download_speed: payload bytes per second from it.
        upload_speed: payload bytes per second to it.
    """

    address: str
    transport: Transport
    client: str
    percent: float
    download_speed: int
    upload_speed: int


@dataclass(frozen=True, slots=True)
class ListenPort:
    """The port on which peers reach us at one address of this machine.

    Attributes:
        address: IP address.
        wanted: the port of the settings, 0 = any.
        tcp: the port that is open for TCP, None = none is.
        udp: the same for UDP, which uTP uses.
    """

    address: str
    wanted: int
    tcp: int | None = None
    udp: int | None = None

    @property
    def is_taken(self) -> bool:
        """Whether another program has the wanted port."""
        return self.wanted != 0 and self.tcp != self.wanted


@dataclass(frozen=True, slots=True)
class Transports:
    """How many peers are connected by which transport."""

    tcp: int = 0
    utp: int = 0
    webrtc: int = 0
    webseed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        percent: 0-100; 100 only when every wanted byte is on disk and checked.
        bytes_downloaded: bytes of the wanted files that have arrived.
        bytes_total: bytes of the wanted files, None before metadata.
        download_speed: payload bytes per second.
        upload_speed: payload bytes per second.
        time_remaining: seconds, None if unknown.
        peers: connected peers, seeds included.
        seeds: connected peers that have everything.
        ratio: uploaded payload divided by the bytes of the wanted files.
        phase: what is going on, None when nothing runs.
        transports: the peers by transport.
        needs: bytes it still has to write, as its driver says; None = those that are missing.
    """

    percent: float = 0.0
    bytes_downloaded: int = 0
    bytes_total: int | None = None
    download_speed: int = 0
    upload_speed: int = 0
    time_remaining: int | None = None
    peers: int = 0
    seeds: int = 0
    ratio: float = 0.0
    phase: Phase | None = None
    transports: Transports = field(default_factory=Transports)
    needs: int | None = None


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a driver knows of a source, early from its text or later from its metadata.

    Attributes:
        identities: keys that say "the same film data" (`btih:<hex>`, `btmh:<hex>`, `url:<url>`).
            Two jobs that share one are the same download.
        name: display name, None if not known yet.
        files: empty if not known yet.
        note: one sentence on what is special about them, None if nothing is.
        urn: how the source is stored and shown, None = as the caller wrote it.
        needs: bytes it has to write until its files are known, None if that cannot be said.
    """

    identities: tuple[str, ...] = ()
    name: str | None = None
    files: tuple[MediaFile, ...] = ()
    note: str | None = None
    urn: str | None = None
    needs: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a driver yields while it runs a job.

    Attributes:
        progress: how far it is.
        reason: one plain sentence when nothing moves, else None.
        facts: set once, when the metadata is known.
        path: the name in the media root the driver is about to publish under, or to move the film
            to. The core stores it before it asks for the next report, so a crash can not lose it.
        complete: every wanted byte is on disk, verified and lies under `path`; the driver may go
            on to seed.
        needs: bytes it still has to write, None = those that are missing. A film that is only
            linked needs none; one that is made of two parts needs room for the parts, too.
        figures: what the job moved over all its runs, None = its driver does not count; then the
            core counts what arrives.
        anew: the file changed where it comes from: what came before is thrown away, and the
            download begins again; `reason` says so.
    """

    progress: Progress
    reason: str | None = None
    facts: SourceFacts | None = None
    path: str | None = None
    complete: bool = False
    needs: int | None = None
    figures: Figures | None = None
    anew: bool = False

    @property
    def progress_now(self) -> Progress:
        """The progress with what the report says of the room it needs."""
        if self.needs == self.progress.needs:
            return self.progress
        return replace(self.progress, needs=self.needs)


@dataclass(frozen=True, slots=True)
class TrackerChoice:
    """What the user changed of a torrent's trackers.

    Attributes:
        added: announce URL and tier of those that the torrent does not name, or in another tier.
        removed: announce URLs of those that are not asked, though the torrent names them.
    """

    added: tuple[tuple[str, int], ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def is_given(self) -> bool:
        """Whether the user changed anything."""
        return bool(self.added or self.removed)

    def with_tracker(self, url: str, tier: int) -> TrackerChoice:
        """The same and this tracker, in this tier."""
        others = tuple(one for one in self.added if one[0] != url)
        removed = tuple(one for one in self.removed if one != url)
        return TrackerChoice((*others, (url, tier)), removed)

    def without_tracker(self, url: str) -> TrackerChoice:
        """The same without this tracker, wherever it comes from."""
        others = tuple(one for one in self.added if one[0] != url)
        removed = (*(one for one in self.removed if one != url), url)
        return TrackerChoice(others, removed[-_REMEMBERED:])


_REMEMBERED = 200
"""Of so many trackers it is kept that they were removed; resume data names those before no more."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed or is being retried: a stable code and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """One download, from the wish to the film. Changed only by `lifecycle.apply`.

    Attributes:
        id: the caller's name for it; never part of a path.
        key: our own random name; unfinished data lives in a folder called so.
        position: the whole part of its place in the queue; lower starts first. What people are
            shown is counted: `queue.Order.positions`.
        fraction: the digits behind the point of its place.
        path: file or folder in the media root, set just before it is published there.
        moving_to: where in the media root it is on its way to, None if it stays where it is.
        seeding: a completed job that still has to give back its share.
        adopted: its data lay at `path` before the job: it is checked and seeded there, never
            written to, and deleted on request only.
        attempts: how many tries ended in an error since the last success or resume.
        next_attempt_at: when the next try is due, None if none is planned.
        labels: what the caller keeps with it; nothing in the core reads them.
        trackers: what the user changed of its trackers.
        counted: what it moved, None = it last ran in a version that kept no figures.
        owner: the name of the server that runs it, None where there is only one.
        epoch: how often its owner changed; nothing is written under an older one.
        mirrors: further places for the same bytes, which its driver may use.
        candidates: further sources for the same film, which are tried in turn once `source` is
            given up.
        active_source: the one that is run, None = `source`, and no other ever was.
        spent: the names of those that were given up since the last resume.
        again: the names of those of them that may be tried once more, in this order.
        left: what those moved that were given up, None = nobody counted; part of `counted`.
        generation: how often what there was of its data was thrown away for other data.
    """

    id: str
    key: str
    source: Source
    position: int
    created_at: datetime
    updated_at: datetime
    fraction: str = ""
    status: Status = Status.QUEUED
    progress: Progress = field(default_factory=Progress)
    options: Options = field(default_factory=Options)
    reason: str | None = None
    name: str | None = None
    identities: tuple[str, ...] = ()
    files: tuple[MediaFile, ...] = ()
    path: str | None = None
    moving_to: str | None = None
    seeding: bool = False
    adopted: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: JobError | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    counted: Figures | None = field(default_factory=Figures)
    owner: str | None = None
    epoch: int = 0
    trackers: TrackerChoice = field(default_factory=TrackerChoice)
    mirrors: tuple[FurtherSource, ...] = ()
    candidates: tuple[FurtherSource, ...] = ()
    active_source: Source | None = None
    spent: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    left: Figures | None = None
    generation: int = 0

    @property
    def running_source(self) -> Source:
        """The source that is run now, or will be."""
        return self.active_source or self.source

    @property
    def sources(self) -> tuple[Source, ...]:
        """Its source, and all further ones for the same film."""
        return (self.source, *(one.source for one in self.candidates))

    @property
    def next_sources(self) -> tuple[Source, ...]:
        """The sources that may be taken when this one is given up, in turn.

        One that nobody tried yet, else one that only was silent or slow. A film that was complete
        once is not given up for another.
        """
        if self.completed_at is not None or self.adopted:
            return ()
        every = {source.name: source for source in reversed(self.sources)}
        fresh = dict.fromkeys(one.name for one in self.sources if one.name not in self.spent)
        names = dict.fromkeys((*fresh, *self.again))
        names.pop(self.running_source.name, None)
        return tuple(every[name] for name in names if name in every)

    @property
    def next_source(self) -> Source | None:
        """The first of them, None if there is none."""
        return next(iter(self.next_sources), None)

    @property
    def announced(self) -> FurtherSource | None:
        """What was said of the source that is run, None if it is no candidate."""
        running = self.running_source.name
        return next((one for one in self.candidates if one.source.name == running), None)

    @property
    def as_run(self) -> Job:
        """The job as a driver knows it: of several sources with the one that is run.

        With its secret of now, which may be another than when it was taken, and with the figures of
        that source alone.
        """
        active = self.active_source
        if active is None:
            return self
        same = (source for source in self.sources if source.name == active.name)
        counted = None if self.counted is None else self.counted.minus(self.left)
        return replace(self, source=next(same, active), counted=counted)

    @property
    def figures(self) -> Figures:
        """Its figures; of one that does not run without those of its swarm."""
        known = self.counted or Figures()
        return known if self.is_running else known.at_rest

    @property
    def place(self) -> Place:
        """Where in the queue it stands; no two jobs have the same."""
        return self.position, self.fraction

    @property
    def info_hash(self) -> str | None:
        """The info hash in hex (v1 if there is one, else v2), None for other sources."""
        known = sorted(self.identities) if self.active_source is None else self.identities
        hashes = [i.split(":", 1)[1] for i in known if i.startswith("bt")]
        return hashes[0] if hashes else None

    def priorities(self) -> dict[int, int]:
        """The priority of each of its files that is known; 0 = not wanted."""
        given = self.options.priorities_of(file.index for file in self.files)
        return {file.index: given[file.index] if file.wanted else 0 for file in self.files}

    @property
    def is_running(self) -> bool:
        """Whether a driver has to run it: active, or completed and seeding or on the move."""
        stays = self.status is Status.COMPLETED and not self.seeding and self.moving_to is None
        return self.status in (Status.ACTIVE, Status.COMPLETED) and not stays

    def files_at(self, path: str) -> tuple[MediaFile, ...]:
        """Its files below `path`, which takes the place of what the film is called so far."""
        return tuple(replace(file, path=path + self._inner(file.path)) for file in self.files)

    def files_wanted(self, priorities: Mapping[int, int]) -> tuple[MediaFile, ...]:
        """Its files, of which those are wanted that have a priority above 0."""
        return tuple(replace(f, wanted=priorities.get(f.index, 0) > 0) for f in self.files)

    def _inner(self, path: str) -> str:
        """A file's path within the film, with a leading `/`; "" if it is the film."""
        top = self.path
        if top is not None and (path == top or path.startswith(top + "/")):
            return path[len(top) :]
        _, slash, rest = path.partition("/")
        return slash + rest

    @property
    def goes_to(self) -> str | None:
        """Where its finished film belongs if it lies in another folder than was asked for."""
        if self.path is None or self.adopted or folder_of(self.path) == self.options.folder:
            return None
        return in_folder(self.options.folder, self.path)


def folder_of(path: str) -> str:
    """The folder a path of the media root lies in; "" = the media root itself."""
    return path.rpartition("/")[0]


def in_folder(folder: str, path: str) -> str:
    """The path with its last name in another folder."""
    return "/".join(filter(None, (folder, path.rpartition("/")[2])))
