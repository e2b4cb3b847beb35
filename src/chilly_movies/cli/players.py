"""Film players: which there are, and how each is told what to show. Never through a shell."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.output import clean

_ADDRESS = re.compile(r"https?://[!$-\[\]-~]{1,4000}", re.IGNORECASE)
"""Whole and short, without spaces, quotes, backslashes and the `#` that VLC parts them by."""
_MAX_TITLE = 200


@dataclass(frozen=True, slots=True)
class Show:
    """The film and subtitles that a player is to show.

    Attributes:
        url: of the film.
        title: its name; may come from strangers.
        subtitles: addresses of WebVTT.
    """

    url: str
    title: str
    subtitles: Sequence[str] = ()


# Texts of strangers stand behind an `=` only, so that none can be taken for an option.
def _mpv(show: Show) -> list[str]:
    subtitles = [f"--sub-file={url}" for url in show.subtitles]
    return [f"--force-media-title={show.title}", *subtitles, "--", show.url]


def _vlc(show: Show) -> list[str]:
    subtitles = ["--input-slave=" + "#".join(show.subtitles)] if show.subtitles else []
    return ["--play-and-exit", f"--meta-title={show.title}", *subtitles, show.url]


def _iina(show: Show) -> list[str]:
    subtitles = [f"--mpv-sub-file={url}" for url in show.subtitles]
    return ["--keep-running", f"--mpv-force-media-title={show.title}", *subtitles, show.url]


def _ffplay(show: Show) -> list[str]:
    return ["-autoexit", "-loglevel", "error", "-window_title", f"{show.title} ", show.url]


def _plain(show: Show) -> list[str]:
    return [show.url]


_KNOWN: dict[str, Callable[[Show], list[str]]] = {
    "mpv": _mpv,
    "vlc": _vlc,
    "iina": _iina,
    "iina-cli": _iina,
    "celluloid": _plain,
    "ffplay": _ffplay,
}
"""In the order they are looked for."""


def find_player(wish: str | None) -> list[str] | None:
    """Returns the program's path and name, or the first of the known ones; None if there is none.

    Raises:
        CommandFailed: the wish is not installed.
    """
    for name in [wish] if wish else _KNOWN:
        if path := shutil.which(name):
            return [path, Path(name).stem]
    if wish:
        raise CommandFailed(f"The player {wish} is not installed.", Exit.USAGE)
    return None


def command(player: Sequence[str], show: Show) -> list[str]:
    """Returns what to run: a program and its words.

    Args:
        player: as `find_player` gives it; unknown ones get the address alone.
        show: what to show.

    Raises:
        CommandFailed: an address is none, so a player could take it for something else.
    """
    if not all(map(_ADDRESS.fullmatch, (show.url, *show.subtitles))):
        raise CommandFailed("The server gave an address that no player may be given.")
    path, name = player
    show = replace(show, title=clean(show.title[:_MAX_TITLE]))
    return [path, *_KNOWN.get(name, _plain)(show)]
