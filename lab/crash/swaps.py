"""Ways to put a copy in the place of a folder in which a film arrives, by what users do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.crash.mounts import require_mounts, tmpfs

_DISK = 64 << 20
STEPS = (
    "publish.verified", "closing.taken", "closing.flushed", "closing.stored",
    "publish.flushed", "publish.told", "publish.renamed",
)  # fmt: skip
"""Every moment between the last check of a film and its completion."""


class Swap:
    """A copy that takes a folder's place.

    Args:
        media: the media folder, which need not be there yet.
        aside: a folder for the copy, which may lie on another disk.
    """

    link = False
    """Whether the media folder is a link from the beginning."""

    def __init__(self, media: Path, aside: Path) -> None:
        self.media = media
        self.aside = aside
        if self.link:
            (aside / "first").mkdir(parents=True)
            media.parent.mkdir(parents=True, exist_ok=True)
            media.symlink_to(aside / "first")

    def place(self) -> Path:
        """The folder that is replaced."""
        return self.media

    def copied(self) -> Path:
        """Where its copy lies at first."""
        return self.aside / "media"

    def copy(self) -> None:
        """Copy what is there, as it is now."""
        self.copied().parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", f"{self.place()}/.", str(self.copied())], check=True)

    def is_whole(self, film: Path) -> bool:
        """Whether all of the film is in the copy."""
        made = self.aside.joinpath("media").rglob(film.name)
        return any(copy.read_bytes() == film.read_bytes() for copy in made)

    def swap(self) -> None:
        """Put the copy in its place."""
        place = self.place()
        place.rename(self.media.with_name(f"old {place.name}"))
        self.put()

    def put(self) -> None:
        """The place is free: the copy takes it."""
        self.copied().rename(self.place())


class Linked(Swap):
    """The media folder is copied, and becomes a link to the copy."""

    def put(self) -> None:
        """See `Swap`."""
        self.media.symlink_to(self.copied())


class Renamed(Swap):
    """The media folder is copied, and the copy gets its name."""


class Incomplete(Swap):
    """The same with the folder of all unfinished films."""

    def place(self) -> Path:
        """See `Swap`."""
        return self.media / ".incomplete"


class OfJob(Swap):
    """The same with the folder of one job."""

    def place(self) -> Path:
        """See `Swap`."""
        return next(f for f in (self.media / ".incomplete").iterdir() if f.is_dir())

    def swap(self) -> None:
        """See `Swap`."""
        place = self.place()
        place.rename(self.media.with_name("old job"))
        self.copied().rename(place)


class Turned(Swap):
    """The media folder is a link, which is made to lead to a copy."""

    link = True

    def swap(self) -> None:
        """See `Swap`."""
        self.turn(self.copied())

    def turn(self, to: Path) -> None:
        """Let the link lead there, at once."""
        fresh = self.media.with_name("fresh")
        fresh.symlink_to(to)
        fresh.replace(self.media)


class TurnedBack(Turned):
    """It led to the copy since that was made, and is turned back."""

    def copy(self) -> None:
        """See `Swap`."""
        super().copy()
        self.turn(self.copied())

    def swap(self) -> None:
        """See `Swap`."""
        self.turn(self.aside / "first")


WAYS: Mapping[str, type[Swap]] = {
    "copied and linked": Linked,
    "copied to another disk and linked": Linked,
    "copied and renamed": Renamed,
    "all unfinished": Incomplete,
    "one job": OfJob,
    "link turned away": Turned,
    "link turned away and back": TurnedBack,
}


def steps_for(way: str) -> tuple[str, ...]:
    """Two of the steps, so that all ways together have each twice; `CHILLY_ALL_STEPS`: each."""
    if os.environ.get("CHILLY_ALL_STEPS"):
        return STEPS
    first = list(WAYS).index(way)
    return STEPS[first], STEPS[(first + 3) % len(STEPS)]


@contextmanager
def swapped(way: str, folder: Path) -> Iterator[Swap]:
    """One of the ways for the media folder in this folder; another disk needs root."""
    aside = folder / "aside"
    if "disk" not in way:
        yield WAYS[way](folder / "media", aside)
        return
    require_mounts()
    with tmpfs(aside, _DISK):
        yield WAYS[way](folder / "media", aside)
