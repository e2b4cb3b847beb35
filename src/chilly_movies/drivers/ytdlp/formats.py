"""Which of a page's formats are taken, in the words of yt-dlp's format selection. Pure.

`bv*` is the best format with a picture, `ba` the best with sound alone, `b` the best with both, `w`
the worst; `/` means "or else", `?` lets formats pass that do not say their height.
"""

from __future__ import annotations

from typing import Final

from chilly_movies.jobs.options import VideoQuality

_UP_TO: Final = "bv*[height<=?{0}]+ba/b[height<=?{0}]/wv*+ba/w/bv*/b*"
_UP_TO_ONE_FILE: Final = "b[height<=?{0}]/w"
_JOINED: Final[dict[VideoQuality, str]] = {
    "480": _UP_TO.format(480), "720": _UP_TO.format(720), "1080": _UP_TO.format(1080),
    "2160": _UP_TO.format(2160), "best": "bv*+ba/b/bv*/b*", "audio": "ba/b",
}  # fmt: skip
_ONE_FILE: Final[dict[VideoQuality, str]] = {
    "480": _UP_TO_ONE_FILE.format(480), "720": _UP_TO_ONE_FILE.format(720),
    "1080": _UP_TO_ONE_FILE.format(1080), "2160": _UP_TO_ONE_FILE.format(2160),
    "best": "b", "audio": "ba/b",
}  # fmt: skip


def selector(quality: VideoQuality, *, joins: bool) -> str:
    """What yt-dlp is told to take.

    Args:
        quality: what the caller wants.
        joins: whether parts can be joined: ffmpeg is there.
    """
    return (_JOINED if joins else _ONE_FILE)[quality]
