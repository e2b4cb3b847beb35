"""The gate every torrent passes before the engine has it, and again when its metadata arrives.

libtorrent's own mitigation lets through what it reads differently (`0.0.0.0`, `/announce/../x`) and
does not look at WebSocket trackers at all, so addresses are checked here by a strict grammar: what
it does not know is dropped. Names are resolved by the engine, whose address filter then applies;
only WebSocket trackers go round it, so theirs are resolved here (`drop_private_websockets`).
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import libtorrent as lt

from chilly_movies.disk.programs import is_program
from chilly_movies.drivers.torrent.engine import bencoding
from chilly_movies.drivers.torrent.engine.urls import tidy_url
from chilly_movies.errors import SourceRejected
from chilly_movies.jobs.options import MAX_FILES
from chilly_movies.net.addresses import literal_host_is_public, resolves_to_public

T = TypeVar("T")

MAX_TRACKERS = 100
MAX_WEB_SEEDS = 20
MAX_PEERS = 200
MAX_NODES = 50
_LOOKED_AT = 10
"""So many times the entries that are kept are looked at: a link may name them by ten thousands."""
MAX_DEPTH = 16
MAX_PATH_BYTES = 2000
_MAX_URL = 2048
_RESOLVE_SECONDS = 3.0
_URL = re.compile(
    r"(?P<scheme>[a-z]{2,5})://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>/[!-\[\]-~]*)?",
    re.IGNORECASE,
)
"""No user, no backslash, no space, no other script, and a path before any query."""
_NODE = re.compile(r"https?://(?:[^/@]*@)?ia[0-9]{5,8}\.us\.archive\.org[:/]", re.IGNORECASE)
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443, "udp": 80}


@dataclass(frozen=True, slots=True)
class Gate:
    """What may be talked to.

    Attributes:
        allow_private: loopback and private addresses, too.
        own_ports: where our own API listens: never, whatever else is allowed.
        websockets: trackers the user chose; a plain `ws://` one must be among them by its host.
    """

    allow_private: bool = False
    own_ports: Collection[int] = ()
    websockets: tuple[str, ...] = ()

    def lets_tracker(self, url: str) -> bool:
        """Whether a torrent may name this tracker."""
        parts = self._parts(url, ("http", "https", "udp", "ws", "wss"))
        if parts is None or not self._lets_host(parts["host"], _port(parts)):
            return False
        if parts["scheme"].lower() != "ws" or self.allow_private:
            return True
        chosen = (_URL.fullmatch(url) for url in self.websockets)
        return any(c is not None and c["host"].lower() == parts["host"].lower() for c in chosen)

    def lets_web_seed(self, url: str) -> bool:
        """Whether a torrent may name this web seed."""
        parts = self._parts(url, ("http", "https"))
        return parts is not None and self._lets_host(parts["host"], _port(parts))

    def lets_peer(self, host: str, port: int) -> bool:
        """Whether a link may name this peer."""
        return port > 0 and self._lets_host(host, port)

    def _lets_host(self, host: str, port: int) -> bool:
        public = literal_host_is_public(host)
        # a name may mean anything, and so our own API
        number = public and re.fullmatch(r"\[.*\]|[0-9.]+", host) is not None
        if not 0 < port < 65536 or (port in self.own_ports and not number):
            return False
        return public or self.allow_private

    @staticmethod
    def _parts(url: str, schemes: Collection[str]) -> re.Match[str] | None:
        parts = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
        return parts if parts is not None and parts["scheme"].lower() in schemes else None


def _port(parts: re.Match[str]) -> int:
    return int(parts["port"]) if parts["port"] else _PORTS[parts["scheme"].lower()]


def is_node(url: str) -> bool:
    """Whether a web seed is one machine of the Internet Archive, which is soon another.

    Its torrents name such machines beside the address that always leads to the right one. Where
    films have moved they answer with redirects for each file, which the engine follows badly
    (libtorrent issue 7682).
    """
    return _NODE.match(url) is not None


def vet(params: lt.add_torrent_params, gate: Gate) -> None:
    """Cap the lists, and drop what must not be talked to."""
    trackers = map(tidy_url, readable(params, "trackers"))
    seeds = [url for url in map(tidy_url, readable(params, "url_seeds")) if not is_node(url)]
    peers, nodes = readable(params, "peers"), readable(params, "dht_nodes")
    tiers = params.tracker_tiers or itertools.repeat(0)
    pairs = zip(trackers, tiers, strict=False)
    kept = _first(pairs, lambda pair: gate.lets_tracker(pair[0]), MAX_TRACKERS)
    params.trackers = [url for url, _ in kept]
    params.tracker_tiers = [tier for _, tier in kept]
    params.url_seeds = _first(seeds, gate.lets_web_seed, MAX_WEB_SEEDS)
    params.peers = _first(peers, lambda peer: gate.lets_peer(*peer), MAX_PEERS)
    params.dht_nodes = _first(nodes, lambda node: gate.lets_peer(*node), MAX_NODES)


def _first(entries: Iterable[T], fits: Callable[[T], bool], most: int) -> list[T]:
    """The first that fit, of as many as are worth a look."""
    return list(islice(filter(fits, islice(entries, _LOOKED_AT * most)), most))


def readable(params: lt.add_torrent_params, name: str) -> list[Any]:
    """One of the lists; none of it if one entry is no text: the engine then gives us nothing."""
    try:
        found: list[Any] = getattr(params, name)
    except UnicodeDecodeError:
        return []
    return found


async def drop_private_websockets(params: lt.add_torrent_params, gate: Gate) -> list[str]:
    """Drop WebSocket trackers whose names lead to private addresses; the engine would not look.

    Returns:
        Those that were dropped.
    """
    if gate.allow_private:
        return []
    unsure = [url for url in params.trackers if url.lower().startswith(("ws://", "wss://"))]
    unsure = [url for url in unsure if url not in gate.websockets]
    verdicts = await asyncio.gather(*(leads_out(url, otherwise=False) for url in unsure))
    dropped = [url for url, good in zip(unsure, verdicts, strict=True) if not good]
    if dropped:
        pairs = zip(params.trackers, params.tracker_tiers, strict=True)
        kept = [pair for pair in pairs if pair[0] not in dropped]
        params.trackers = [url for url, _ in kept]
        params.tracker_tiers = [tier for _, tier in kept]
    return dropped


async def leads_out(url: str, *, otherwise: bool) -> bool:
    """Whether a tracker's name leads to public addresses only.

    Args:
        url: of the tracker.
        otherwise: the answer if that cannot be found out.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        return otherwise
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            return await resolves_to_public(parts["host"].strip("[]"), _port(parts))
    except (OSError, UnicodeError, TimeoutError):
        return otherwise


