"""The user's settings of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from chilly_movies.runtime.setting_fields import setting


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """How many downloads run, and what keeps one from it."""

    max_active: int = setting(3, "downloads at once", ge=1, le=1000)
    max_active_disk: int = setting(
        2, "imports from a disk at once, which wait for no download", ge=1, le=1000
    )
    min_free_space: int = setting(
        1_000_000_000, "bytes that stay free beside the films", ge=0, le=2**60
    )
    metadata_tries: int = setting(
        100, "how often it waits so before it fails, 0 = without end", ge=0, le=10**6
    )
    source_tries: int = setting(
        5, "tries of a source with trouble before the job's next candidate is taken", ge=1, le=1000
    )
    source_patience: int = setting(
        90,
        "seconds without data until the job's next candidate is taken, 0 = never for that",
        ge=0,
        le=10**7,
    )
    source_slow: int = setting(
        300,
        "seconds below the speed of source_min_speed until the job's next candidate is taken, "
        "0 = never for that",
        ge=0,
        le=10**7,
    )
    source_min_speed: int = setting(
        30_000,
        "bytes per second that a source with candidates behind it has to send",
        ge=0,
        le=10**9,
    )
