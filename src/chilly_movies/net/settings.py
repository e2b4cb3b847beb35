"""The user's settings of the network, whichever driver uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chilly_movies.net.limiter import MAX_RATE
from chilly_movies.net.proxies import Proxy, parse_proxy
from chilly_movies.runtime.setting_fields import setting


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Which way our traffic goes, how fast, and whom we talk to."""

    interface: str | None = setting(None, "the only network interface, or address of one, to use")
    proxy: Proxy | None = setting(
        None,
        "socks5://user:password@host:port or http://host:port for all traffic",
        read=parse_proxy,
        secret=True,
    )
    proxy_force: bool = setting(True, "nothing goes round the proxy, WebRTC is off")
    block_list: Path | None = setting(
        None, "file with addresses not to talk to: .p2p, .dat or CIDR, .gz or not"
    )
    allow_list: Path | None = setting(
        None, "file with the only addresses to talk to, in the same forms"
    )
    anonymous: bool = setting(False, "tell peers and trackers as little as possible")
    allow_private_addresses: bool = setting(
        False, "loopback and private peers, trackers, web seeds and links"
    )
    download_limit: int = setting(0, "bytes per second, 0 = unlimited", ge=0, le=MAX_RATE)
    upload_limit: int = setting(0, "bytes per second, 0 = unlimited", ge=0, le=MAX_RATE)

    def check(self) -> None:
        """Refuses what the engine cannot do.

        Raises:
            ValueError: there are a proxy and an interface.
        """
        if self.proxy and self.interface:
            raise ValueError(
                "CHILLY_PROXY and CHILLY_INTERFACE cannot be used together: "
                "the engine would not bind its calls to the proxy"
            )
