"""What can happen to a job: frozen values, named in the past tense.

`Event` values go into the state machine; a `Change` is the numbered record of one event and
of the job after it, which is what listeners, the store and the event stream see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.models import (
    FurtherSource,
    Job,
    JobError,
    MediaFile,
    Place,
    Progress,
    Source,
    SourceFacts,
    SourceType,
    Status,
    TrackerChoice,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.secrets import Secret
from chilly_movies.runtime.clocks import utc_now


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job.

    Attributes:
        name: its name on the wire and for `Downloader.on`.
        durable: True = a state change, stored at once and replayed to listeners that missed it.
    """

    name: ClassVar[str] = ""
    durable: ClassVar[bool] = True

    @property
    def news(self) -> Mapping[str, Any] | None:
        """What listeners are told of it beside the job, None if the job says it all."""
        return None


@dataclass(frozen=True, slots=True)
class Queued(Event):
    """The job was accepted."""

    name = "queued"


@dataclass(frozen=True, slots=True)
class Held(Event):
    """The job was accepted, and is paused from the beginning."""

    name = "paused"


@dataclass(frozen=True, slots=True)
class Started(Event):
    """A slot was free and a driver took the job."""

    name = "started"


@dataclass(frozen=True, slots=True)
class MetadataReceived(Event):
    """Name and files became known."""

    name = "metadata"
    facts: SourceFacts = field(default_factory=SourceFacts)


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """Figures moved. Not a state change: only the newest matters."""

    name = "progress"
    durable = False
    progress: Progress = field(default_factory=Progress)
    reason: str | None = None
    figures: Figures | None = None


@dataclass(frozen=True, slots=True)
class Publishing(Event):
    """The data is verified and about to appear in the media root under `path`."""

    name = "progress"
    path: str = ""
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class FilesChosen(Event):
    """The user chose which files to have, and which first.

    Attributes:
        priorities: every file's index and priority, 0 = not wanted.
    """

    name = "files"
    priorities: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FolderChosen(Event):
    """The user chose where in the media root the film is to lie once it is there."""

    name = "moved"
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Placed(Event):
    """The user put it elsewhere in the queue.

    Attributes:
        place: where it stands now.
        before: the job it stands directly before, None = it is the last.
    """

    name = "placed"
    place: Place = (0, "")
    before: str | None = None

    @property
    def news(self) -> Mapping[str, Any]:
        """See `Event`."""
        return {"before": self.before}


