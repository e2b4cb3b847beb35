"""Playlists: what a player needs to show all films of a job one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from chilly_movies.errors import FileNotFound, NotArrived
from chilly_movies.jobs.models import Job, MediaFile, is_video
from chilly_movies.watching.facts import MediaFactsCache, is_audio

MEDIA_TYPE = "audio/x-mpegurl; charset=utf-8"
"""A plain list. `application/vnd.apple.mpegurl` would say HLS, which this is not."""
_MAX_NAME = 200


def natural_order(files: Sequence[MediaFile]) -> list[MediaFile]:
    """By path as people count: episode 2 before episode 10."""

    def key(file: MediaFile) -> list[tuple[int, int, str]]:
        parts = re.split(r"([0-9]{1,18})", file.path.casefold())
        return [(1, int(p), "") if i % 2 else (2, 0, p) for i, p in enumerate(parts)]

    return sorted(files, key=key)


def playlist(job: Job, facts: MediaFactsCache, link: Callable[[int], str]) -> str:
    """All wanted films of a job, or its music if it has no film, as extended M3U.

    Args:
        job: which.
        facts: who knows how long they are.
        link: makes the absolute link of a file index.

    Raises:
        NotArrived: the files are not known yet.
        FileNotFound: there is nothing to play among them.
    """
    if not job.files:
        raise NotArrived("The files of this download are not known yet.")
    wanted = [file for file in job.files if file.wanted]
    files = [f for f in wanted if is_video(f.path)] or [f for f in wanted if is_audio(f)]
    if not files:
        raise FileNotFound("This download has nothing to play among its chosen files.")
    lines = ["#EXTM3U"]
    for file in natural_order(files):
        known = facts.known(job, file.index)
        seconds = round(known.duration) if known and known.duration else -1
        lines += [f"#EXTINF:{seconds},{entry_name(file)}", link(file.index)]
    return "\n".join(lines) + "\n"


def entry_name(file: MediaFile) -> str:
    """What a player shows: one line, without what could end it or look like an attribute."""
    name = PurePosixPath(file.path).stem
    shown = "".join(c if c.isprintable() else " " for c in name).replace('"', "'")
    return " ".join(shown.split())[:_MAX_NAME] or f"File {file.index}"
