"""Trouble of yt-dlp in sentences of ours."""

from __future__ import annotations

import errno

import pytest

from chilly_movies.drivers.ytdlp.reasons import error_of, shown
from chilly_movies.drivers.ytdlp.words import Trouble, read
from chilly_movies.errors import (
    DiskFull,
    DownloadError,
    DriverCrashed,
    SourceNotFound,
    SourceRejected,
    SourceUnavailable,
)
from chilly_movies.jobs.secrets import Secret

_KINDS = ("DownloadError", "ExtractorError")


def trouble(says: str = "", *kinds: str, **more: object) -> Trouble:
    return Trouble.model_validate(
        {"is": "trouble", "says": says, "kinds": (*_KINDS, *kinds), **more}
    )


TOLD: tuple[tuple[Trouble, type[DownloadError], str], ...] = (
    (
        trouble(
            "ERROR: [youtube] x: Video unavailable. This video has been removed by the uploader"
        ),
        SourceRejected,
        "removed",
    ),
    (
        trouble("ERROR: [youtube] x: This video has been removed for violating YouTube's policy"),
        SourceRejected,
        "removed",
    ),
    (
        trouble(
            "ERROR: [youtube] x: Private video. Sign in if you've been granted access to this video"
        ),
        SourceRejected,
        "private",
    ),
    (
        trouble(
            "The uploader has not made this video available in your country", "GeoRestrictedError"
        ),
        SourceRejected,
        "country",
    ),
    (
        trouble("ERROR: [youtube] x: Sign in to confirm your age. This may be inappropriate"),
        SourceRejected,
        "age",
    ),
    (
        trouble("ERROR: [youtube] x: Sign in to confirm you're not a bot. Use --cookies"),
        SourceRejected,
        "sign-in",
    ),
    (
        trouble(
            "ERROR: [vimeo] 1: The web client only works when logged-in. Use --cookies", status=None
        ),
        SourceRejected,
        "sign-in",
    ),
    (
        trouble(
            "Unable to download webpage: HTTP Error 401: Unauthorized", "HTTPError", status=401
        ),
        SourceRejected,
        "sign-in",
    ),
    (
        trouble("ERROR: [youtube] x: Join this channel to get access to members-only content"),
        SourceRejected,
        "sign-in",
    ),
    (
        trouble(
            "Requested format is not available",
            warned=("No supported JavaScript runtime could be found. Only deno is enabled",),
        ),
        SourceRejected,
        "JavaScript",
    ),
    (
        trouble(
            "You have requested merging of multiple formats but ffmpeg is not installed. Aborting"
        ),
        SourceRejected,
        "ffmpeg",
    ),
    (
        trouble("Requested format is not available. Use --list-formats", "NoFFmpeg"),
        SourceRejected,
        "ffmpeg",
    ),
    (trouble("ffprobe and ffmpeg not found. Please install"), SourceRejected, "ffmpeg"),
    (trouble("Unsupported URL: https://x.example/", "UnsupportedError"), SourceRejected, "No film"),
    (trouble("ERROR: [youtube] x: Premieres in 3 hours"), SourceUnavailable, "not begun"),
    (
        trouble("ERROR: [youtube] x: This live event will begin in 2 days."),
        SourceUnavailable,
        "not begun",
    ),
    (trouble("x is not currently live", "UserNotLive"), SourceUnavailable, "not begun"),
    (trouble("", "LiveError"), SourceRejected, "running"),
    (
        trouble("HTTP Error 429: Too Many Requests", "HTTPError", status=429),
        SourceUnavailable,
        "too often",
    ),
    (trouble("HTTP Error 404: Not Found", "HTTPError", status=404), SourceNotFound, "no such page"),
    (trouble("HTTP Error 410: Gone", "HTTPError", status=410), SourceRejected, "removed"),
    (trouble("HTTP Error 403: Forbidden", "HTTPError", status=403), SourceUnavailable, "403"),
    (
        trouble("HTTP Error 503: Busy", "HTTPError", status=503),
        SourceUnavailable,
        "does not answer",
    ),
    (
        trouble("The read operation timed out", "TransportError"),
        SourceUnavailable,
        "does not answer",
    ),
    (trouble("This format is DRM protected; Try selecting another format"), SourceRejected, "DRM"),
    (
        trouble("unable to write data: [Errno 28] No space left", "OSError", errno=errno.ENOSPC),
        DiskFull,
        "disk",
    ),
    (
        Trouble.model_validate({"is": "trouble", "kinds": ("KeyError",), "says": "'x'"}),
        DriverCrashed,
        "'x'",
    ),
)


@pytest.mark.parametrize(("said", "kind", "word"), TOLD)
def test_what_yt_dlp_says_is_told_in_our_words(
    said: Trouble, kind: type[DownloadError], word: str
) -> None:
    error = error_of(said)
    assert type(error) is kind
    assert word in str(error)
    assert str(error).endswith(".")
    assert "--" not in str(error)


def test_what_nobody_foresaw_is_shown_without_links_secrets_and_advice() -> None:
    secret = Secret("mara", "pw0canary", headers=(("X-Key", "key0canary"),))
    says = (
        "ERROR: [site] 1a: No token for mara key0canary at https://a.example/?t=pw0canary \x1b[31m"
        "(caused by KeyError('x')); please report this issue on https://b.example"
    )
    told = shown(says, secret)
    assert told == "No token for *** *** at <link> [31m"
    assert "yt-dlp could not get the film: " + told + "." == str(error_of(trouble(says), secret))


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b'{"is":"more"}', b'{"is":"alive","x":1}', b'{"is":"done","film":"../x"}',
        b'{"is":"done","film":"film-0123456789ab/../x.mp4"}', b'{"is":"moved","done":-1}',
        b'{"is":"done","film":"film-0123456789ab.mp4","subtitles":{"../x":"film-0123456789ab.vtt"}}',
        b'{"is":"found","title":"x","suffix":"mp4/x"}', b"\xff",
    ],
)  # fmt: skip
def test_a_child_that_was_taken_over_is_not_understood(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"validation error|codec"):
        read(line)
