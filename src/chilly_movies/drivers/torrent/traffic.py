"""What the engine may send at the moment, and to whom.

The engine has one switch for the whole DHT, and talks to it whether or not a torrent needs it. So
it is on only while there is a torrent that may be known to all, and a little longer: a torrent
that is published leaves the engine and comes back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import structlog

from chilly_movies.drivers.torrent.bans import Bans
from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.filters import block_addresses

if TYPE_CHECKING:
    from chilly_movies.drivers.torrent.torrent import Torrent

log = structlog.get_logger(__name__)

_DHT_LINGERS = 10.0


class Traffic:
    """The traffic of one engine at a time.

    Args:
        config: the engine's settings.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._session: Any = None
        self._bans = Bans()
        self._judging: set[asyncio.Task[None]] = set()
        self._dht = False
        self._dht_needed = -math.inf

    def opened(self, session: Any) -> None:
        """There is a new engine, which does nothing yet."""
        self._session, self._dht = session, False
        self._block()

    def closed(self) -> None:
        """It is gone."""
        self._session = None

    def look(self, privates: Iterable[bool], now: float) -> None:
        """End what is over.

        Args:
            privates: of each torrent in the engine, whether it must not be known to all.
            now: seconds of a monotonic clock.
        """
        if self._bans.served(now):
            self._block()
        if not all(privates):
            self.needs_dht(now)
        elif self._dht and now - self._dht_needed >= _DHT_LINGERS:
            self._switch_dht(on=False)

    def needs_dht(self, now: float | None = None) -> None:
        """There is, or is about to be, a torrent that is not private."""
        self._dht_needed = time.monotonic() if now is None else now
        if self._config.uses_dht and not self._dht:
            self._switch_dht(on=True)

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
            self._block()

    def _block(self) -> None:
        block_addresses(self._session, self._config, self._bans.addresses())

    def _switch_dht(self, *, on: bool) -> None:
        self._dht = on
        self._session.apply_settings({"enable_dht": on})