# --- files ----------------------------------------------------------------------------------


def check_info(info: lt.torrent_info) -> None:
    """Refuse what no film has, and what another program would read differently.

    Args:
        info: the info dictionary as peers sent it; of a torrent file all was looked at before.

    Raises:
        SourceRejected: see `check_layout`; or a key is there twice.
    """
    check_layout(info.layout())
    try:
        bencoding.decode(info.info_section())
    except ValueError as error:
        raise SourceRejected(f"The torrent's metadata is not usable: {error}.") from None


def check_layout(layout: lt.file_storage) -> list[int]:
    """Refuse what no film has.

    Returns:
        The indices of all files that are no padding.

    Raises:
        SourceRejected: no or too many files, links, too deep or too long paths.
    """
    if layout.num_files() > 2 * MAX_FILES:  # padding included; a look at each takes its time
        raise _too_many_files()
    pad = lt.file_flags_t.flag_pad_file
    indices = [i for i in range(layout.num_files()) if not layout.file_flags(i) & pad]
    if not indices or len(indices) > MAX_FILES:
        raise _too_many_files()
    for index in indices:
        if layout.file_flags(index) & lt.file_flags_t.flag_symlink:
            raise SourceRejected("The torrent holds links to other files; those are refused.")
        path = layout.file_path(index)
        if path.count("/") >= MAX_DEPTH or len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
            raise SourceRejected(
                f"The torrent's folders are deeper than {MAX_DEPTH} or its paths longer than "
                f"{MAX_PATH_BYTES} bytes."
            )
    return indices


def _too_many_files() -> SourceRejected:
    return SourceRejected(f"The torrent must have 1 to {MAX_FILES} files.")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files are wanted, said before anybody knows how many there are.

    Attributes:
        first: priorities of the first files.
        rest: priority of all others.
        programs: whether programs may be among them.
    """

    first: tuple[int, ...] = ()
    rest: int = 4
    programs: bool = False

    def priorities(self, layout: lt.file_storage) -> list[int]:
        """The priority of every file."""
        chosen = [*self.first, *[self.rest] * layout.num_files()][: layout.num_files()]
        return chosen if self.programs else without_programs(layout, chosen)


def without_programs(layout: lt.file_storage, priorities: Iterable[int]) -> list[int]:
    """The same priorities, 0 for programs."""
    return [
        0 if priority and is_program(layout.file_path(index)) else priority
        for index, priority in enumerate(priorities)
    ]


def select(params: lt.add_torrent_params, *, programs: bool) -> Selection:
    """Take programs out of what is wanted; without metadata nothing is wanted until it is there.

    So no byte of a file, and no link or empty file, comes to the disk before its name was seen.
    """
    if not any(params.file_priorities):
        params.file_priorities = []  # saved while nothing was wanted yet
    params.piece_priorities = []  # they would outlive the choice of files they were made from
    rest = 0 if params.flags & lt.torrent_flags.default_dont_download else 4
    selection = Selection(tuple(params.file_priorities), rest, programs)
    if params.ti is None:
        params.file_priorities = []
        params.flags |= lt.torrent_flags.default_dont_download
        return selection
    params.flags &= ~lt.torrent_flags.default_dont_download
    params.file_priorities = selection.priorities(params.ti.layout())
    return selection
