"""The engine's figures of a torrent and its peers, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine.standings import words
from chilly_movies.jobs.models import Peer, Transport, Transports

_STATES = lt.torrent_status.states
_CHECKING = (_STATES.checking_files, _STATES.checking_resume_data, _STATES.queued_for_checking)


@dataclass(frozen=True, slots=True)
class TorrentState:
    """A torrent's figures at one moment; bytes and bytes per second.

    Attributes:
        has_metadata: the info dictionary is known, and the engine was told which files to fetch.
        checking: files are being compared with their hashes.
        finished: every wanted piece is there.
        checked: share of the check that is done, 0-1.
        wanted: bytes of the wanted files, 0 before metadata.
        done: verified bytes of the wanted files.
        uploaded: payload bytes ever uploaded.
        downloaded: payload bytes that ever came.
        wasted: bytes of those that had the wrong hash or were there already.
        active_time: seconds it ran.
        seeding_time: seconds spent complete and running.
        copies: how often the connected peers and we together have all of it, None if unknown.
        swarm_seeds: as the trackers tell, None if none does.
        swarm_peers: the same, seeds included.
        rejected: bytes that arrived and did not have the right hash.
        transports: connected peers by transport, a few seconds old at most.
        upload_only: writing failed and the engine only uploads now.
        received: payload bytes that arrived since it was added.
        spoiled: some that were rejected arrived a moment ago.
        shut_out: addresses that were, as wrong data came from there.
    """

    has_metadata: bool = False
    checking: bool = False
    finished: bool = False
    checked: float = 0.0
    wanted: int = 0
    done: int = 0
    download_speed: int = 0
    upload_speed: int = 0
    peers: int = 0
    seeds: int = 0
    uploaded: int = 0
    downloaded: int = 0
    wasted: int = 0
    active_time: int = 0
    seeding_time: int = 0
    copies: float | None = None
    swarm_seeds: int | None = None
    swarm_peers: int | None = None
    transports: Transports = field(default_factory=Transports)
    upload_only: bool = False
    rejected: int = 0
    received: int = 0
    spoiled: bool = False
    shut_out: int = 0

    @property
    def moved(self) -> int:
        """Payload bytes that ever went or came."""
        return self.uploaded + self.downloaded


def state_of(status: Any) -> TorrentState:
    """What the engine says of a torrent."""
    state = status.state
    return TorrentState(
        has_metadata=status.has_metadata,
        checking=state in _CHECKING,
        finished=status.has_metadata and state in (_STATES.finished, _STATES.seeding),
        checked=status.progress,
        wanted=status.total_wanted,
        done=status.total_wanted_done,
        peers=status.num_peers,
        seeds=status.num_seeds,
        uploaded=status.all_time_upload,
        downloaded=status.all_time_download,
        wasted=status.total_failed_bytes + status.total_redundant_bytes,
        active_time=int(status.active_duration.total_seconds()),
        seeding_time=int(status.finished_duration.total_seconds()),
        copies=_copies(status),
        swarm_seeds=_told(status.num_complete),
        swarm_peers=_told(status.num_complete, status.num_incomplete),
        upload_only=bool(status.flags & lt.torrent_flags.upload_mode),
        rejected=status.total_failed_bytes,
    )


def _copies(status: Any) -> float | None:
    """Distributed copies; of a torrent that is complete here the engine counts none."""
    found = status.distributed_copies
    return round(found, 2) if status.has_metadata and found >= 0 else None


def _told(*counts: int) -> int | None:
    """The sum of what trackers tell, in which -1 stands for nothing; None if none tells."""
    known = [count for count in counts if count >= 0]
    return sum(known) if known else None


def owes(info: Any) -> bool:
    """Whether it lets us ask, and has not sent all we asked for."""
    return bool(info.download_queue_length and not info.flags & lt.peer_info.remote_choked)


def waits_for_disk(info: Any) -> bool:
    """Whether what it sent is being written, and it may not send more until then."""
    return bool(info.read_state & lt.peer_info.bw_disk)


def can_be_called(info: Any) -> bool:
    """Whether it sent data, and its address is where it listens: we called it."""
    called = info.flags & lt.peer_info.outgoing_connection
    plain = info.connection_type == lt.peer_info.standard_bittorrent
    return bool(called and plain and info.total_download)


def is_web_seed(info: Any) -> bool:
    """Whether it is no peer but an address with the same data (BEP 19)."""
    return bool(info.connection_type != lt.peer_info.standard_bittorrent)


_UTP_SOCKET = 1 << 17  # not named in the Python binding


def peer_of(info: Any, rtc_addresses: set[tuple[str, int]]) -> Peer:
    """What the engine says of a peer."""
    host, port = info.ip
    if is_web_seed(info):
        transport = Transport.WEBSEED
    elif (host, port) in rtc_addresses:
        transport = Transport.WEBRTC
    else:
        transport = Transport.UTP if info.flags & _UTP_SOCKET else Transport.TCP
    return Peer(
        address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        transport=transport,
        client=words(info.client.decode("utf-8", "replace")),
        percent=round(100 * info.progress, 1),
        download_speed=info.payload_down_speed,
        upload_speed=info.payload_up_speed,
    )
