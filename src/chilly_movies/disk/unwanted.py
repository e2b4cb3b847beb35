"""Which names on a disk are no part of a film: hidden, half-written, or a system's own."""

from __future__ import annotations

_HALF_WRITTEN = frozenset(
    ("part", "partial", "filepart", "crdownload", "download", "opdownload", "tmp", "temp", "ytdl",
     "aria2", "!qb", "!ut", "!bt", "bc!", "dtapart", "td")
)  # fmt: skip
"""Suffixes that browsers and other programs give what they still write to."""
_SYSTEM = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "#recycle", "@eadir", "lost+found",
     "system volume information", "__macosx")
)  # fmt: skip
"""What systems and network disks leave in every folder, in lower case."""


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden, half-written, or a system's own."""
    low = name.lower()
    return low.startswith(".") or low in _SYSTEM or is_half_written(low)


def is_half_written(name: str) -> bool:
    """Whether a name says that its file is still being written."""
    return name.endswith("~") or name.lower().rpartition(".")[2] in _HALF_WRITTEN
