"""The user's settings of the library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chilly_movies.runtime.setting_fields import setting


def _absolute(path: Path | None) -> None:
    if path is not None and not path.is_absolute():
        raise ValueError("must begin with / or ~")


@dataclass(frozen=True, kw_only=True)
class LibrarySettings:
    """Whether films that have arrived are kept in a library, and where they are filed."""

    enabled: bool = setting(True, "films that have arrived are in a library", name="library")
    root: Path | None = setting(
        None,
        "folder that films are filed in for media servers; none = they are not",
        name="library_root",
        check=_absolute,
    )
    naming: Literal["jellyfin", "kodi", "plex"] = setting(
        "jellyfin", "the media server whose rules names follow", name="library_naming"
    )
