"""Makes torrents of files and folders that lie on the disk.

The engine reads and hashes in threads of its own, but holds Python's lock until a piece is done;
between two pieces we let others run. On a disk that takes long for a piece the event loop waits
that long: a compromise, measured at 0.05 s with pieces of 16 MiB.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import libtorrent as lt

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.urls import tidy_url
from chilly_movies.drivers.torrent.making.content import Content, read_content, shown
from chilly_movies.errors import DiskError, InvalidRequest, InvalidSource
from chilly_movies.jobs.models import MediaFile
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES
from chilly_movies.jobs.torrents import MadeTorrent, TorrentVersion
from chilly_movies.runtime.tasks import to_the_end
from chilly_movies.version import __version__

MAX_TRACKERS = 100
MAX_WEB_SEEDS = 20
MAX_COMMENT = 2000
_MAX_URL = 2048
_PIECE_SIZES = tuple(2**power for power in range(14, 28))
_MAX_PIECES = 200_000
_TELL_INTERVAL = 0.1
_TRACKER_SCHEMES = ("http", "https", "udp", "ws", "wss")
_FLAGS = {
    TorrentVersion.HYBRID: 0,
    TorrentVersion.V1: lt.create_torrent.v1_only,
    TorrentVersion.V2: lt.create_torrent.v2_only,
}


class _Stopped(Exception):
    """Nobody wants the torrent any more."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What to make, checked."""

    path: Path
    version: TorrentVersion
    trackers: tuple[str, ...]
    web_seeds: tuple[str, ...]
    private: bool
    piece_size: int
    name: str
    comment: str


async def make_torrent(
    path: Path,
    *,
    version: TorrentVersion | str = TorrentVersion.HYBRID,
    trackers: Sequence[str] = (),
    web_seeds: Sequence[str] = (),
    private: bool = False,
    piece_size: int = 0,
    name: str | None = None,
    comment: str = "",
    on_progress: Callable[[float], None] | None = None,
) -> MadeTorrent:
    """Make a torrent in a thread; cancelling stops that.

    Args:
        path: a file or folder, absolute. Hidden files and symlinks in a folder are left out.
        version: which info hashes it gets.
        trackers: announce URLs, each a tier of its own.
        web_seeds: URLs of the same data over HTTP (BEP 19).
        private: peers come from the trackers alone (BEP 27).
        piece_size: bytes, a power of two from 16 KiB; 0 = what fits the size.
        name: what the torrent calls the data; None = as it is called on the disk.
        comment: for people.
        on_progress: called in the event loop now and then with the share that is read, 0-1.

    Raises:
        PathNotFound: nothing lies there.
        InvalidRequest: it cannot be shared, or an argument is malformed.
        DiskError: the disk refused, or the data changed meanwhile.
    """
    if version not in set(TorrentVersion):
        known = ", ".join(TorrentVersion)
        raise InvalidRequest(f"The version must be one of {known}.", field="version")
    recipe = _Recipe(
        path,
        TorrentVersion(version),
        _urls("trackers", trackers, _TRACKER_SCHEMES, MAX_TRACKERS),
        _urls("webSeeds", web_seeds, ("http", "https"), MAX_WEB_SEEDS),
        private,
        piece_size,
        path.name if name is None else name,
        comment,
    )
    if piece_size and piece_size not in _PIECE_SIZES:
        raise InvalidRequest(
            "The piece size must be a power of two from 16384 to 134217728 bytes.",
            field="pieceSize",
        )
    if len(comment) > MAX_COMMENT or "\0" in comment:
        raise InvalidRequest(f"The comment may have {MAX_COMMENT} characters.", field="comment")
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def tell(share: float) -> None:
        if on_progress is not None:
            loop.call_soon_threadsafe(on_progress, share)

    return await to_the_end(asyncio.to_thread(_make, recipe, stop, tell), hurry=stop.set)


def with_websockets(
    trackers: Sequence[str], websockets: Sequence[str], version: TorrentVersion, *, private: bool
) -> tuple[str, ...]:
    """The trackers, and those that bring browsers together unless the torrent is not for them.

    Args:
        trackers: what the user wants.
        websockets: the settings' WebSocket trackers.
        version: browsers know no torrents with a v2 hash only.
        private: peers come from the user's trackers alone (BEP 27).
    """
    if private or version is TorrentVersion.V2:
        return tuple(trackers)
    return tuple(dict.fromkeys([*trackers, *websockets]))[: max(MAX_TRACKERS, len(trackers))]


# --- in the thread ------------------------------------------------------------------------------


