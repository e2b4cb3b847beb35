"""Whom the engine may talk to by address, and for whom its speed limits hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.addresses import NON_PUBLIC_V4, NON_PUBLIC_V6
from chilly_movies.drivers.torrent import params as p
from chilly_movies.drivers.torrent.config import EngineConfig


def block_addresses(session: Any, config: EngineConfig, banned: Iterable[str]) -> None:
    """Private addresses unless allowed, and those from which wrong data came."""
    blocked = lt.ip_filter()
    if not config.allow_private_addresses:
        for network in p.networks((*NON_PUBLIC_V4, *NON_PUBLIC_V6)):
            blocked.add_rule(*network, 1)
    for address in banned:
        blocked.add_rule(address, address, 1)
    session.set_ip_filter(blocked)


def limit_everyone(session: Any) -> None:
    """The engine's own classes leave local peers out of the session's limits."""
    everyone = lt.ip_filter()
    everyone.add_rule("0.0.0.0", "255.255.255.255", 1 << session.global_peer_class_id)  # noqa: S104
    everyone.add_rule("::", ":".join(["ffff"] * 8), 1 << session.global_peer_class_id)
    session.set_peer_class_filter(everyone)
