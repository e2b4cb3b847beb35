"""Turns sources and resume data into libtorrent's add parameters, and metadata into values.

With `session.py` the only module that knows libtorrent. Formats: magnet links BEP 9, BEP 53
(`so`) and BEP 52 (`btmh`), torrent files BEP 3 and BEP 52.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libtorrent as lt

from chilly_movies.disk.programs import is_program, left_out
from chilly_movies.drivers.torrent.engine import bencoding
from chilly_movies.drivers.torrent.engine import gate as vetting
from chilly_movies.drivers.torrent.engine.bencoding import texts
from chilly_movies.drivers.torrent.engine.dropped import Dropped, add_trackers, look_for_dropped
from chilly_movies.drivers.torrent.engine.gate import Gate
from chilly_movies.drivers.torrent.engine.magnets import read_magnet
from chilly_movies.drivers.torrent.engine.raw_names import repaired_paths
from chilly_movies.drivers.torrent.engine.typed import Typed
from chilly_movies.drivers.torrent.engine.urls import tidy_url
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.models import Job, MediaFile, Source, SourceFacts, TrackerChoice
from chilly_movies.jobs.options import MAX_FILES, NORMAL_PRIORITY, Options
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES
from chilly_movies.jobs.torrents import InspectedTorrent
from chilly_movies.names import safe_name, safe_paths

_LIMITS = {"max_pieces": 200_000, "max_decode_depth": 30, "max_decode_tokens": 500_000}
_MAX_WEBSOCKETS = 5
"""Each of them is made ten offers, and each offer holds a socket for half a minute."""
WEBSOCKET_TIER = 100
"""First of the tiers for WebSocket trackers; tiers go to 255."""
_FILE = b"4:pathl"
"""Each file of a v1 torrent begins so, or nearly so."""
_ADDRESS = b"://"
_MAX_ADDRESSES = 5000
_ENCODING = b"8:encoding"
_BEGINNING = 1000
_HIGHEST_RATE = 2**31 - 2
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--", b"<script")
_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AddRequest:
    """What to add to the session; one of `resume` and `source` says which torrent.

    Attributes:
        source: magnet, info hash or torrent file.
        resume: resume data of an earlier run, preferred over the source.
        save_path: the folder the files are in.
        part_path: the folder for pieces of unwanted files.
        options: file selection and limits.
        priorities: of the files that are known already, by index; they say more than the options.
        renames: file index to path below `save_path`, replacing what the resume data says.
        webtorrent: keep WebSocket trackers.
        allow_private: keep trackers, web seeds and peers with private addresses.
        trust_resume: believe what the resume data says is on the disk.
        read_only: write to no file, whatever is missing.
        only_check: stand still as soon as the files are checked.
        verified: the files were compared with the hashes a moment ago.
        only_look: learn the metadata and no more.
        own_ports: where our own API listens.
        websockets: WebSocket trackers the user chose.
        known: what the job moved before.
        trackers: what the user changed of its trackers.
        typed: trackers and peers the user typed, which are asked wherever they are.
    """

    source: Source
    save_path: Path
    part_path: Path
    options: Options
    priorities: Mapping[int, int] = field(default_factory=dict)
    resume: bytes | None = None
    renames: dict[int, str] | None = None
    allow_private: bool = False
    webtorrent: bool = True
    trust_resume: bool = True
    read_only: bool = False
    only_check: bool = False
    verified: bool = False
    only_look: bool = False
    own_ports: Collection[int] = ()
    websockets: tuple[str, ...] = ()
    known: Figures | None = None
    trackers: TrackerChoice = field(default_factory=TrackerChoice)
    typed: Typed = field(default_factory=Typed)

    @property
    def gate(self) -> Gate:
        """What may be talked to."""
        return Gate(self.allow_private, self.own_ports, self.websockets)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the info dictionary of a torrent says, with names made safe.

    Attributes:
        facts: name, files without pad files, identities.
        disk_paths: for every file index of ours, the path it must have below the save path.
        private: the private flag (BEP 27).
        top: first component of all paths.
    """

    facts: SourceFacts
    disk_paths: dict[int, str]
    private: bool
    top: str


