"""What the engine may send at the moment, and to whom.

The engine has one switch for the whole DHT, and talks to it whether or not a torrent needs it; for
peers in the local network it joins a group. So both are on only while there is a torrent that may
be known to all, and a little longer: one that is published leaves the engine and comes back.

It stops and goes on, talks to whom, and is as fast as the network policy says.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import structlog

from chilly_movies.drivers.torrent.engine.config import EngineConfig, settings_pack
from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.engine.filters import AddressFilter
from chilly_movies.drivers.torrent.mends.bans import BanRecord, Bans
from chilly_movies.net.policy import NetworkPolicy

log = structlog.get_logger(__name__)

_LINGERS = 10.0
"""Seconds for which the ways to tell all stay open when no torrent needs them any more."""


class Suspect(Protocol):
    """A torrent, as far as the ban of one of its peers is concerned.

    Attributes:
        shut_out: how many addresses were shut out because of it.
        ban_record: what the addresses of its peers did.
    """

    shut_out: int
    ban_record: BanRecord

    async def was_served_by(self, address: str) -> bool:
        """Whether more came from this address than was wrong of all that came."""

    def wronged(self) -> None:
        """The engine banned a peer that is or may be honest."""

    def touch(self) -> None:
        """Wakes the watcher."""


class Traffic:
    """The traffic of one engine at a time.

    Args:
        config: the engine's settings.
        policy: whom we may talk to.
        on_change: called when everything stops or goes on.
    """

    def __init__(
        self, config: EngineConfig, policy: NetworkPolicy, on_change: Callable[[], None]
    ) -> None:
        self._config = config
        self._policy = policy
        self._on_change = on_change
        self._is_halted = False
        self._session: Any = None
        self._bans = Bans()
        self._filter = AddressFilter(policy, private=config.lets_private)
        self._judging: set[asyncio.Task[None]] = set()
        self._open_to_all = False
        self._needed = -math.inf
        self._came: dict[Any, int] = {}

    async def prepare(self) -> None:
        """Learn whom we may talk to, before anybody is.

        Raises:
            EngineError: a list of addresses cannot be read.
        """
        await self._policy.prepare()

    async def opened(self, session: Any) -> None:
        """There is a new engine, which does nothing yet."""
        self._session, self._open_to_all, self._is_halted = session, False, False
        await self.lists_changed()
        self._limits_changed()
        self._policy.limiter.subscribe(self._limits_changed)
        self._policy.subscribe(self)
        if self._policy.halted is not None:
            self.network_changed()

    async def closed(self) -> None:
        """It is gone."""
        self._session = None
        self._policy.limiter.unsubscribe(self._limits_changed)
        self._policy.limiter.release()
        self._came = {}
        await self._policy.unsubscribe(self)

    async def lists_changed(self) -> None:
        """See `policy.Subscriber`."""
        session, made = self._session, await asyncio.to_thread(self._filter.build)
        # somebody may have been banned while it was built
        self._filter.put(session, made, self._bans.addresses())

    def _limits_changed(self) -> None:
        rates = self._policy.limiter.engine_rates
        limits = {"download_rate_limit": rates.download, "upload_rate_limit": rates.upload}
        self._session.apply_settings(limits)

    def settle(self, states: Mapping[Any, TorrentState]) -> None:
        """Tell the limiter what came since the last call, so that other drivers have their part.

        Args:
            states: of each torrent in the engine.
        """
        limiter = self._policy.limiter
        if not limiter.is_limited:
            self._came.clear()
            limiter.settle(0, 0)
            return
        came = {torrent: state.downloaded for torrent, state in states.items()}
        new = sum(max(0, now - self._came.get(torrent, now)) for torrent, now in came.items())
        self._came = came
        fetching = sum(1 for state in states.values() if state.peers and not state.finished)
        limiter.settle(new, fetching)

    def network_changed(self) -> None:
        """See `policy.Subscriber`."""
        halted, was = self._policy.halted is not None, self._is_halted
        self._is_halted = halted
        if halted and not was:
            self._session.pause()
            self._session.apply_settings({"listen_interfaces": "", **self._ways()})
        elif was and not halted:
            pack = settings_pack(self._config)  # an address may have come to another device
            names = ("listen_interfaces", "outgoing_interfaces")
            again = {name: pack[name] for name in names if name in pack}
            self._session.apply_settings({**again, **self._ways()})
            self._session.resume()
        self._on_change()

    def end_expired(self, privates: Iterable[bool], now: float) -> None:
        """End what is over.

        Args:
            privates: of each torrent in the engine, whether it must not be known to all.
            now: seconds of a monotonic clock.
        """
        if self._bans.served(now):
            self._filter.ban(self._session, self._bans.addresses())
        if not all(privates):
            self.needs_all(now)
        elif self._open_to_all and now - self._needed >= _LINGERS:
            self._switch(on=False)

    def needs_all(self, now: float | None = None) -> None:
        """There is, or is about to be, a torrent that is not private."""
        self._needed = time.monotonic() if now is None else now
        if not self._open_to_all:
            self._switch(on=True)

    def shut_out(self, address: str) -> None:
        """Talk to nobody at this address any more, until the program ends: its user wants that."""
        self._bans.ban_for_good(address)
        if self._session is not None:
            self._filter.ban(self._session, self._bans.addresses())

    def shuts_out(self, address: str) -> bool:
        """Whether nobody at this address is talked to because of what peers there did."""
        return address in self._bans.addresses()

    def banned(self, torrent: Suspect, address: str) -> None:
        """The engine banned a peer of a torrent."""
        judging = asyncio.ensure_future(self._judge(torrent, address))
        self._judging.add(judging)
        judging.add_done_callback(self._judging.discard)

    async def _judge(self, torrent: Suspect, address: str) -> None:
        """Shut the address of a banned peer out if it comes back and was of no use."""
        now = time.monotonic()
        if await torrent.was_served_by(address):
            torrent.wronged()
        elif not torrent.ban_record.count(address, now):
            # caught once: it may have filled a piece together with a liar, and a torrent that has
            # nobody else would wait for ever
            if self._bans.pardon(address):
                torrent.wronged()
        elif self._session is not None and self._bans.ban(address, now):
            log.warning("wrong data came again and again", shut_out=address)
            torrent.shut_out += 1
            torrent.touch()
            self._filter.ban(self._session, self._bans.addresses())

    def _switch(self, *, on: bool) -> None:
        self._open_to_all = on
        if not self._is_halted:
            self._session.apply_settings(self._ways())

    def _ways(self) -> dict[str, bool]:
        """The ways to tell all of a torrent."""
        on = self._open_to_all and not self._is_halted
        return {
            "enable_dht": on and self._config.uses_dht,
            "enable_lsd": on and self._config.uses_lsd,
        }
