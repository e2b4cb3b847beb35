"""Turns sources and resume data into libtorrent's add parameters, and metadata into values.

With `session.py` the only module that knows libtorrent. Formats: magnet links BEP 9, BEP 53
(`so`) and BEP 52 (`btmh`), torrent files BEP 3 and BEP 52.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import libtorrent as lt

from chilly_movies.drivers.programs import is_program, left_out
from chilly_movies.drivers.torrent import vetting
from chilly_movies.drivers.torrent.vetting import MAX_FILES, Gate
from chilly_movies.drivers.torrent.webrtc import is_websocket
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.intake import MAX_TORRENT_BYTES
from chilly_movies.models import InspectedTorrent, MediaFile, Options, Source, SourceFacts
from chilly_movies.names import safe_name, safe_paths

_LIMITS = {"max_pieces": 200_000, "max_decode_depth": 30, "max_decode_tokens": 500_000}
_MAX_WEBSOCKETS = 5
"""Each of them is made ten offers, and each offer holds a socket for half a minute."""
WEBSOCKET_TIER = 100
"""First of the tiers for WebSocket trackers; tiers go to 255."""
_V1 = re.compile(r"[0-9a-fA-F]{40}")
_V1_BASE32 = re.compile(r"[a-zA-Z2-7]{32}")
_V2 = re.compile(r"(?:1220)?([0-9a-fA-F]{64})")
_FILE = b"4:pathl"
"""Each file of a v1 torrent begins so, or nearly so."""
_ADDRESS = b"://"
_MAX_ADDRESSES = 5000
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
    """

    source: Source
    save_path: Path
    part_path: Path
    options: Options
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
            facts = read_metadata(params.ti).facts
        except SourceRejected as error:
            raise InvalidSource(str(error), field="torrent") from None
        return replace(facts, files=(), note=None)  # files come later, like those of a magnet
    return SourceFacts(identities=_identities(params.info_hashes), name=_magnet_name(params))


def build(request: AddRequest) -> lt.add_torrent_params:
    """Add parameters: paused, not auto-managed, with only addresses we may talk to.

    Raises:
        InvalidSource: the source is broken.
        SourceRejected: the torrent breaks a limit.
    """
    params = _resumed(request) or _parse(request.source)
    params.save_path = str(request.save_path)
    params.part_file_dir = str(request.part_path)
    params.flags &= ~lt.torrent_flags.auto_managed
    params.flags |= lt.torrent_flags.paused | lt.torrent_flags.duplicate_is_error
    params.download_limit = request.options.download_limit or -1
    params.upload_limit = request.options.upload_limit or -1
    for flag, wanted in (  # resume data brings what an earlier run set
        (lt.torrent_flags.upload_mode, request.read_only),
        (lt.torrent_flags.stop_when_ready, request.only_check),
        (lt.torrent_flags.seed_mode, request.verified),
    ):
        params.flags = params.flags | flag if wanted else params.flags & ~flag
    if request.renames is not None:
        params.renamed_files = request.renames
    _choose_files(params, request.options)
    if params.ti is not None:
        vetting.check_layout(params.ti.layout())
    vetting.vet(params, request.gate)
    _part_websockets(params, wanted=request.webtorrent)
    return params


def _choose_files(params: lt.add_torrent_params, options: Options) -> None:
    named = {*(options.files or ()), *(index for index, _ in options.priorities)}
    if named:  # else all files, or what the resume data says
        priorities = options.priorities_of(range(max(named) + 1))
        params.file_priorities = list(priorities.values())
    if options.files is not None:
        params.flags |= lt.torrent_flags.default_dont_download


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
        # a link's own peers (x.pe) are not kept in resume data
        params.peers = list(dict.fromkeys([*params.peers, *given.peers]))
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
            raise InvalidSource("This torrent file is larger than 10 MiB.", field="torrent")
        return parse_torrent(source.data)
    return _parse_magnet(_as_magnet(source.urn))


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
        raise InvalidSource(
            f"This is not a usable torrent file: {plain(error)}.", field="torrent"
        ) from None
    if params.ti is None or params.ti.num_files() > MAX_FILES:
        raise _too_many_files()
    return params


def _too_many_files() -> InvalidSource:
    return InvalidSource(f"This torrent has more than {MAX_FILES} files.", field="torrent")


def _as_magnet(urn: str) -> str:
    """A magnet link for any spelling of an info hash."""
    if urn.lower().startswith("magnet:"):
        return "magnet:" + urn[7:]  # the engine knows only this spelling
    bare = urn.removeprefix("urn:btih:").removeprefix("urn:btmh:")
    if _V1.fullmatch(bare):
        return f"magnet:?xt=urn:btih:{bare}"
    if match := _V2.fullmatch(bare):
        return f"magnet:?xt=urn:btmh:1220{match[1]}"
    if _V1_BASE32.fullmatch(bare):
        try:
            return f"magnet:?xt=urn:btih:{base64.b32decode(bare.upper()).hex()}"
        except binascii.Error:
            pass
    raise InvalidSource(
        "The sourceUrn must be a magnet link, an info hash or a link to a torrent file."
    )


def _parse_magnet(urn: str) -> lt.add_torrent_params:
    try:
        params = lt.parse_magnet_uri(urn)
    except (RuntimeError, UnicodeError) as error:
        raise InvalidSource(f"This magnet link is broken: {plain(error)}.") from None
    if not (params.info_hashes.has_v1() or params.info_hashes.has_v2()):
        raise InvalidSource("This magnet link has no info hash.")
    return params


def _magnet_name(params: lt.add_torrent_params) -> str | None:
    try:
        name = params.name
    except UnicodeDecodeError:
        return None
    return safe_name(name) if name else None


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
    info: lt.torrent_info, priorities: Sequence[int] = (), *, programs: bool = False
) -> Metadata:
    """The info dictionary as values.

    Args:
        info: the info dictionary.
        priorities: the engine's priority of each file, 0 = not wanted; missing ones are wanted.
        programs: whether programs are wanted like other files.

    Raises:
        SourceRejected: the torrent has what no film has; see `vetting.check_layout`.
    """
    layout = info.layout()
    indices = vetting.check_layout(layout)
    paths = dict(zip(indices, safe_paths(layout.file_path(i) for i in indices), strict=True))
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
    facts = SourceFacts(_identities(info.info_hashes()), safe_name(info.name()), files, note)
    return Metadata(facts, paths, info.priv(), paths[indices[0]].split("/")[0])


def describe(
    info: lt.torrent_info, trackers: Sequence[str], peers: int | None = None
) -> InspectedTorrent:
    """A torrent for whoever wants to know what is in it.

    Args:
        info: the info dictionary.
        trackers: those that may be talked to.
        peers: how many were heard of.

    Raises:
        SourceRejected: the torrent has what no film has.
    """
    facts, hashes = read_metadata(info, programs=True).facts, info.info_hashes()
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