def is_url(source: Source) -> bool:
    """Whether the source is a link to a torrent file, which has to be fetched first."""
    return source.data is None and bool(_URL.match(source.urn))


def identify(source: Source) -> SourceFacts:
    """What the source's text says, without I/O.

    Raises:
        InvalidSource: it is neither a magnet, an info hash, a link nor a torrent file.
    """
    if is_url(source):
        return SourceFacts(identities=(f"url:{source.urn}",))
    params = _parse(source)
    if params.ti is not None:
        try:
            facts = read_metadata(params.ti, encoding=encoding_of(source)).facts
        except SourceRejected as error:
            raise InvalidSource(str(error), field="torrent") from None
        return replace(facts, files=(), note=None)  # files come later, like those of a magnet
    try:
        name = params.name
    except UnicodeDecodeError:
        name = ""
    return SourceFacts(
        identities=_identities(params.info_hashes), name=safe_name(name) if name else None
    )


def encoding_of(source: Source) -> str:
    """What a torrent file says its names are written in, "" if it does not say."""
    if source.data is None or _ENCODING not in source.data:
        return ""
    try:
        torrent: Any = lt.bdecode(source.data)
    except RuntimeError:
        return ""
    said = torrent.get(b"encoding") if isinstance(torrent, dict) else None
    return said.decode("ascii", "replace") if isinstance(said, bytes) else ""


def build(request: AddRequest) -> lt.add_torrent_params:
    """The first of what `prepare` gives.

    Raises:
        ChillyError: see `prepare`.
    """
    return prepare(request)[0]


def prepare(request: AddRequest) -> tuple[lt.add_torrent_params, Dropped]:
    """Add parameters: paused, not auto-managed, with only addresses we may talk to.

    Returns:
        The parameters, and the addresses that were left out of them.

    Raises:
        InvalidSource: the source is broken.
        SourceRejected: the torrent breaks a limit.
    """
    params = named_by(request)
    params.save_path = str(request.save_path)
    params.part_file_dir = str(request.part_path)
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags |= lt.torrent_flags.paused | lt.torrent_flags.duplicate_is_error
    params.download_limit = rate(request.options.download_limit)
    params.upload_limit = rate(request.options.upload_limit)
    for flag, wanted in (  # resume data brings what an earlier run set
        (lt.torrent_flags.upload_mode, request.read_only),
        (lt.torrent_flags.stop_when_ready, request.only_check),
        (lt.torrent_flags.seed_mode, request.verified),
        (lt.torrent_flags.disable_dht, request.typed.alone),
        (lt.torrent_flags.disable_pex, request.typed.alone),
    ):
        params.flags = params.flags | flag if wanted else params.flags & ~flag
    if request.renames is not None:
        params.renamed_files = request.renames
    named = named_priorities(request.options, request.priorities)
    if named:  # else all files, or what the resume data says
        params.file_priorities = named
    if request.options.files is not None:
        params.flags |= lt.torrent_flags.default_dont_download
    if params.ti is not None:
        vetting.check_layout(params.ti.layout())
    dropped = _drop(params, request)
    vetting.vet(params, request.gate)
    add_trackers(params, request.typed.tiered(params.tracker_tiers))
    params.peers = [*params.peers, *request.typed.peers]
    _part_websockets(params, wanted=request.webtorrent)
    return params, dropped


def named_priorities(options: Options, known: Mapping[int, int]) -> list[int]:
    """The priorities of the first files, up to the last that is named or known."""
    named = {*(options.files or ()), *(index for index, _ in options.priorities), *known}
    first = options.priorities_of(range(max(named, default=-1) + 1))
    return list((first | {**known}).values())


