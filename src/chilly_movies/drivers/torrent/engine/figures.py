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
        seeding_time: seconds spent complete and running.
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
    seeding_time: int = 0
    transports: Transports = field(default_factory=Transports)
    upload_only: bool = False
    rejected: int = 0
    received: int = 0
    spoiled: bool = False
    shut_out: int = 0


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
        seeding_time=int(status.finished_duration.total_seconds()),
        upload_only=bool(status.flags & lt.torrent_flags.upload_mode),
        rejected=status.total_failed_bytes,
    )


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