@dataclass(frozen=True, slots=True)
class Adjusted(Event):
    """The user changed what is asked of the job, or kept with it; all at once.

    Attributes:
        options: all of them, as they are from now on.
        labels: the same.
        files: the same; another selection changes which of them are wanted.
        moving_to: where a finished film is to be moved to, None if it stays where it is.
        mirrors: all of them, as they are from now on.
        candidates: the same.
    """

    name = "adjusted"
    options: Options = field(default_factory=Options)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: tuple[MediaFile, ...] = ()
    moving_to: str | None = None
    mirrors: tuple[FurtherSource, ...] = ()
    candidates: tuple[FurtherSource, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackersChosen(Event):
    """The user chose which trackers a torrent has beside, or instead of, its own."""

    name = "adjusted"
    trackers: TrackerChoice = field(default_factory=TrackerChoice)


@dataclass(frozen=True, slots=True)
class SecretReplaced(Event):
    """The user gave the same source again, with other credentials; no event tells them."""

    name = "adjusted"
    secret: Secret = field(default_factory=Secret)


@dataclass(frozen=True, slots=True)
class Moving(Event):
    """A finished film is about to be moved to `path` in the media root."""

    name = "progress"
    path: str = ""


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """A finished film lies at `path` now, and nowhere else."""

    name = "moved"
    path: str = ""


@dataclass(frozen=True, slots=True)
class NotMoved(Event):
    """A finished film stays where it is, `reason` says why."""

    name = "progress"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The user paused it."""

    name = "paused"


@dataclass(frozen=True, slots=True)
class Resumed(Event):
    """The user wants it to go on; it waits for a slot."""

    name = "resumed"


@dataclass(frozen=True, slots=True)
class Retrying(Event):
    """An attempt failed; the next one is due at `at`."""

    name = "retrying"
    error: JobError = field(default_factory=lambda: JobError("", ""))
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """It gave up its slot until what holds it back is gone; that is no failed attempt.

    Attributes:
        error: what holds it back: the disk, say.
        at: not to be looked at again before, None = as soon as that is gone.
    """

    name = "retrying"
    error: JobError = field(default_factory=lambda: JobError("", ""))
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceChanged(Event):
    """A source was given up, and nothing is left of its data: the next one is taken.

    Attributes:
        before: the one that was given up.
        source: the one that is taken.
        facts: what its text says of it.
        key: the job's new key.
        error: why the one before was given up.
        may_return: the one before was only silent or slow, so it may be tried once more.
    """

    name = "source"
    before: Source = field(default_factory=lambda: Source(SourceType.TORRENT, ""))
    source: Source = field(default_factory=lambda: Source(SourceType.TORRENT, ""))
    facts: SourceFacts = field(default_factory=SourceFacts)
    key: str = ""
    error: JobError = field(default_factory=lambda: JobError("", ""))
    may_return: bool = False

    @property
    def news(self) -> Mapping[str, Any]:
        """See `Event`."""
        return _source_news(self.before, self.source, self.error.message)


@dataclass(frozen=True, slots=True)
class BegunAnew(Event):
    """The file changed where it comes from: what there was of it is thrown away.

    Attributes:
        source: the one that is run.
        reason: a sentence.
    """

    name = "source"
    source: Source = field(default_factory=lambda: Source(SourceType.TORRENT, ""))
    reason: str = ""

    @property
    def news(self) -> Mapping[str, Any]:
        """See `Event`."""
        return _source_news(self.source, self.source, self.reason)


def _source_news(before: Source, after: Source, reason: str) -> Mapping[str, Any]:
    named = {"from": before, "to": after}
    told = {k: {"sourceType": str(s.type), "sourceUrn": s.urn} for k, s in named.items()}
    return {**told, "reason": reason}


@dataclass(frozen=True, slots=True)
class Completed(Event):
    """Every wanted byte is verified and published.

    Attributes:
        seeding: the driver goes on to seed.
    """

    name = "completed"
    progress: Progress = field(default_factory=Progress)
    seeding: bool = False
    figures: Figures | None = None


@dataclass(frozen=True, slots=True)
class SeedingStopped(Event):
    """A completed job stopped seeding, `reason` says why."""

    name = "progress"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Checked(Event):
    """What is on the disk was compared with its hashes, on request; `progress` says how much."""

    name = "progress"
    progress: Progress = field(default_factory=Progress)
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Damaged(Event):
    """A finished film is not what it was any more; `Resumed` would mend it."""

    name = "error"
    error: JobError = field(default_factory=lambda: JobError("", ""))


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """It will not be tried again by itself."""

    name = "error"
    error: JobError = field(default_factory=lambda: JobError("", ""))


@dataclass(frozen=True, slots=True)
class Canceled(Event):
    """The user gave it up."""

    name = "canceled"


@dataclass(frozen=True, slots=True)
class Removed(Event):
    """It was taken from the list."""

    name = "removed"


SNAPSHOT = "snapshot"
"""What a job's present state is called where a change would be."""

FILE, STREAM = "file", "stream"
NEWS = (FILE, STREAM)
"""What can be told of one file of a job: how far it is, and how many readers it has."""

EVENT_NAMES = (
    "queued", "started", "metadata", "files", "moved", "adjusted", "progress", "paused", "resumed",
    "retrying", "completed", "canceled", "error", "removed", "placed", "source", *NEWS,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One event with its number and the job after it.

    Attributes:
        seq: of a stored change, rises by at least one with each and never repeats, not even after
            a crash; of any other, the number of the newest stored change that it builds on.
        event: the event's name, or `snapshot` for a job's present state.
        durable: stored; can be replayed.
        job: the job after the event; None when read back from the store.
        news: what a `file` or `stream` event says, its `index` says of which file; or what a
            `placed` event says.
        name: the film's name, None if it is not known.
        labels: of the job.
    """

    seq: int
    event: str
    id: str
    status: Status
    progress: Progress
    at: datetime
    error: JobError | None = None
    reason: str | None = None
    durable: bool = True
    job: Job | None = None
    news: Mapping[str, Any] | None = None
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def beside(
        cls, seq: int, event: str, about: str, name: str | None, news: Mapping[str, Any]
    ) -> Change:
        """Something that happened beside the jobs, to what has the id `about`; it is not stored."""
        now = utc_now()
        done = Progress()
        return cls(
            seq, event, about, Status.COMPLETED, done, now, durable=False, news=news, name=name
        )

    def is_news_after(self, seq: int) -> bool:
        """Whether it comes after the stored change `seq`, or builds on just that one."""
        return self.seq > seq or (self.seq == seq and not self.durable)

    @property
    def replaces(self) -> object:
        """Of changes that are not durable a later one replaces an older one of the same key."""
        return self.id if self.news is None else (self.id, self.event, self.news.get("index"))

    @classmethod
    def of(
        cls,
        seq: int,
        event: str,
        job: Job,
        *,
        durable: bool = True,
        news: Mapping[str, Any] | None = None,
    ) -> Change:
        """The change that `event` made to what is now `job`."""
        return cls(
            seq=seq,
            event=event,
            id=job.id,
            status=job.status,
            progress=job.progress,
            at=job.updated_at,
            error=job.error,
            reason=job.reason,
            durable=durable,
            job=job,
            news=news,
            name=job.name,
            labels=job.labels,
        )