def selection_of(job: Job) -> vetting.Selection:
    """Which files are wanted, of a torrent whose files the engine does not know yet."""
    rest = NORMAL_PRIORITY if job.options.files is None else 0
    first = tuple(named_priorities(job.options, job.priorities()))
    return vetting.Selection(first, rest, programs=job.options.allow_executables)


def rate(limit: int | None) -> int:
    """A limit in bytes per second as the engine takes it: its numbers end at 2 GB/s."""
    return limit if limit and limit <= _HIGHEST_RATE else -1


def named_by(request: AddRequest) -> lt.add_torrent_params:
    """What resume data or else the source say, with the trackers that the user chose.

    Raises:
        InvalidSource: the source is broken, or a link to a torrent file.
    """
    params = _resumed(request) or _parse(request.source)
    _apply_choice(params, request.trackers)
    return params


def _apply_choice(params: lt.add_torrent_params, choice: TrackerChoice) -> None:
    """Leave out the trackers that the user removed, and put those first that the user added."""
    if choice == TrackerChoice():
        return
    named = map(tidy_url, vetting.readable(params, "trackers"))
    tiers = [*params.tracker_tiers, *[0] * len(params.trackers)]
    own = dict(zip(named, tiers, strict=False))
    kept = {**dict(choice.added), **{u: n for u, n in own.items() if u not in choice.removed}}
    kept.update(choice.added)
    params.trackers, params.tracker_tiers = list(kept), list(kept.values())


def _drop(params: lt.add_torrent_params, request: AddRequest) -> Dropped:
    """What is left out; of a swarm that is kept to what was typed that is all it names itself."""
    if not request.typed.alone:
        return look_for_dropped(params, request.gate, webrtc=request.webtorrent)
    trackers = zip(params.trackers, params.tracker_tiers, strict=False)
    dropped = Dropped(trackers=tuple(trackers), web_seeds=tuple(params.url_seeds))
    params.trackers, params.tracker_tiers = [], []
    params.url_seeds, params.peers, params.dht_nodes = [], [], []
    return dropped


def _resumed(request: AddRequest) -> lt.add_torrent_params | None:
    """The resume data as parameters; None if there is none or it cannot be used."""
    if request.resume is None:
        return None
    try:
        params = lt.read_resume_data(request.resume)
    except RuntimeError:
        return None
    if not request.trust_resume:
        params.have_pieces = []
        params.verified_pieces = []
        params.unfinished_pieces = {}
    if not is_url(request.source):
        given = _parse(request.source)
        params.ti = params.ti or given.ti
        if params.ti is None and not params.file_priorities:
            params.file_priorities = given.file_priorities
            params.flags |= given.flags & lt.torrent_flags.default_dont_download
        # a link's own peers (x.pe) are not kept in resume data, nor in that of older versions
        # what a setting kept out
        params.peers = list(dict.fromkeys([*params.peers, *given.peers]))
        add_trackers(params, zip(given.trackers, given.tracker_tiers, strict=False))
        params.url_seeds = list(dict.fromkeys([*params.url_seeds, *given.url_seeds]))
    return params


def without_pieces(data: bytes) -> bytes:
    """Resume data that claims no piece: all else is kept."""
    params = lt.read_resume_data(data)
    params.have_pieces = []
    params.verified_pieces = []
    params.unfinished_pieces = {}
    return lt.write_resume_data_buf(params)


def _part_websockets(params: lt.add_torrent_params, *, wanted: bool) -> None:
    """Give some WebSocket trackers a tier of their own, as the engine asks one tracker per tier.

    Without a v1 hash there is nothing to ask them: the engine sends zeros then.
    """
    wanted = wanted and params.info_hashes.has_v1()
    pairs = list(zip(params.trackers, params.tracker_tiers, strict=True))
    kept = [(url, tier) for url, tier in pairs if not is_websocket(url)]
    if wanted:
        sockets = [url for url, _ in pairs if is_websocket(url)][:_MAX_WEBSOCKETS]
        kept += [(url, WEBSOCKET_TIER + i) for i, url in enumerate(sockets)]
    params.trackers = [url for url, _ in kept]
    params.tracker_tiers = [tier for _, tier in kept]


