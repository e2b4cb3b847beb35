"""Every error this package raises on purpose.

    ChillyError
    ├── RequestError                 what the caller asked cannot be done
    │   ├── InvalidRequest           422 invalid_request
    │   │   ├── InvalidSource        422 invalid_source
    │   │   └── UnsupportedSource    422 unsupported_source
    │   ├── JobNotFound              404 job_not_found
    │   ├── ItemNotFound             404 item_not_found
    │   ├── PathNotFound             404 path_not_found
    │   ├── SubtitleNotFound         404 subtitle_not_found
    │   │   └── SubtitleUnreadable   404 subtitle_unreadable
    │   ├── FileNotFound             404 file_not_found
    │   ├── WebhookNotFound          404 webhook_not_found
    │   ├── TrackerNotFound          404 tracker_not_found
    │   ├── NoSwarm                  409 no_swarm
    │   ├── NotReadable              409 not_readable
    │   ├── IllegalTransition        409 illegal_transition
    │   ├── IdInUse                  409 id_in_use
    │   └── DuplicateDownload        409 duplicate_download
    ├── DownloadError                a job went wrong; stored in the job, not answered
    │   ├── SourceUnavailable        source_unavailable   (retried)
    │   │   └── NoMetadata           no_metadata          (retried)
    │   ├── SourceNotFound           source_not_found     (retried)
    │   ├── DiskError                disk_error           (retried)
    │   │   ├── DiskFull             disk_full            (retried)
    │   │   └── OutOfDescriptors     out_of_descriptors   (retried)
    │   ├── SourceRejected           source_rejected
    │   ├── FilmDamaged              damaged
    │   └── DriverCrashed            driver_crashed       (retried)
    ├── MetadataError                the film catalogue
    │   ├── MetadataNotConfigured    503 metadata_not_configured
    │   ├── MetadataUnavailable      503 metadata_unavailable (retried)
    │   └── TitleNotFound            404 title_not_found
    ├── NotArrived                   503 not_arrived         (retried)
    ├── JobLost                      409 job_lost
    ├── StoreError                   503 store_unavailable
    │   └── StoreFromTheFuture       503 store_from_the_future
    ├── EngineError                  503 engine_unavailable
    │   └── EngineRestarts           503 engine_restarts     (retried)
    ├── StreamStalled                503 stream_stalled
    └── SettingsError                500 invalid_setting

`code` is stable and for programs, the message is one sentence for people,
`status_hint` proposes an HTTP status, `retryable` says whether trying again may help.
"""

from __future__ import annotations

from typing import ClassVar, Self


class ChillyError(Exception):
    """Root of the tree. `str(error)` is one sentence that may be shown to anybody."""

    code: ClassVar[str] = "internal_error"
    status_hint: ClassVar[int] = 500
    retryable: ClassVar[bool] = False


class RequestError(ChillyError):
    """The caller asked for something that cannot be done."""

    code = "bad_request"
    status_hint = 400


class InvalidRequest(RequestError):
    """A value has the wrong form.

    Args:
        message: one sentence.
        field: the request field it concerns, in the spelling of the wire.
    """

    code = "invalid_request"
    status_hint = 422

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidSource(InvalidRequest):
    """The source is broken: not a magnet, not a torrent, not a URL we read."""

    code = "invalid_source"

    def __init__(self, message: str, *, field: str | None = "sourceUrn") -> None:
        super().__init__(message, field=field)


class UnsupportedSource(InvalidRequest):
    """No driver for this source type is installed."""

    code = "unsupported_source"

    def __init__(self, message: str, *, field: str | None = "sourceType") -> None:
        super().__init__(message, field=field)


class JobNotFound(RequestError):
    """No job has this id."""

    code = "job_not_found"
    status_hint = 404


class ItemNotFound(RequestError):
    """The library has no item with this id."""

    code = "item_not_found"
    status_hint = 404


class PathNotFound(RequestError):
    """Nothing lies at this path."""

    code = "path_not_found"
    status_hint = 404


class SubtitleNotFound(RequestError):
    """The job has no such subtitles."""

    code = "subtitle_not_found"
    status_hint = 404


class SubtitleUnreadable(SubtitleNotFound):
    """They are listed, but nothing can be made of them."""

    code = "subtitle_unreadable"


class FileNotFound(RequestError):
    """The job has no such file, or it is gone from the disk."""

    code = "file_not_found"
    status_hint = 404


class WebhookNotFound(RequestError):
    """No webhook has this id."""

    code = "webhook_not_found"
    status_hint = 404


class TrackerNotFound(RequestError):
    """The torrent has no such tracker."""

    code = "tracker_not_found"
    status_hint = 404


