"""The libtorrent session: opened, given torrents, watched, closed. What leaves it are values."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import libtorrent as lt
import structlog

from chilly_movies.disk.plain import hold_plain
from chilly_movies.drivers.torrent.engine import engine_errors as engine
from chilly_movies.drivers.torrent.engine import gate
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.alert_table import AlertTable
from chilly_movies.drivers.torrent.engine.alerts import AlertNotifier, mask
from chilly_movies.drivers.torrent.engine.announces import PeerIds
from chilly_movies.drivers.torrent.engine.config import (
    EngineConfig,
    for_engine,
    gate_of,
    settings_pack,
)
from chilly_movies.drivers.torrent.engine.dropped import Dropped
from chilly_movies.drivers.torrent.engine.filters import limit_everyone
from chilly_movies.drivers.torrent.engine.listening import Listening
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.engine.traffic import Traffic
from chilly_movies.drivers.torrent.engine.waits import answer
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket
from chilly_movies.drivers.torrent.mends.stun import StunCheck
from chilly_movies.drivers.torrent.mends.tracker_sockets import forget, shut_for_good
from chilly_movies.drivers.torrent.mends.web_seeds import WebSeeds
from chilly_movies.errors import EngineRestarts
from chilly_movies.jobs.models import FurtherSource, ListenPort
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.runtime import tasks
from chilly_movies.runtime.clocks import TimeOfDay
from chilly_movies.runtime.single_flight import SingleFlight

log = structlog.get_logger(__name__)

_TICK = 0.5
_PEER_TICKS = 2
_COMING = 0.05
_LOOKS = 200


class TorrentSession:
    """One libtorrent session in one event loop.

    Args:
        config: the engine's settings.
        policy: whom we may talk to; None = one of its own.

    Attributes:
        policy: the same.
        traffic: what is sent at the moment, and to whom.
    """

    def __init__(self, config: EngineConfig, policy: NetworkPolicy | None = None) -> None:
        self._config = config
        self.policy = policy or NetworkPolicy(config)
        self._torrents: dict[lt.torrent_handle, Torrent] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._ticks = itertools.count()
        self._ses: Any = None
        self._opening = SingleFlight(self._open, "engine-opening")
        self._stun = StunCheck("")

        def touch_all() -> None:
            for torrent in self._torrents.values():
                torrent.touch()

        self.traffic = Traffic(config, self.policy, touch_all)
        self._listening = Listening(config.port)
        self._alerts = AlertTable(
            self._torrents,
            self._ask_figures,
            self._join_webrtc,
            self.traffic.banned,
            self._listening,
        )
        self._coming: list[frozenset[str]] = []
        self._hears_pieces = self._has_web_seeds = False
        self._time_of_day = TimeOfDay()
        self._outdated = False
        self._notifier: AlertNotifier | None = None
        self._peer_ids = PeerIds()

    async def open(self) -> None:
        """Start the engine. Idempotent; all who ask meanwhile wait, and none can break it off."""
        if self._ses is None or self._outdated:
            with engine.short_of_descriptors():
                await self._opening.run()

    async def _open(self) -> None:
        def drain() -> None:
            if self._ses is not None:
                for alert in self._ses.pop_alerts():
                    self._alerts.apply(alert)

        if self._outdated:  # end the old engine once all torrents left: each run lets its own go
            for _ in range(_LOOKS):
                if not self._torrents:
                    break
                await asyncio.sleep(_COMING)
            await self._end()
            self._outdated = False
        await self.traffic.prepare()
        settings = {**settings_pack(self._config), "alert_mask": self._alert_mask()}
        session = await asyncio.to_thread(lambda: lt.session(cast(Any, settings)))
        limit_everyone(session)  # always: a limit may come while peers are connected
        await self.traffic.opened(session)
        try:
            self._notifier = AlertNotifier(session, drain)
        except OSError:
            await self.traffic.closed()
            raise
        self._ticker = asyncio.create_task(
            tasks.every(_TICK, self._tick, "looking at the engine"), name="engine-ticker"
        )
        self._stun = StunCheck(self._config.stun_server if self._config.uses_webrtc else "")
        self._ses = session  # it is open only now

    def _alert_mask(self) -> int:
        return mask(
            webrtc=self._config.uses_webrtc,
            pieces=self._hears_pieces,
            web_seeds=self._has_web_seeds,
        )

    def hear_pieces(self, on: bool) -> None:
        """Whether the engine tells of every piece that arrives: only readers need that."""
        self._hears_pieces = on
        if self._ses is not None:
            self._ses.apply_settings({"alert_mask": self._alert_mask()})

    async def aclose(self) -> None:
        """Stop the engine. Idempotent; all torrents were removed before."""
        await self._opening.wait_idle()
        await self._end()

    async def _end(self) -> None:
        if self._ses is None:
            return
        session, self._ses = self._ses, None
        self._listening.clear()
        await self.traffic.closed()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.mute()
        session.pause()
        if self._outdated:  # its end would wait for a time of day that is far away
            session.apply_settings({"listen_interfaces": ""})
            forget(session)
        elif await shut_for_good(lambda: self._alerts.asked, connecting=True):
            last = [session]
            del session
            # its destructor waits for the last announces, and lets no other thread run meanwhile
            await asyncio.to_thread(last.clear)
        else:
            forget(session)
        if notifier is not None:
            notifier.close()

    @property
    def listening(self) -> tuple[ListenPort, ...]:
        """Where peers reach us; nowhere while nothing may be sent."""
        return () if self.policy.halted is not None else self._listening.ports

    async def dht_nodes(self) -> int | None:
        """How many nodes of the DHT it knows; None if it does not use it or is not open."""
        if self._ses is None or not self._config.uses_dht:
            return None
        counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._alerts.node_counts.append(counted)
        self._ses.post_session_stats()
        return await answer(counted, "counting the nodes of the DHT")

    @property
    def port(self) -> int:
        """The TCP port peers reach us at."""
        return int(self._ses.listen_port())

    async def add(self, request: p.AddRequest) -> Torrent:
        """Add a torrent, paused. Cancelled, it leaves nothing in the session.

        Raises:
            InvalidSource: the source is broken.
            SourceRejected: the session has it already, or refuses it.
            DiskError: something that is not ours lies where it is to write.
        """
        await self.open()
        params, dropped = await self.vetted(request)
        held = None
        if request.save_path == request.part_path:
            held = await hold_plain(request.save_path)
            params.save_path = params.part_file_dir = str(held.path)
        async with self._alone(p.hash_names(params)) as other:
            if other is not None and other.only_look:
                await other.remove()  # who only looks gives way to a job
            torrent = await self._add_shielded(params, request, dropped)
        torrent.held = held
        return torrent

    async def vetted(self, request: p.AddRequest) -> tuple[lt.add_torrent_params, Dropped]:
        """Add parameters that passed the gate, and what did not."""
        request = for_engine(request, self._config)
        params, dropped = p.prepare(request)
        private = await gate.drop_private_websockets(params, request.gate)
        return params, dropped.with_resolved(private)

    async def borrow(self, request: p.AddRequest) -> tuple[Torrent, bool]:
        """The torrent that is in the session already, or else one that is only looked at.

        Returns:
            The torrent, and whether the caller has to remove it.
        """
        await self.open()
        params, dropped = await self.vetted(request)
        async with self._alone(p.hash_names(params)) as other:
            if other is not None:
                return other, False
            torrent = await self._add_shielded(params, request, dropped)
        torrent.run()
        return torrent, True

    @asynccontextmanager
    async def _alone(self, hashes: frozenset[str]) -> AsyncIterator[Torrent | None]:
        """Nobody else adds this torrent meanwhile; gives the one that is there already."""
        while any(hashes & coming for coming in self._coming):  # noqa: ASYNC110 (hardly ever)
            await asyncio.sleep(_COMING)
        self._coming.append(hashes)
        try:
            found = [torrent for torrent in self._torrents.values() if torrent.hashes & hashes]
            yield found[0] if found else None
        finally:
            self._coming.remove(hashes)

    def has(self, torrent: Torrent) -> bool:
        """Whether it is in the session."""
        return any(torrent is other for other in self._torrents.values())

    async def _add_shielded(
        self, params: lt.add_torrent_params, request: p.AddRequest, dropped: Dropped
    ) -> Torrent:
        selection = gate.select(params, programs=request.options.allow_executables)
        adding = tasks.begin(self._add(params, selection, dropped, request))
        try:
            return await tasks.to_the_end(adding)
        except asyncio.CancelledError:
            # its thread went on, and nobody would ever take out what it added
            if not adding.cancelled() and adding.exception() is None:
                await adding.result().remove()
            raise

    async def _add(
        self,
        params: lt.add_torrent_params,
        selection: gate.Selection,
        dropped: Dropped,
        request: p.AddRequest,
    ) -> Torrent:
        hashes, private = p.hash_names(params), params.ti is not None and params.ti.priv()
        if not private:
            self.traffic.needs_all()
        if not private or any(map(is_websocket, params.trackers)):
            await self._stun.spare(self._ses)
        if params.url_seeds:
            self._hear_web_seeds()
        try:
            handle = await asyncio.to_thread(self._peer_ids.add, self._ses, params, hashes)
        except RuntimeError as error:
            raise engine.refused(error) from None
        torrent = self._torrents[handle] = Torrent(
            handle,
            leave=self.remove,
            refresh=self.refresh,
            hashes=hashes,
            private=private,
            read_only=request.read_only,
            only_look=request.only_look,
            selection=selection,
            encoding=p.encoding_of(request.source),
            patience=self._config.metadata_timeout,
            peers=params.peers,
            dropped=dropped,
            web_seeds=WebSeeds(handle, params.url_seeds, self._config.web_seed_retry),
            known=request.known,
            unwanted=request.trackers.removed,
        )
        torrent.update(await asyncio.to_thread(handle.status))
        self._join_webrtc(torrent)
        return torrent

    def _hear_web_seeds(self) -> None:
        if not self._has_web_seeds:
            self._has_web_seeds = True
            self._ses.apply_settings({"alert_mask": self._alert_mask()})

    def mirror(self, torrent: Torrent, mirrors: Sequence[FurtherSource]) -> None:
        """Ask a torrent's mirrors, and no longer those that it had before; see `MirrorLinks`."""
        if mirrors:
            self._hear_web_seeds()
        torrent.mirrors.take(mirrors, gate_of(self._config))

    def _join_webrtc(self, torrent: Torrent) -> None:
        if self._config.uses_webrtc:
            torrent.join_webrtc(self._config.webtorrent_asked)
            if self._stun.silent:
                torrent.notes.append(self._stun.note)

    async def remove(self, torrent: Torrent, handle: lt.torrent_handle) -> None:
        """Take a torrent out of the session and wait until it is."""
        if self._torrents.get(handle) is not torrent:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        torrent.waits.removed.append(done)
        try:
            self._ses.remove_torrent(handle)
            await answer(done, "removing a torrent")
        finally:
            self._torrents.pop(handle, None)
            # or the tracker would go on naming us, and a silent one would go on being asked
            others = self._torrents.values()
            await shut_for_good(lambda: torrent.asked.difference(*(t.asked for t in others)))

    async def refresh(self, torrent: Torrent) -> None:
        """Wait for figures that are newer than this call."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._alerts.refreshes.append(done)
        self._ask_figures()
        await answer(done, "reading the state")
        torrent.touch()

    def _ask_figures(self) -> None:
        self._ses.post_torrent_updates(lt.torrent_handle.query_distributed_copies)

    async def _tick(self) -> None:
        """Ask for figures; less often count peers, revive dead connections, make offers.

        Once the time of day was set back the engine is given up. It lives by that: limited
        transfers, timeouts and announces would stand still until it is as late again as it was.
        """
        if back := self._time_of_day.set_back():
            log.warning("the clock was set back, the engine begins anew", seconds=back)
            self._outdated = True
            sentence = "The clock of this machine was set back, so the engine begins anew."
            for torrent in self._torrents.values():
                torrent.lose(EngineRestarts(sentence))
        if self._torrents:
            self._ask_figures()
        if next(self._ticks) % _PEER_TICKS:
            return
        self.traffic.end_expired([t.private for t in self._torrents.values()], time.monotonic())
        self.traffic.settle({torrent: torrent.state for torrent in self._torrents.values()})
        for torrent in tuple(self._torrents.values()):
            if torrent.state.peers:
                await torrent.peers()
            with suppress(RuntimeError):  # it left the session meanwhile
                torrent.revive(time.monotonic())
                if self._config.uses_webrtc:
                    torrent.offer_again(time.monotonic())