def _parse(source: Source) -> lt.add_torrent_params:
    if source.data is not None:
        if len(source.data) > MAX_TORRENT_BYTES:
            raise InvalidSource("This torrent file is larger than 10.4 MB.", field="torrent")
        return parse_torrent(source.data)
    magnet = read_magnet(source.urn)
    try:
        params = lt.parse_magnet_uri(magnet.link)
    except (RuntimeError, UnicodeError) as error:
        raise InvalidSource(f"This magnet link is broken: {plain(error)}.") from None
    if not (params.info_hashes.has_v1() or params.info_hashes.has_v2()):
        raise InvalidSource("This magnet link has no info hash.")
    if magnet.files is not None:
        most = max(magnet.files, default=-1) + 1
        params.file_priorities = [4 if i in magnet.files else 0 for i in range(most)]
        params.flags |= lt.torrent_flags.default_dont_download
    return params


def parse_torrent(data: bytes) -> lt.add_torrent_params:
    """Read a torrent file.

    Raises:
        InvalidSource: it is none, or it breaks a limit.
    """
    if data.count(_FILE) > MAX_FILES:  # else the parser would hold everybody up for a moment
        raise _too_many_files()
    if data.count(_ADDRESS) > _MAX_ADDRESSES:
        sentence = f"This torrent names more than {_MAX_ADDRESSES} trackers and web seeds."
        raise InvalidSource(sentence, field="torrent")
    try:
        params: lt.add_torrent_params = lt.load_torrent_buffer(data, _LIMITS)  # type: ignore[call-overload]
    except (RuntimeError, ValueError) as error:
        raise _unusable(_in_other_words(data, plain(error))) from None
    if params.ti is None:
        raise InvalidSource("This torrent file names no files.", field="torrent")
    if params.ti.num_files() > MAX_FILES:
        raise _too_many_files()
    try:
        _take_addresses(params, bencoding.decode(data))
    except ValueError as error:
        raise _unusable(str(error)) from None
    return params


def _take_addresses(params: lt.add_torrent_params, torrent: dict[bytes, Any]) -> None:
    """Trackers and web seeds as the file spells them.

    The engine drops trackers with a blank behind them, and encodes web seeds that are encoded.
    """
    tiers = torrent.get(b"announce-list")
    trackers = [
        (url, number)
        for number, tier in enumerate(tiers if isinstance(tiers, list) else ())
        for url in texts(tier, _MAX_ADDRESSES)
    ]
    if not trackers:
        trackers = [(url, 0) for url in texts(torrent.get(b"announce"), 1)]
    tidy = [(tidy_url(url), number) for url, number in trackers]
    params.trackers = [url for url, _ in tidy if url.isascii()]
    params.tracker_tiers = [number for url, number in tidy if url.isascii()]
    seeds = (tidy_url(url) for url in texts(torrent.get(b"url-list"), _MAX_ADDRESSES))
    assert params.ti is not None  # noqa: S101 (for the type checker)
    end = "/" if params.ti.num_files() > 1 else ""  # BEP 19: a folder's
    folders = (url.removesuffix(end) + end for url in seeds if url.isascii() and url)
    params.url_seeds = list(dict.fromkeys(folders))


def _unusable(why: str) -> InvalidSource:
    return InvalidSource(f"This is not a usable torrent file: {why}.", field="torrent")


def _in_other_words(data: bytes, problem: str) -> str:
    """What the engine says, or for what happens often something that helps."""
    if data[:_BEGINNING].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
        return "it is a web page, perhaps one that asks for a login"
    if not data.startswith(b"d"):
        return "it does not begin like one"
    if problem == "too many pieces in torrent":
        return f"it has more than {_LIMITS['max_pieces']} pieces"
    return problem


