"""The fields of `EngineConfig` as keyword arguments, for type checkers (PEP 692)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from chilly_movies.drivers.torrent.engine.typed import Typed
from chilly_movies.net.proxies import Proxy


class EngineOptions(TypedDict, total=False):
    """All fields of `EngineConfig` but the media root; their meanings and defaults are there."""

    port: int
    interface: str | None
    proxy: Proxy | None
    proxy_force: bool
    anonymous: bool
    block_list: Path | None
    allow_list: Path | None
    dht: bool
    lsd: bool
    upnp: bool
    webtorrent: bool
    webtorrent_trackers: tuple[str, ...]
    stun_server: str
    allow_private_addresses: bool
    download_limit: int
    upload_limit: int
    seed_ratio: float
    seed_time: int
    save_bytes: int
    save_interval: float
    save_within: float
    look_interval: float
    metadata_timeout: float
    own_ports: set[int]
    find_data: bool
    film_folders: tuple[Path, ...]
    typed: Typed
    web_seed_retry: float
    extra: dict[str, Any]
