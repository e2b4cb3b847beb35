"""One torrent in the engine: its figures, and what may be asked of it, in plain values."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import libtorrent as lt
import structlog

from chilly_movies.disk.plain import Held
from chilly_movies.drivers.torrent.engine import gate, tracker_list
from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.announces import Announces
from chilly_movies.drivers.torrent.engine.dropped import Dropped
from chilly_movies.drivers.torrent.engine.figures import (
    TorrentState,
    can_be_called,
    is_web_seed,
    owes,
    peer_of,
    state_of,
    waits_for_disk,
)
from chilly_movies.drivers.torrent.engine.gate import Selection
from chilly_movies.drivers.torrent.engine.meter import Meter, Sum
from chilly_movies.drivers.torrent.engine.mirrors import MirrorLinks
from chilly_movies.drivers.torrent.engine.piece_hashes import PieceHashes, piece_hashes
from chilly_movies.drivers.torrent.engine.pieces import Pieces, bits
from chilly_movies.drivers.torrent.engine.standings import Endpoint, Standings, TrackerStanding
from chilly_movies.drivers.torrent.engine.waits import Waits, answer
from chilly_movies.drivers.torrent.mends.bans import BanRecord
from chilly_movies.drivers.torrent.mends.dead_peer_watch import DeadPeerWatch
from chilly_movies.drivers.torrent.mends.handshakes import Handshakes, is_websocket, why_no_peer
from chilly_movies.drivers.torrent.mends.tracker_sockets import port_of
from chilly_movies.drivers.torrent.mends.web_seeds import WebSeeds
from chilly_movies.errors import (
    ChillyError,
    DiskError,
    NoMetadata,
    SourceRejected,
    SourceUnavailable,
)
from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.models import Job, Peer, TrackerChoice, Transports
from chilly_movies.jobs.swarm import PieceMap, Tracker
from chilly_movies.jobs.torrents import InspectedTorrent

log = structlog.get_logger(__name__)

_A_TURN, _BETWEEN_TURNS = 25, 0.02
"""How many watchers are woken at once, and the seconds before the next ones are."""
_SPOILED_SECONDS = 15.0
"""So long it is said that wrong data came, even if the right one comes meanwhile."""
_FORGIVEN_AFTER = 5.0
"""Seconds without any peer, of which an honest one may have been banned, until the torrent is added
anew; not before something right came: where all lie, they are not asked again and again."""
_LATE_WRITES = 0.5
"""Seconds in which all is written that was to be written when a torrent left."""


class Torrent:
    """One torrent in the session.

    Args:
        handle: the engine's.
        leave: takes it out of the session, and returns when it is.
        refresh: returns when its figures are newer than the call.
        hashes: its info hashes in hex.
        private: only its own trackers may know of it (BEP 27), as far as is known yet.
        read_only: it was never meant to write.
        only_look: it is no job's, and no file of it is wanted.
        selection: which files are wanted, also before they are known.
        encoding: what names that are not UTF-8 are written in, "" = unknown.
        patience: seconds the metadata may take to come.
        peers: named by the link or the resume data; while nobody is connected they are called.
        dropped: what it names and is not talked to.
        web_seeds: addresses with the same data, and what went wrong with them.
        unwanted: announce URLs that the user removed.
        known: what its job moved before; the engine knows it from the resume data, if there is any.

    Attributes:
        state: its newest figures.
        standings: how its trackers answered.
        asked: ports of the WebSocket trackers it announced to.
        disk_problem: what the disk refused, None if nothing.
        lost: why it must leave the session, None if it may stay.
        pieces: which of them are there, and the order of the others.
        mirrors: the web seeds among them that the user named.
        choosing: the wanted files are being told to the engine, which until then wants nothing.
        held: the folder of its unfinished data.
        shut_out: addresses that were, as wrong data came from there.
        ban_record: what the addresses of its peers did, good and bad.
        waits: what it was asked and has not answered yet.
    """

    def __init__(
        self,
        handle: lt.torrent_handle,
        *,
        leave: Callable[[Torrent, lt.torrent_handle], Awaitable[None]],
        refresh: Callable[[Torrent], Awaitable[None]],
        hashes: frozenset[str] = frozenset(),
        private: bool = False,
        read_only: bool = False,
        only_look: bool = False,
        selection: Selection | None = None,
        encoding: str = "",
        patience: float = math.inf,
        peers: Sequence[tuple[str, int]] = (),
        dropped: Dropped | None = None,
        web_seeds: WebSeeds | None = None,
        known: Figures | None = None,
        unwanted: Iterable[str] = (),
    ) -> None:
        self._handle = handle
        self._leave = leave
        self._refresh = refresh
        self.hashes, self.private = hashes, private
        self.read_only, self.only_look = read_only, only_look
        self.selection = selection or Selection()
        self.encoding, self.patience = encoding, patience
        self.dropped = dropped or Dropped()
        self.web_seeds = web_seeds or WebSeeds(handle)
        self.mirrors = MirrorLinks(handle, self.web_seeds)
        self._changed = asyncio.Event()
        self._changed.set()
        self.waits = Waits()
        self.pieces = Pieces(handle)
        self.pieces.on_loss = self.refuse
        self.held: Held | None = None
        self.state = TorrentState()
        self._known = known or Figures()
        self._unwanted = frozenset(unwanted)
        self._down, self._up, self._wasted = Meter(), Meter(), Sum()
        self._dead_peers, self._owed, self._runs = DeadPeerWatch(peers), False, False
        self.standings = Standings()
        self.announces = Announces(handle)
        self.handshakes = Handshakes()
        self.asked: set[int] = set()
        self.rtc_addresses: set[tuple[str, int]] = set()
        self.notes: list[str] = []
        self.choosing = False
        self._began = time.monotonic()
        self.disk_problem: DiskError | None = None
        self._refused = self._wronged = False
        self._spoiled_at = -math.inf
        self.shut_out = 0
        self.ban_record = BanRecord()
        self.lost: ChillyError | None = None
        self._alone_since: float | None = None

    def update(self, status: Any) -> None:
        """Take the engine's newest figures, and wake the watcher."""
        self.renew(status)
        self.touch()

    def renew(self, status: Any) -> None:
        """Take the engine's newest figures."""
        now, figures = time.monotonic(), state_of(status)
        if figures.rejected > self.state.rejected:
            self._spoiled_at = now
        down = self._down.rate(now, status.total_payload_download)
        up = self._up.rate(now, status.total_payload_upload)
        self.state = replace(
            figures,
            # until the engine was told what is wanted it says that this is nothing
            has_metadata=figures.has_metadata and not self.choosing,
            received=self._down.total,
            # resume data may be missing, and that of older versions is all there is
            downloaded=max(figures.downloaded, self._known.downloaded + self._down.total),
            uploaded=max(figures.uploaded, self._known.uploaded + self._up.total),
            wasted=self._known.wasted + self._wasted.add(figures.wasted),
            seeding_time=max(figures.seeding_time, self._known.seconds_seeding),
            finished=figures.finished and not self.choosing,
            spoiled=now - self._spoiled_at < _SPOILED_SECONDS,
            shut_out=self.shut_out,
            transports=self.state.transports if status.num_peers else Transports(),
            download_speed=down,
            upload_speed=up,
        )

    def touch(self) -> None:
        """Something changed: wake the watcher."""
        self._changed.set()

    @staticmethod
    def touch_in_turns(torrents: Sequence[Torrent]) -> None:
        """Wake many watchers, some at a time: of a thousand at once nobody else is served."""
        loop = asyncio.get_running_loop()
        for turn, first in enumerate(range(0, len(torrents), _A_TURN)):
            for torrent in torrents[first : first + _A_TURN]:
                if turn:
                    loop.call_later(turn * _BETWEEN_TURNS, torrent.touch)
                else:
                    torrent.touch()

    def fail(self, error: Exception) -> None:
        """It cannot go on: wake whoever watches it or waits for a check."""
        self.waits.end_check(error)
        self.touch()

    def refuse(self, error: DiskError) -> None:
        """The disk refused something: nothing that it has is claimed any more."""
        self.disk_problem = error
        self.fail(error)

    def lose(self, error: ChillyError) -> None:
        """It must leave the session, with this error."""
        self.lost = error
        self.fail(error)

    def wronged(self) -> None:
        """The engine banned a peer that may be honest, and nothing makes it change its mind."""
        self._wronged = True

    async def moved(self, within: float = 1.0) -> TorrentState:
        """The state as soon as it changes, at the latest after so many seconds.

        The first call returns at once.

        Raises:
            DiskError: the disk refused something.
            SourceRejected: the engine gave the torrent up.
            EngineRestarts: the engine itself is given up for a new one.
            SourceUnavailable: only a torrent that is added anew finds its peers again.
            NoMetadata: no peer sent the metadata in time.
        """
        try:
            # not all at the same moment, or a thousand of them would hold everybody else up
            async with asyncio.timeout(within * random.uniform(0.8, 1.0)):  # noqa: S311
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()
        if self.disk_problem is not None:
            raise self.disk_problem
        if self.lost is not None:
            raise self.lost
        # the engine keeps it to itself for 600 s if the alert is lost
        if self.state.upload_only and not self.read_only:
            if self._refused:  # the alert, which says why, may come right after the figures
                raise DiskError("The disk refused a write.")
            self._refused = True
        if not self.state.has_metadata and time.monotonic() - self._began > self.patience:
            raise NoMetadata(f"Nobody sent the torrent's metadata within {self.patience:g} s.")
        return self.state

    def metadata(self) -> p.Metadata | None:
        """What the info dictionary says, None before it is known."""
        info = self._handle.torrent_file()
        if info is None:
            return None
        chosen = self.selection.priorities(info.layout()) if self.choosing else None
        priorities = self._handle.get_file_priorities() if chosen is None else chosen
        return p.read_metadata(
            info, priorities, programs=self.selection.programs, encoding=self.encoding
        )

    def piece_hashes(self) -> PieceHashes | None:
        """The hashes of its files, None before they are known. Those of a v2 torrent are few."""
        info = self._handle.torrent_file()
        return None if info is None else piece_hashes(info)

    def take_metadata(self) -> None:
        """The metadata came: look at the files, and only then want any of them."""
        info = self._handle.torrent_file()
        if info is not None and not self.only_look:
            self.choosing = True
            self.private = info.priv()
            try:
                gate.check_info(info)
            except SourceRejected as error:
                self.lose(error)
            else:
                self._handle.prioritize_files(self.selection.priorities(info.layout()))
        self.state = replace(self.state, has_metadata=not self.choosing)
        self.touch()

    async def described(self) -> InspectedTorrent | None:
        """What is in it, None before that is known or when it left the session.

        Raises:
            SourceRejected: it has what no film has.
        """
        try:
            status = await asyncio.to_thread(self._handle.status)
            info = self._handle.torrent_file()
            trackers = [str(tracker["url"]) for tracker in self._handle.trackers()]
        except RuntimeError:
            return None
        if info is None:
            return None
        gate.check_info(info)
        return p.describe(info, trackers, status.list_peers, encoding=self.encoding)

    async def tracker_list(self, now: float) -> list[Tracker] | None:
        """Its trackers in the order of their tiers; None if it left the session.

        Args:
            now: seconds since 1970.
        """
        try:
            entries = await asyncio.to_thread(self.announces.listed)
        except RuntimeError:
            return None
        return tracker_list.told_by(entries, self.trackers, self.dropped, now)

    async def choose_trackers(self, choice: TrackerChoice) -> None:
        """Take over what the user changed of its trackers."""
        self._unwanted = frozenset(choice.removed)
        self.dropped = self.dropped.without(choice.removed)
        self.standings.forget(choice.removed)
        with suppress(RuntimeError):  # it left the session meanwhile
            entries = self.announces.listed()
            if (kept := tracker_list.changed(entries, choice)) is not None:
                self.announces.replace(kept)
            known = [entry["url"] for entry in entries]
            for number, (url, tier) in enumerate(choice.added):
                if url not in known:
                    of_its_own = min(255, p.WEBSOCKET_TIER + len(known) + number)
                    self.announces.add(url, of_its_own if is_websocket(url) else tier)
        self.touch()

    def announce_now(self) -> None:
        """Ask every tracker that was not asked a moment ago."""
        with suppress(RuntimeError):
            self.announces.ask_now(time.monotonic())

    def call(self, host: str, port: int) -> None:
        """Connect to a peer; of one that was tried before failures are forgiven."""
        with suppress(RuntimeError):
            self._handle.connect_peer((host, port), lt.peer_info.tracker)

    async def piece_map(self) -> PieceMap | None:
        """Which of its pieces are there; None before the metadata is known."""
        try:
            geometry = self.pieces.geometry()
            there = b"" if geometry is None else await self.pieces.there()
        except RuntimeError:
            return None
        if geometry is None:
            return None
        have = there or bytes(geometry.count)
        return PieceMap(geometry.count, geometry.piece_size, bits(have))

    async def peers(self) -> tuple[Peer, ...]:
        """Its connected peers; the state's count by transport is renewed, too."""

        def read() -> tuple[Peer, ...]:
            busy = lt.peer_info.connecting | lt.peer_info.handshake
            infos = [info for info in self._handle.get_peer_info() if not info.flags & busy]
            self.ban_record.note({info.ip: info.total_download for info in infos})
            self.web_seeds.note([i.total_download for i in infos if is_web_seed(i)])
            self._owed = any(map(owes, infos)) and not any(map(waits_for_disk, infos))
            self._dead_peers.remember(
                info.ip
                for info in infos
                if can_be_called(info) and info.ip not in self.rtc_addresses
            )
            return tuple(peer_of(info, self.rtc_addresses) for info in infos)

        try:
            found = await asyncio.to_thread(read)
        except RuntimeError:  # it left the session meanwhile
            return ()
        count = Counter(str(peer.transport) for peer in found)
        self.state = replace(self.state, transports=Transports(**count))
        return found

    def revive(self, now: float) -> None:
        """End connections that seem dead, and call those again who were good or were named."""
        state = self.state
        if not self._runs or state.finished or state.checking:
            return
        self.web_seeds.ask_again(now)
        if state.peers:
            self._alone_since = None
            if self._dead_peers.is_gone(now, state.received, owed=self._owed):
                log.info("nobody sends what they owe: connecting anew", peers=state.peers)
                self._handle.pause()
                self._handle.resume()
            return
        self._alone_since = now if self._alone_since is None else self._alone_since
        if self._wronged and self.state.done and now - self._alone_since >= _FORGIVEN_AFTER:
            self.lose(SourceUnavailable("The peers it had were shut out; they are asked anew."))
            return
        for address in self._dead_peers.to_call(now):
            # of a peer that a tracker names earlier failures are forgiven
            self._handle.connect_peer(address, lt.peer_info.tracker)

    async def was_served_by(self, address: str) -> bool:
        """Whether more came from this address than was wrong of all that came from anywhere."""
        try:
            status = await asyncio.to_thread(self._handle.status)
        except RuntimeError:  # it left the session meanwhile
            return False
        return self.ban_record.came_from(address) > int(status.total_failed_bytes)

    def websocket_trackers(self) -> dict[str, str | None]:
        """The WebSocket trackers that answered, with their problem or None."""
        return {url: t.problem for url, t in self.trackers.items() if is_websocket(url)}

    def join_webrtc(self, trackers: Iterable[str]) -> None:
        """Announce to these WebSocket trackers, too, unless the torrent is private (BEP 27).

        Before the metadata is known nobody can say whether it is, so nothing happens then.
        """
        info = self._handle.torrent_file()
        if info is None or info.priv():
            return
        if not info.info_hashes().has_v1():
            self.notes.append("WebRTC peers cannot be asked for a torrent with a v2 hash only")
            return
        known = {tracker["url"] for tracker in self._handle.trackers()} | self._unwanted
        for number, url in enumerate(u for u in trackers if u not in known):
            tier = min(255, p.WEBSOCKET_TIER + len(known) + number)
            self._handle.add_tracker({"url": url, "tier": tier})

    def why_no_webrtc(self) -> str | None:
        """One clause on what holds WebRTC back, None if nothing does."""
        if self.state.transports.webrtc:
            return None
        return why_no_peer(self.handshakes, self.websocket_trackers(), self.notes)

    def offer_again(self, now: float) -> None:
        """Announce with new WebRTC offers if the handshakes so far call for it."""
        state = self.state
        wants = self.handshakes.wants_offers(
            now, connected=state.transports.webrtc, finished=state.finished
        )
        if not wants:
            return
        for index, tracker in enumerate(self._handle.trackers()):
            if is_websocket(tracker["url"]):
                self._handle.force_reannounce(0, index, lt.torrent_handle.ignore_min_interval)

    def run(self) -> None:
        """Let it check, download and seed."""
        self._runs = True
        self.announces.speak()
        self._handle.unset_flags(lt.torrent_flags.stop_when_ready)
        self._handle.resume()

    def adjust(self, job: Job) -> None:
        """Take over limits and, before its files are known, which of them are wanted."""
        self._handle.set_download_limit(p.rate(job.options.download_limit))
        self._handle.set_upload_limit(p.rate(job.options.upload_limit))
        if not self.state.has_metadata:
            self.selection = p.selection_of(job)
        self.touch()  # whoever watches it looks at the goal of seeding, too

    def run_check(self) -> None:
        """Let it check what is there and halt; until it is halted or run no tracker hears of it."""
        self.announces.hush()
        self._handle.set_flags(lt.torrent_flags.stop_when_ready)
        self._handle.resume()

    def halt(self) -> None:
        """Drop all its peers now."""
        self._runs = False
        self._handle.pause()
        self.announces.speak()

    def announced(self, url: str, event: str) -> None:
        """An announce was sent to a tracker.

        Args:
            url: of the tracker.
            event: as BEP 3 names them; anything else for none.
        """
        self.announces.asked(url, event)
        if is_websocket(url):
            self.asked.add(port_of(url))
            self.handshakes.announced(time.monotonic())

    @property
    def trackers(self) -> dict[str, TrackerStanding]:
        """How each tracker last answered, by URL."""
        return self.standings.by_url

    def answered(self, url: str, over: Endpoint, standing: TrackerStanding) -> None:
        """A tracker answered an announce, or did not."""
        self.standings.answered(url, over, standing)
        self.announces.answered(url)

    async def leave_swarm(self) -> None:
        """Drop all its peers, and let the trackers hear so before anything else of it."""
        await self.announces.wait_answered(self.trackers)
        if self.state.received:
            await self.announces.tell_completed(self.trackers)
        self.halt()
        await self._refresh(self)  # it has sent `stopped` by then
        await self.announces.wait_answered(self.trackers)

    async def apply_names(self, wanted: dict[int, str]) -> None:
        """Give the files on disk these paths; they are ours, checked, and relative.

        Raises:
            DiskError: a rename failed.
        """
        info = self._handle.torrent_file()
        if info is None:
            return
        layout, renamed = info.layout(), self._handle.get_renamed_files()
        loop = asyncio.get_running_loop()
        for index, path in wanted.items():
            if not 0 <= index < layout.num_files():
                continue  # the engine crashes on an index it does not have
            if renamed.file_path(layout, index) == path:
                continue
            done = self.waits.renamed[index] = loop.create_future()
            self._handle.rename_file(index, path)
            await answer(done, "renaming a file")

    async def recheck(self) -> None:
        """Compare every byte on disk with its hash. Returns when that is done, and it is halted."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waits.checked.append(done)
        self.state = replace(self.state, checking=True, finished=False)
        self._handle.force_recheck()
        self.run_check()
        await done
        self.halt()
        await self._refresh(self)

    async def flush(self) -> None:
        """Hand everything that still waits to be written to the system, and close the files."""
        if self.state.has_metadata:
            await answer(asyncio.ensure_future(self.pieces.flush()), "writing what is left")

    async def save(self, *, only_if_modified: bool = False, closing: bool = False) -> bytes | None:
        """Resume data with the info dictionary; None if unchanged since the last call.

        Args:
            only_if_modified: None is a good answer.
            closing: the torrent is halted, and nothing may be written after this.
        """
        if closing:
            await self.flush()
        flags = lt.save_resume_flags_t.save_info_dict | lt.save_resume_flags_t.flush_disk_cache
        if only_if_modified:
            flags |= lt.save_resume_flags_t.only_if_modified
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.waits.resume.append(done)
        self._handle.save_resume_data(flags)
        data = await answer(done, "saving resume data")
        # nobody believes what a run that goes on has: a piece may still wait to be written
        return data if data is None or closing else p.without_pieces(data)

    async def remove(self) -> None:
        """Take it out of the session; files stay."""
        await self._leave(self, self._handle)
        held, self.held = self.held, None
        if held is not None:
            # what the engine still has to write must not go to whatever gets the number next
            asyncio.get_running_loop().call_later(_LATE_WRITES, held.let_go)