def _too_many_files() -> InvalidSource:
    return InvalidSource(f"This torrent has more than {MAX_FILES} files.", field="torrent")


def plain(error: Exception) -> str:
    """The words of an engine error without its code suffix."""
    return re.sub(r"\s*\[[\w.]+:\d+\]\s*$", "", str(error)).strip().rstrip(".")


def _identities(hashes: lt.info_hash_t) -> tuple[str, ...]:
    found = []
    if hashes.has_v1():
        found.append(f"btih:{hashes.v1}")
    if hashes.has_v2():
        found.append(f"btmh:{hashes.v2}")
    return tuple(found)


def hash_names(params: lt.add_torrent_params) -> frozenset[str]:
    """A torrent's info hashes as text; two that share one are the same to the engine."""
    hashes = params.info_hashes if params.ti is None else params.ti.info_hashes()
    return frozenset(_identities(hashes))


def read_metadata(
    info: lt.torrent_info,
    priorities: Sequence[int] = (),
    *,
    programs: bool = False,
    encoding: str = "",
) -> Metadata:
    """The info dictionary as values.

    Args:
        info: the info dictionary.
        priorities: the engine's priority of each file, 0 = not wanted; missing ones are wanted.
        programs: whether programs are wanted like other files.
        encoding: what names that are not UTF-8 are written in, "" = unknown.

    Raises:
        SourceRejected: the torrent has what no film has; see `gate.check_layout`.
    """
    layout = info.layout()
    indices = vetting.check_layout(layout)
    names = repaired_paths(info, encoding)
    wanted = (names.get(i) or layout.file_path(i) for i in indices)
    paths = dict(zip(indices, safe_paths(wanted), strict=True))
    blocked = {i for i in indices if not programs and is_program(layout.file_path(i))}
    if blocked.issuperset(indices):
        raise SourceRejected("This torrent holds nothing but programs; allowExecutables allows it.")
    unwanted = {i for i, priority in enumerate(priorities) if priority == 0} | blocked
    if unwanted.issuperset(indices):
        raise SourceRejected("None of the chosen files is in this torrent.")
    files = tuple(
        MediaFile(i, paths[i], layout.file_size(i), i not in unwanted, blocked=i in blocked)
        for i in indices
    )
    note = left_out([paths[i] for i in sorted(blocked)])
    name = safe_name(names[0].split("/")[0] if names else info.name())
    facts = SourceFacts(_identities(info.info_hashes()), name, files, note)
    return Metadata(facts, paths, info.priv(), paths[indices[0]].split("/")[0])


def describe(
    info: lt.torrent_info, trackers: Sequence[str], peers: int | None = None, *, encoding: str = ""
) -> InspectedTorrent:
    """A torrent for whoever wants to know what is in it.

    Args:
        info: the info dictionary.
        trackers: those that may be talked to.
        peers: how many were heard of.
        encoding: what names that are not UTF-8 are written in, "" = unknown.

    Raises:
        SourceRejected: the torrent has what no film has.
    """
    facts = read_metadata(info, programs=True, encoding=encoding).facts
    hashes = info.info_hashes()
    return InspectedTorrent(
        name=facts.name or "",
        v1=str(hashes.v1) if hashes.has_v1() else None,
        v2=str(hashes.v2) if hashes.has_v2() else None,
        size=sum(file.size for file in facts.files),
        piece_size=info.piece_length(),
        private=info.priv(),
        files=tuple(replace(file, blocked=is_program(file.path)) for file in facts.files),
        trackers=tuple(trackers),
        peers=peers,
    )


def networks(cidrs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """First and last address of each network, as the engine's address filter takes them."""
    for cidr in cidrs:
        network = ipaddress.ip_network(cidr)
        yield str(network[0]), str(network[-1])
