"""The engine's settings: ours, and what they become in libtorrent's settings pack.

The tuned values were measured: TCP first makes a loopback download 20 times faster than uTP
and saves 4 s at each new peer, and the short tick 0.4 s at the start of each download.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine.gate import Gate
from chilly_movies.drivers.torrent.engine.params import AddRequest
from chilly_movies.drivers.torrent.engine.typed import Typed, read_typed
from chilly_movies.drivers.torrent.settings import TorrentSettings
from chilly_movies.net import interfaces
from chilly_movies.net.policy import NetworkConfig
from chilly_movies.net.proxies import Proxy
from chilly_movies.version import __version__

_TUNED: dict[str, Any] = {
    "enable_outgoing_utp": False,
    "enable_incoming_utp": True,
    "aio_threads": 2,
    "hashing_threads": 2,
    "max_out_request_queue": 2000,
    "recv_socket_buffer_size": 1024 * 1024,
    "max_queued_disk_bytes": 64 * 1024 * 1024,
    "connection_speed": 200,
    "tick_interval": 100,
    # what was asked of peers comes before what a reader wants next; 3 s of it by default
    "request_queue_time": 1,
    # else the first pieces are any, and the ends of films come after them
    "initial_picker_threshold": 0,
    # False, or choosing more files after 'finished' stalls for 58 s
    "close_redundant_connections": False,
    "alert_queue_size": 20_000,
    "stop_tracker_timeout": 2,
    # what a web seed was asked for arrives even after it was found to send rubbish
    "urlseed_max_request_bytes": 4 * 1024 * 1024,
    # a check from disk drops all peers; with the default they come back after 60 s
    "min_reconnect_time": 3,
    # a call into a network that is away is repeated ever more rarely: rather a new one
    "peer_connect_timeout": 10,
}

_SAFE: dict[str, Any] = {
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_lsd": False,
    "validate_https_trackers": True,
    "no_connect_privileged_ports": True,
    "max_metadata_size": 8 * 1024 * 1024,
    "max_piece_count": 200_000,
    "metadata_token_limit": 500_000,
    # 2.1.1 has the names of these two exchanged: this one asks one tracker of each tier at once.
    # With the other, a tracker that lies or stays silent hides all behind it.
    "announce_to_all_trackers": True,
    "announce_to_all_tiers": False,
    "max_peerlist_size": 1000,
}


@dataclass(frozen=True, slots=True)
class EngineConfig(NetworkConfig, TorrentSettings):
    """The settings of the torrent engine and its network, and what only programs may set.

    Attributes:
        media_root: where films are published.
        webtorrent_trackers: as in the settings; a library announces nowhere of its own accord.
        save_bytes: so much has arrived when it is flushed, or `save_within` is over.
        save_interval: seconds between two flushes, at least.
        save_within: seconds after which all that arrived is flushed, however little it is.
        look_interval: seconds between two looks at a film that seeds: is it there, and unchanged?
        metadata_timeout: seconds a magnet waits for its metadata before others get its slot.
        film_folders: where the user's films are, beside the media folder; only read.
        typed: trackers and peers the user typed, for every torrent.
        web_seed_retry: seconds until a web seed that failed is asked again; then ever later.
        extra: raw libtorrent settings, for tests and benchmarks.
    """

    media_root: Path
    webtorrent_trackers: tuple[str, ...] = field(default=(), kw_only=True)
    save_bytes: int = 32 * 1024 * 1024
    save_interval: float = 2.0
    save_within: float = 30.0
    look_interval: float = 1.0
    metadata_timeout: float = field(  # type: ignore[assignment] # people set whole seconds
        default=TorrentSettings.metadata_timeout, kw_only=True
    )
    film_folders: tuple[Path, ...] = ()
    typed: Typed = field(default_factory=Typed)
    web_seed_retry: float = 30.0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def uses_webrtc(self) -> bool:
        """Whether WebRTC is used: wanted, and there is nothing it must not go round.

        The engine can neither bind it, nor send it through a proxy, nor filter its addresses, and
        it names all addresses of this machine to others.
        """
        return self.webtorrent and self.why_no_webrtc is None

    @property
    def why_no_webrtc(self) -> str | None:
        """The setting with which WebRTC cannot be, None if there is none."""
        reasons = {
            "CHILLY_INTERFACE": self.interface is not None,
            "CHILLY_PROXY": self.is_forced,
            "CHILLY_ANONYMOUS": self.anonymous,
            "CHILLY_BLOCK_LIST or CHILLY_ALLOW_LIST": self.has_lists,
        }
        return next((name for name, holds in reasons.items() if holds), None)

    @property
    def lets_private(self) -> bool:
        """Whether the engine may talk to private addresses."""
        return self.allow_private_addresses or self.typed.alone

    @property
    def webtorrent_asked(self) -> tuple[str, ...]:
        """The WebSocket trackers that every torrent which is not private is announced to."""
        return () if self.typed.alone else self.webtorrent_trackers

    @property
    def uses_dht(self) -> bool:
        """Whether the DHT is used, for torrents that are not private."""
        return self.dht and self.proxy is None and not self.typed.alone

    @property
    def uses_lsd(self) -> bool:
        """Whether peers in the local network are called out for, by what is not private."""
        return self.lsd and self.proxy is None and not self.anonymous


def gate_of(config: EngineConfig) -> Gate:
    """What a torrent may name."""
    return Gate(config.allow_private_addresses, config.own_ports, config.webtorrent_asked)


def for_engine(request: AddRequest, config: EngineConfig) -> AddRequest:
    """What to add with what the settings say of all torrents."""
    return replace(
        request,
        webtorrent=config.uses_webrtc,
        own_ports=config.own_ports,
        websockets=(*config.webtorrent_asked, *config.typed.trackers),
        typed=config.typed,
    )


async def with_typed(
    config: EngineConfig, trackers: Sequence[str], peers: Sequence[str] = ()
) -> EngineConfig:
    """The same with trackers and peers that the user typed; see `read_typed`.

    Raises:
        InvalidRequest: one is no address.
    """
    allowed, ports = config.allow_private_addresses, config.own_ports
    typed = await read_typed(
        trackers, peers, own_ports=ports, allow_private=allowed, resolve=config.proxy is None
    )
    return replace(config, typed=typed)


def settings_pack(config: EngineConfig) -> dict[str, Any]:
    """The libtorrent settings for a configuration."""
    hidden = config.proxy is not None or config.anonymous
    hosts: tuple[str, ...] = ("0.0.0.0", "[::]")  # noqa: S104 (peers may come from anywhere)
    if config.interface:
        hosts = (f"[{config.interface}]" if ":" in config.interface else config.interface,)
    pack = {
        **_TUNED,
        **_SAFE,
        "user_agent": f"ChillyMovies/{__version__}",
        "enable_dht": False,  # until a torrent needs it: `traffic.py`
        "enable_lsd": False,  # the same
        "enable_upnp": config.upnp and not hidden,
        "enable_natpmp": config.upnp and not hidden,
        "anonymous_mode": config.anonymous,
        "webtorrent_stun_server": config.stun_server,
        "listen_interfaces": ",".join(f"{host}:{config.port}" for host in hosts),
        "ssrf_mitigation": not config.lets_private,
        # peers behind one address are the rule on loopback and in a home network, and browsers
        # behind one router are many: the engine would keep one of them, of all transports
        "allow_multiple_connections_per_ip": config.lets_private or config.uses_webrtc,
    }
    if config.interface:
        pack["outgoing_interfaces"] = interfaces.outgoing(config.interface)
    if config.anonymous:
        pack["peer_fingerprint"] = ""  # the engine goes on telling its own name in peer ids
    if config.proxy is not None:
        pack |= _through(config.proxy)
    if not config.uses_webrtc:
        pack["max_webtorrent_offers"] = 0
    pack["webtorrent_connection_timeout"] = 30
    return {**pack, **config.extra}


def _through(proxy: Proxy) -> dict[str, Any]:
    """Peers, trackers, web seeds and names through the proxy. The engine never goes round it.

    It opens no TCP port then, and one for UDP, which is used through SOCKS only; without uTP
    nobody is answered there.
    """
    kinds = lt.proxy_type_t
    named = {"socks5": (kinds.socks5, kinds.socks5_pw), "http": (kinds.http, kinds.http_pw)}
    return {
        "proxy_type": int(named[proxy.scheme][bool(proxy.user)]),
        "proxy_hostname": proxy.host,
        "proxy_port": proxy.port,
        "proxy_username": proxy.user,
        "proxy_password": proxy.password,
        "proxy_hostnames": True,
        "proxy_peer_connections": True,
        "proxy_tracker_connections": True,
        "enable_incoming_tcp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
    }
