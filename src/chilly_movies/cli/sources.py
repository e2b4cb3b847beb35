"""What the user may type as a SOURCE, as `--files` and as `--secrets`."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.jobs.requests import clean_link
from chilly_movies.jobs.secrets import CREDENTIALS

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MAX_TORRENT = 10 * 1024 * 1024
_TORRENT = re.compile(rb"d\d{1,3}:[a-z]")
"""How a torrent file begins (BEP 3), whatever it is called."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source as it was typed: a link, or the bytes of a torrent file.

    Attributes:
        text: as typed.
        urn: the link or path, None if `torrent` is there.
        torrent: the bytes of a `.torrent` file.
    """

    text: str
    urn: str | None = None
    torrent: bytes | None = None

    @property
    def is_path(self) -> bool:
        """Whether it is a path, of this machine or below a root of the server's."""
        return self.urn is not None and "/" in self.urn and not _SCHEME.match(self.urn)

    @property
    def digest(self) -> str:
        """A key that is the same for the same source, wherever a torrent file lies."""
        data = self.torrent if self.torrent is not None else (self.urn or "").encode()
        return hashlib.sha256(data).hexdigest()


def read_source(text: str) -> Wanted:
    """Reads what a SOURCE stands for. Whether it is good is for the downloader to say.

    What is no link and lies on this machine is meant: a torrent file, or a film or folder of films.

    Raises:
        CommandFailed: it looks like a file of this machine and cannot be read.
    """
    text, link = text.strip(), clean_link(text)
    if link.lower().startswith("file:"):
        text = _path_of(link)
    elif _SCHEME.match(link):
        return Wanted(link, urn=link)
    path = Path(text).expanduser()
    try:
        if "/" in text and path.is_dir():
            return Wanted(text, urn=str(path.absolute()))
        if path.suffix.lower() != ".torrent" and not path.is_file():
            return _named_elsewhere(text, link)
        with path.open("rb") as file:
            is_torrent = path.suffix.lower() == ".torrent" or _TORRENT.match(file.peek(8))
            data = file.read(_MAX_TORRENT + 1) if is_torrent else b""
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no path"
        raise CommandFailed(f"The file {text} cannot be read: {why}.", Exit.USAGE) from None
    if not is_torrent:
        return Wanted(text, urn=str(path.absolute()))
    if len(data) > _MAX_TORRENT:
        raise CommandFailed(f"{text} is too large for a torrent file.", Exit.USAGE)
    return Wanted(text, torrent=data)


def _named_elsewhere(text: str, link: str) -> Wanted:
    """What is neither a link nor a file here: an info hash, or a path below a root of a server.

    Raises:
        CommandFailed: only a file of this machine could be meant.
    """
    if text.startswith(("/", "./", "../", "~")):
        raise CommandFailed(f"There is no file or folder {text}.", Exit.USAGE)
    return Wanted(link, urn=link)


def _path_of(link: str) -> str:
    """Returns the path that a `file:` link names (RFC 8089).

    Raises:
        CommandFailed: it names none, or one of another machine.
    """
    try:
        parts = urlsplit(link)
    except ValueError:
        parts = urlsplit("")
    if not parts.path or parts.netloc.lower() not in ("", "localhost"):
        raise CommandFailed(f"{link} names no file of this machine.", Exit.USAGE)
    return url2pathname(parts.path)


def read_sources(texts: tuple[str, ...]) -> list[Wanted]:
    """Reads all sources, each once.

    Raises:
        CommandFailed: there is none, or one cannot be read.
    """
    if not texts:
        raise CommandFailed(
            "Give at least one SOURCE: a magnet link, an info hash, a link to a torrent file, to a "
            "film or to a page with one, or a path.",
            Exit.USAGE,
        )
    found = {wanted.digest: wanted for wanted in map(read_source, texts)}
    return list(found.values())


def read_files(text: str | None) -> list[int] | None:
    """Reads file indices like `0,2`.

    Raises:
        CommandFailed: they have another form.
    """
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,9}(\s*,\s*\d{1,9})*", text):
        raise CommandFailed("--files takes file indices like 0,2.", Exit.USAGE)
    return sorted({int(part) for part in text.split(",")})


def read_secrets(path: Path | None) -> dict[str, Any]:
    """Reads what the server of a source wants to know from a JSON file; `-` is standard input.

    Of words of a command line every user of the machine may read in the list of processes.

    Raises:
        CommandFailed: it cannot be read, or is no JSON object.
    """
    if path is None:
        return {}
    try:
        found = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CommandFailed("--secrets takes a file with one JSON object.", Exit.USAGE)
    return {name: found[name] for name in CREDENTIALS if name in found}
