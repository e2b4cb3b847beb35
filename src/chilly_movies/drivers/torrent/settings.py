"""The user's settings of the torrent engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chilly_movies.runtime.setting_fields import setting


def _are_ws_urls(urls: tuple[str, ...]) -> None:
    for url in urls:
        if not re.fullmatch(r"wss?://[^/\s,]+(/\S*)?", url):
            raise ValueError("must be addresses like wss://tracker.example")


def _is_host_and_port(text: str) -> None:
    if text and not re.fullmatch(r"(stun:)?[^\s:/]+:\d{1,5}", text):
        raise ValueError("must look like stun.example:3478")


@dataclass(frozen=True, kw_only=True)
class TorrentSettings:
    """How torrents are found, fetched and seeded."""

    port: int = setting(
        6881, "port for peers, 0 = any free one", name="torrent_port", ge=0, le=65_535
    )
    dht: bool = setting(True, "find peers without trackers; never for private torrents")
    lsd: bool = setting(False, "find peers in the local network")
    upnp: bool = setting(False, "ask the router to open the torrent port")
    webtorrent: bool = setting(True, "talk to browsers over WebRTC")
    webtorrent_trackers: tuple[str, ...] = setting(
        ("wss://tracker.openwebtorrent.com", "wss://tracker.webtorrent.dev"),
        "WebSocket trackers added to every torrent that is not private",
        check=_are_ws_urls,
    )
    stun_server: str = setting(
        "", "host:port that tells this machine's address", check=_is_host_and_port
    )
    metadata_timeout: int = setting(
        120, "seconds a magnet waits before others get its slot", ge=5, le=86_400
    )
    find_data: bool = setting(
        True, "take what lies here already, under whatever name, before anything is fetched"
    )
    seed_ratio: float = setting(1.0, "stop seeding there, 0 = never seed", ge=0, le=1000)
    seed_time: int = setting(86_400, "seconds, 0 = never seed", ge=0, le=10**9)
