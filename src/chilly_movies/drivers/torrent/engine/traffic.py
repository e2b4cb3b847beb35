"""What the engine may send at the moment, and to whom.

The engine has one switch for the whole DHT, and talks to it whether or not a torrent needs it; for
peers in the local network it joins a group. So both are on only while there is a torrent that may
be known to all, and a little longer: one that is published leaves the engine and comes back.

Bound to an interface, the engine stops as soon as that is gone: it would otherwise go on with what
it has open, and of an address that moved to another device it would not know. It goes on when the
interface is back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import structlog

from chilly_movies.drivers.torrent.engine.config import EngineConfig, settings_pack
from chilly_movies.drivers.torrent.engine.fetch import fetch_checked
from chilly_movies.drivers.torrent.engine.filters import AddressFilter
from chilly_movies.drivers.torrent.mends.bans import Bans
from chilly_movies.jobs.models import Source
from chilly_movies.net import interfaces
from chilly_movies.net.listed_addresses import ListedAddresses

if TYPE_CHECKING:
    from chilly_movies.drivers.torrent.engine.torrent import Torrent

log = structlog.get_logger(__name__)

_LINGERS = 10.0
_LOOK = 0.4
"""Seconds between two looks at the interface."""
_LOOK_AT_LISTS = 1.0


class Traffic:
    """The traffic of one engine at a time.

    Args:
        config: the engine's settings.
        on_change: called when everything stops or goes on.
    """

    def __init__(self, config: EngineConfig, on_change: Callable[[], None]) -> None:
        self._config = config
        self._on_change = on_change
        self._watch: asyncio.Task[None] | None = None
        self._list_watch: asyncio.Task[None] | None = None
        self._halted: str | None = None
        self._session: Any = None
        self._bans = Bans()
        self._lists = ListedAddresses(config.block_list, config.allow_list)
        private = config.allow_private_addresses
        self._filter = AddressFilter(allow_private=private, lists=self._lists)
        self._reading = asyncio.Lock()
        self._read_all = asyncio.Event()
        self._judging: set[asyncio.Task[None]] = set()
        self._open_to_all = False
        self._needed = -math.inf

    async def prepare(self) -> None:
        """Learn whom we may talk to, before anybody is.

        Raises:
            EngineError: a list of addresses cannot be read.
        """
        async with self._reading:
            await self._lists.require()

    def lets(self, address: str) -> bool:
        """Whether an address may be talked to."""
        return self._filter.lets(address)

    async def fetch(self, source: Source) -> Source:
        """The torrent file behind a link; see `fetch_checked`."""
        await self.prepare()
        private = self._config.allow_private_addresses
        return await fetch_checked(
            source, allow_private=private, outbound=self._config.outbound, judge=self.lets
        )

    async def opened(self, session: Any) -> None:
        """There is a new engine, which does nothing yet."""
        self._session, self._open_to_all, self._halted = session, False, None
        await self._filter_anew(session)
        if self._config.has_lists:
            self._list_watch = asyncio.create_task(self._watch_lists(), name="list-watch")
        if self._config.interface is not None:
            self._look_at_interface()
            self._watch = asyncio.create_task(self._watch_interface(), name="interface-watch")

    async def closed(self) -> None:
        """It is gone."""
        self._session = None
        watches = [watch for watch in (self._watch, self._list_watch) if watch is not None]
        self._watch = self._list_watch = None
        for watch in watches:
            watch.cancel()
        if watches:
            await asyncio.wait(watches)

    def read_lists(self) -> None:
        """Read the lists of addresses again, soon and whether or not they changed."""
        self._read_all.set()

    async def _watch_lists(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LOOK_AT_LISTS):
                    await self._read_all.wait()
            except TimeoutError:
                pass
            always = self._read_all.is_set()
            self._read_all.clear()
            async with self._reading:
                if await self._lists.renew(always=always):
                    await self._filter_anew(self._session)

    async def _filter_anew(self, session: Any) -> None:
        """Somebody may be banned while it is built; so bans are looked at afterwards."""
        made = await asyncio.to_thread(self._filter.build)
        self._filter.put(session, made, self._bans.addresses())

    @property
    def halted(self) -> str | None:
        """One clause for why nothing is sent at the moment, None if it may be."""
        return self._halted if self._watch is not None else self._why_halted()

    def _why_halted(self) -> str | None:
        interface = self._config.interface
        why = None if interface is None else interfaces.why_unusable(interface)
        return None if why is None else f"{why}, so nothing is sent until it is back"

    async def _watch_interface(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            self._look_at_interface()

    def _look_at_interface(self) -> None:
        why, was = self._why_halted(), self._halted
        self._halted = why
        if why is not None and was is None:
            log.warning("everything stops", problem=why)
            self._session.pause()
            self._session.apply_settings({"listen_interfaces": "", **self._ways()})
        elif why is None and was is not None:
            log.warning("everything goes on", interface=self._config.interface)
            pack = settings_pack(self._config)  # an address may have come to another device
            names = ("listen_interfaces", "outgoing_interfaces")
            again = {name: pack[name] for name in names if name in pack}
            self._session.apply_settings({**again, **self._ways()})
            self._session.resume()
        if why != was:
            self._on_change()

    def look(self, privates: Iterable[bool], now: float) -> None:
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

    def banned(self, torrent: Torrent, address: str) -> None:
        """The engine banned a peer of a torrent."""
        judging = asyncio.ensure_future(self._judge(torrent, address))
        self._judging.add(judging)
        judging.add_done_callback(self._judging.discard)

    async def _judge(self, torrent: Torrent, address: str) -> None:
        """Shut the address of a banned peer out if it comes back and was of no use."""
        if await torrent.was_served_by(address):
            torrent.wronged()
            return
        now = time.monotonic()
        too_often = torrent.strikes.count(address, now)
        if self._session is not None and too_often and self._bans.shut_out(address, now):
            log.warning("wrong data came again and again", shut_out=address)
            torrent.shut_out += 1
            torrent.touch()
            self._filter.ban(self._session, self._bans.addresses())

    def _switch(self, *, on: bool) -> None:
        self._open_to_all = on
        if self._halted is None:
            self._session.apply_settings(self._ways())

    def _ways(self) -> dict[str, bool]:
        """The ways to tell all of a torrent."""
        on = self._open_to_all and self._halted is None
        return {
            "enable_dht": on and self._config.uses_dht,
            "enable_lsd": on and self._config.uses_lsd,
        }