class NoSwarm(RequestError):
    """The job is no torrent: it has no trackers, peers or pieces."""

    code = "no_swarm"
    status_hint = 409


class NotReadable(RequestError):
    """The file cannot be read as the job stands; the message says what would help."""

    code = "not_readable"
    status_hint = 409


class IllegalTransition(RequestError):
    """The state table has no such step; the message names both states."""

    code = "illegal_transition"
    status_hint = 409


class IdInUse(RequestError):
    """The id belongs to a job with another source."""

    code = "id_in_use"
    status_hint = 409


class DuplicateDownload(RequestError):
    """Another job already downloads this.

    Args:
        message: one sentence.
        existing_id: the id of the job that has it.
    """

    code = "duplicate_download"
    status_hint = 409

    def __init__(self, message: str, *, existing_id: str) -> None:
        super().__init__(message)
        self.existing_id = existing_id


class DownloadError(ChillyError):
    """A job went wrong. Raised by drivers, stored in the job."""

    code = "download_error"
    status_hint = 502


class SourceUnavailable(DownloadError):
    """The source does not answer or answers with an error; it may come back.

    Attributes:
        is_final: it was waited for long enough, as there is another one.
        is_ours: our own network is away, and the source not at fault.
        retry_after: seconds its server wants to be left alone, None if it said nothing.
    """

    code = "source_unavailable"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        is_final: bool = False,
        is_ours: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.is_final = is_final
        self.is_ours = is_ours
        self.retry_after = retry_after


class NoMetadata(SourceUnavailable):
    """Nobody sent the metadata of a magnet in time; somebody may later."""

    code = "no_metadata"
    status_hint = 504


class SourceNotFound(DownloadError):
    """The source's server says that it has no such thing; it may be put there later."""

    code = "source_not_found"
    retryable = True


class DiskError(DownloadError):
    """Reading or writing the film failed: read-only, vanished, broken."""

    code = "disk_error"
    retryable = True


class DiskFull(DiskError):
    """There is no room for the film, or there will be none when it has arrived."""

    code = "disk_full"


class OutOfDescriptors(DiskError):
    """The server or its machine can open no more files and connections for now."""

    code = "out_of_descriptors"
    status_hint = 503


class SourceRejected(DownloadError):
    """The source arrived and is not acceptable; trying again would not change it."""

    code = "source_rejected"


class FilmDamaged(DownloadError):
    """A published film is not what it was any more. It is not touched unless asked for.

    Attributes:
        is_gone: one of its files is not there at all; the disk it is on may only be away.
    """

    code = "damaged"

    def __init__(self, message: str, *, is_gone: bool = False) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class DriverCrashed(DownloadError):
    """A driver raised something it should not have."""

    code = "driver_crashed"
    retryable = True


class MetadataError(ChillyError):
    """The film catalogue cannot answer."""

    code = "metadata_error"
    status_hint = 503


class MetadataNotConfigured(MetadataError):
    """No catalogue key is set."""

    code = "metadata_not_configured"


class MetadataUnavailable(MetadataError):
    """The catalogue does not answer, or answers nonsense."""

    code = "metadata_unavailable"
    retryable = True


class TitleNotFound(MetadataError):
    """The catalogue has no such title."""

    code = "title_not_found"
    status_hint = 404


class NotArrived(ChillyError):
    """What was asked for is being downloaded."""

    code = "not_arrived"
    status_hint = 503
    retryable = True


class JobLost(ChillyError):
    """Another server runs the job now, or it is gone: nothing was written."""

    code = "job_lost"
    status_hint = 409

    @classmethod
    def of(cls, job_id: str) -> Self:
        """The error of the job with this id."""
        return cls(f"Job '{job_id}' is not this server's any more; look at it again.")


class StoreError(ChillyError):
    """The database cannot be read or written."""

    code = "store_unavailable"
    status_hint = 503


class StoreFromTheFuture(StoreError):
    """The database was written by a newer version of this program."""

    code = "store_from_the_future"


class EngineError(ChillyError):
    """What runs a job cannot start, stopped, or is not there."""

    code = "engine_unavailable"
    status_hint = 503


class EngineRestarts(EngineError):
    """The torrent engine is given up for a new one, though nothing is wrong with the job."""

    code = "engine_restarts"
    retryable = True


class StreamStalled(ChillyError):
    """The bytes a reader waits for did not arrive in time; they may later."""

    code = "stream_stalled"
    status_hint = 503


class SettingsError(ChillyError):
    """A setting is unknown or malformed; the message names it."""

    code = "invalid_setting"
