"""Whom the engine may talk to by address, and for whom its speed limits hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import libtorrent as lt

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.net.addresses import NON_PUBLIC_V4, NON_PUBLIC_V6, is_public
from chilly_movies.net.listed_addresses import EVERYBODY
from chilly_movies.net.policy import NetworkPolicy


class AddressFilter:
    """The engine's filter: private addresses unless allowed, the user's lists, and those banned.

    Args:
        policy: whom we may talk to, bans aside.
        private: private addresses, too.
    """

    def __init__(self, policy: NetworkPolicy, *, private: bool) -> None:
        self._policy = policy
        self._private = private
        self._banned: frozenset[str] = frozenset()

    def build(self) -> Any:
        """The filter without bans. Takes seconds for a million addresses; blocks."""
        made = lt.ip_filter()
        for first, last, shut in self._policy.lists.rules():
            made.add_rule(first, last, int(shut))
        if not self._private:
            for network in p.networks((*NON_PUBLIC_V4, *NON_PUBLIC_V6)):
                made.add_rule(*network, 1)
        return made

    def put(self, session: Any, made: Any, banned: Iterable[str]) -> None:
        """Let what was built hold from now on, and these be banned."""
        self._banned = frozenset(banned)
        for address in self._banned:
            made.add_rule(address, address, 1)
        session.set_ip_filter(made)

    def ban(self, session: Any, banned: Iterable[str]) -> None:
        """Ban these and no others; of a long list nothing is made anew."""
        wanted = frozenset(banned)
        made = session.get_ip_filter()
        for address in wanted ^ self._banned:
            let = (self._private or is_public(address)) and self._policy.lists.lets(address)
            made.add_rule(address, address, int(address in wanted or not let))
        self._banned = wanted
        session.set_ip_filter(made)


_LOCAL = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fe80::/10",
    "::1/128",
)
"""The peers that the engine's own class filter takes for local ones."""


def limit_everyone(session: Any) -> None:
    """Lets the session's limits hold for local peers, too; the engine's own classes leave them out.

    They stay in the class of local peers besides, so that they go on to need no unchoke slot. A
    peer is put into classes once, when it connects.
    """
    everyone = lt.ip_filter()
    limited = 1 << session.global_peer_class_id
    for first, last in EVERYBODY:
        everyone.add_rule(first, last, limited)
    for first, last in p.networks(_LOCAL):
        everyone.add_rule(first, last, limited | 1 << session.local_peer_class_id)
    session.set_peer_class_filter(everyone)
