"""The user's settings of the disk."""

from __future__ import annotations

from dataclasses import dataclass

from chilly_movies.disk.roots import read_roots
from chilly_movies.runtime.setting_fields import setting


@dataclass(frozen=True, kw_only=True)
class DiskSettings:
    """What of the disk may be used beside the media folder."""

    roots: tuple[str, ...] = setting(
        (),
        "folders that films may be taken from: films=/srv/films,drop=~/drop",
        check=read_roots,
    )