def _make(recipe: _Recipe, stop: threading.Event, tell: Callable[[float], None]) -> MadeTorrent:
    content = read_content(recipe.path, recipe.version)
    _refuse_odd_names(recipe, content)
    entries = [lt.create_file_entry(file.path, file.size) for file in content.files]
    made = lt.create_torrent(entries, recipe.piece_size, _FLAGS[recipe.version])
    if made.num_pieces() > _MAX_PIECES:
        raise InvalidRequest("There would be too many pieces: take larger ones.", field="pieceSize")
    for tier, url in enumerate(recipe.trackers):
        made.add_tracker(url, tier)
    for url in recipe.web_seeds:
        made.add_url_seed(url)
    made.set_priv(recipe.private)
    made.set_creator(f"Chilly Movies {__version__}")
    if recipe.comment:
        made.set_comment(recipe.comment)
    _hash(made, content.folder, stop, tell)
    content.refuse_if_changed()
    torrent: Any = made.generate()
    # the engine knows only the name on the disk
    info, name = torrent[b"info"], recipe.name.encode()
    tree = info.get(b"file tree", {})
    if list(tree) == [info[b"name"]] and b"" in tree[info[b"name"]]:  # one file, no folder
        info[b"file tree"] = {name: tree[info[b"name"]]}
    info[b"name"] = name
    data: bytes = lt.bencode(torrent)
    if len(data) > MAX_TORRENT_BYTES:
        raise InvalidRequest(
            "The torrent file would be too large: take larger pieces.", field="pieceSize"
        )
    try:
        params = p.parse_torrent(data)
    except InvalidSource as error:
        raise InvalidRequest(f"No torrent can be made of this: {error}", field="path") from None
    return _result(data, params, recipe.path.name)


def _hash(
    made: lt.create_torrent, folder: Path, stop: threading.Event, tell: Callable[[float], None]
) -> None:
    total, told = made.num_pieces(), time.monotonic()

    def piece_done(index: int) -> None:
        nonlocal told
        if stop.is_set():
            raise _Stopped
        if time.monotonic() - told >= _TELL_INTERVAL:
            told = time.monotonic()
            tell((index + 1) / total)
        time.sleep(0)  # let other threads run

    try:
        lt.set_piece_hashes(made, str(folder), piece_done)
    except RuntimeError as error:
        raise DiskError(f"The data cannot be read: {p.plain(error)}.") from None
    tell(1.0)


def _result(data: bytes, params: lt.add_torrent_params, top: str) -> MadeTorrent:
    info = params.ti
    assert info is not None  # noqa: S101 (for the type checker)
    params.name = info.name()  # else the link has none
    hashes, layout, facts = (
        info.info_hashes(),
        info.layout(),
        p.read_metadata(info, programs=True).facts,
    )
    files = tuple(
        MediaFile(
            file.index, "/".join([top, *layout.file_path(file.index).split("/")[1:]]), file.size
        )
        for file in facts.files
    )
    return MadeTorrent(
        data=data,
        magnet=lt.make_magnet_uri(params),
        name=info.name(),
        v1=str(hashes.v1) if hashes.has_v1() else None,
        v2=str(hashes.v2) if hashes.has_v2() else None,
        size=sum(file.size for file in files),
        files=files,
        piece_size=info.piece_length(),
    )


def _refuse_odd_names(recipe: _Recipe, content: Content) -> None:
    """Have the engine read a torrent of these names: it renames or refuses what would be unsafe."""
    rests = [file.path.split("/")[1:] for file in content.files]
    if rests == [[recipe.name]] and recipe.version is not TorrentVersion.V1:
        raise InvalidRequest(
            f"The folder '{recipe.name}' holds only a file of its own name: only v1 can tell that.",
            field="path",
        )
    if _names_in_a_torrent(recipe.name, rests) == _wanted_names(recipe.name, rests):
        return
    for rest in rests:  # which of them? those before it get through alone, too
        if _names_in_a_torrent(recipe.name, [rest]) != _wanted_names(recipe.name, [rest]):
            raise _odd_name("/".join(rest) or recipe.name)
    known = _names_in_a_torrent(recipe.name, rests)
    for rest, name in zip_longest(rests, known):
        if name != "/".join([recipe.name, *rest]):
            raise _odd_name("/".join(rest) or recipe.name)


def _odd_name(name: str) -> InvalidRequest:
    return InvalidRequest(f"The name '{shown(name)}' cannot be part of a torrent.", field="path")


def _wanted_names(name: str, rests: list[list[str]]) -> list[str]:
    return ["/".join([name, *rest]) for rest in rests]


def _names_in_a_torrent(name: str, rests: list[list[str]]) -> list[str]:
    """What becomes of the names, as far as the engine takes them."""
    try:
        info: Any = {
            b"name": name.encode(), b"piece length": 2**24, b"pieces": bytes(20),
        }  # fmt: skip
        if rests[0]:
            paths = [[part.encode() for part in rest] for rest in rests]
            info[b"files"] = [{b"length": 1, b"path": path} for path in paths]
        else:
            info[b"length"] = 1
        made = p.parse_torrent(lt.bencode({b"info": info})).ti
    except (UnicodeEncodeError, InvalidSource):
        made = None
    if made is None:
        return []
    layout = made.layout()
    return [layout.file_path(index) for index in range(layout.num_files())]


# --- arguments ----------------------------------------------------------------------------------


def _urls(field: str, urls: Sequence[str], schemes: tuple[str, ...], most: int) -> tuple[str, ...]:
    """Each once, in order."""
    if len(urls) > most:
        raise InvalidRequest(f"The {field} may be {most} at most.", field=field)
    for url in map(str.strip, urls):
        plain = len(url) <= _MAX_URL and url.isascii() and url.isprintable() and " " not in url
        try:
            parts = urlsplit(url)
            usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != -1
        except ValueError:
            usable = False
        if not (plain and usable):
            known = ", ".join(f"{scheme}://" for scheme in schemes)
            raise InvalidRequest(
                f"The {field} must be addresses that begin with {known}.", field=field
            )
    return tuple(dict.fromkeys(map(tidy_url, urls)))
