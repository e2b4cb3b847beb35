"""What becomes of each alert of the engine: plain data, on the torrent that it is about.

An alert and all it refers to die at the next `pop_alerts()`, so it is read in the callback that
brings it. A torrent's state is kept on its `Torrent`; the driver watches that state change, so no
queue can overflow and no alert order matters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import libtorrent as lt
import structlog

from chilly_movies.drivers.torrent.engine import engine_errors as engine
from chilly_movies.drivers.torrent.engine.alerts import text
from chilly_movies.drivers.torrent.engine.listening import Listening
from chilly_movies.drivers.torrent.engine.standings import (
    TrackerStanding,
    endpoint_of,
    problem_of,
    warning_of,
    words,
)
from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.drivers.torrent.mends.handshakes import is_websocket
from chilly_movies.drivers.torrent.mends.tracker_sockets import port_of
from chilly_movies.runtime import tasks

T = TypeVar("T")

log = structlog.get_logger(__name__)

_BANNED = 91
"""The engine's code for what sent wrong data."""
_MILESTONES = (
    lt.metadata_received_alert,
    lt.torrent_finished_alert,
    lt.state_changed_alert,
    lt.torrent_checked_alert,
    lt.file_prio_alert,
)
"""After these a torrent's figures are others, and are asked for at once."""


class AlertTable:
    """Applies the engine's alerts to its torrents.

    Args:
        torrents: those in the session, by the engine's handle.
        ask_figures: asks the engine for the figures of torrents that moved.
        on_metadata: called with a job's torrent whose files are known from now on.
        on_ban: called with a torrent and the address of a peer that the engine banned.
        listening: is told where the engine listens.

    Attributes:
        asked: ports of all WebSocket trackers that anything was announced to.
        refreshes: are answered by the next figures.
        node_counts: are answered by the next figures of the session.
    """

    def __init__(
        self,
        torrents: Mapping[lt.torrent_handle, Torrent],
        ask_figures: Callable[[], None],
        on_metadata: Callable[[Torrent], None],
        on_ban: Callable[[Torrent, str], None],
        listening: Listening,
    ) -> None:
        self._torrents = torrents
        self._ask_figures = ask_figures
        self._on_metadata = on_metadata
        self._on_ban = on_ban
        self._listening = listening
        self.asked: set[int] = set()
        self.refreshes: list[asyncio.Future[None]] = []
        self.node_counts: list[asyncio.Future[int]] = []

    def apply(self, alert: Any) -> None:
        """Applies one alert. One about a torrent that left the session changes nothing."""
        match alert:
            case lt.state_update_alert():
                self._renew(alert.status)
            case lt.alerts_dropped_alert():
                self._catch_up()
            case lt.session_stats_alert():
                waiting, self.node_counts = self.node_counts, []
                _answer_all(waiting, alert.values["dht.dht_nodes"])
            case lt.listen_failed_alert() | lt.listen_succeeded_alert():
                self._listening.heard(alert)
            case lt.tracker_announce_alert():
                url, event = text(alert.tracker_url), cast(Any, alert.event)
                if is_websocket(url):  # it may be of a torrent that has just left
                    self.asked.add(port_of(url))
                if (torrent := self._torrents.get(alert.handle)) is not None:
                    torrent.announced(url, event.name)
            case lt.torrent_alert():
                if (torrent := self._torrents.get(alert.handle)) is not None:
                    self._hear_swarm(torrent, alert)
                    _hear_servers(torrent, alert)
                    _hear_disk(torrent, alert)
                    _end_wait(torrent, alert)
                    if isinstance(alert, _MILESTONES):
                        self._ask_figures()

    def _renew(self, updates: Any) -> None:
        moved = []
        for status in updates:
            torrent = self._torrents.get(status.handle)
            if torrent is not None:
                torrent.renew(status)
                moved.append(torrent)
        Torrent.touch_in_turns(moved)
        waiting, self.refreshes = self.refreshes, []
        _answer_all(waiting, None)

    def _catch_up(self) -> None:
        """Learn anew what alerts told that were dropped."""
        log.error("the engine dropped alerts", torrents=len(self._torrents))
        for handle, each in self._torrents.items():
            each.update(handle.status())
            while each.waits.resume:  # what was lost may be its answer
                each.waits.end_save(None)

    def _hear_swarm(self, torrent: Torrent, alert: Any) -> None:
        """Applies what peers said."""
        match alert:
            case lt.torrent_log_alert():
                torrent.handshakes.heard(text(alert.log_message), time.monotonic())
            case lt.peer_connect_alert():
                if "(RTC)" in text(alert.message):  # no field of the alert says so
                    torrent.rtc_addresses.add(alert.ip)
            case lt.peer_disconnected_alert():
                torrent.rtc_addresses.discard(alert.ip)
                if alert.error.category().name() == "system":  # refused, unreachable and the like
                    torrent.web_seeds.broke_off(alert.ip, words(alert.error.message()))
            case lt.peer_ban_alert():
                if alert.ip not in torrent.rtc_addresses:  # no filter of addresses holds for those
                    self._on_ban(torrent, alert.ip[0])
            case lt.metadata_received_alert():
                torrent.take_metadata()
                if not torrent.only_look:
                    self._on_metadata(torrent)


def _answer_all(waiting: Sequence[asyncio.Future[T]], value: T) -> None:
    for future in waiting:
        tasks.answer(future, value)


def _hear_servers(torrent: Torrent, alert: Any) -> None:
    """Applies what trackers and web seeds said."""
    match alert:
        case lt.tracker_warning_alert():
            url, said = text(alert.tracker_url), text(alert.message)
            torrent.standings.warned(url, endpoint_of(alert), warning_of(said, url))
        case lt.tracker_reply_alert():
            standing = TrackerStanding(peers=alert.num_peers)
            torrent.answered(text(alert.tracker_url), endpoint_of(alert), standing)
        case lt.tracker_error_alert():
            standing = TrackerStanding(problem=problem_of(alert.error, text(alert.failure_reason)))
            torrent.answered(text(alert.tracker_url), endpoint_of(alert), standing)
        case lt.url_seed_alert():
            problem = problem_of(alert.error, text(alert.error_message))
            if alert.error.value() == _BANNED and alert.error.category().name() == "libtorrent":
                torrent.web_seeds.banned(text(alert.server_url))
            else:
                torrent.web_seeds.failed(text(alert.server_url), problem, time.monotonic())
            torrent.touch()
        case lt.peer_error_alert():
            torrent.web_seeds.broke_off(alert.ip, words(alert.error.message()))


def _hear_disk(torrent: Torrent, alert: Any) -> None:
    """Applies what became of the files."""
    match alert:
        case lt.piece_finished_alert():
            torrent.pieces.arrived(alert.piece_index)
        case lt.cache_flushed_alert():
            torrent.pieces.flushed()
        case lt.torrent_checked_alert():
            torrent.pieces.checked()
            torrent.waits.end_check()
        case lt.file_prio_alert():
            torrent.pieces.priorities_set()
            torrent.choosing = False
        case lt.file_error_alert():
            torrent.refuse(engine.disk_said("The disk refused a file", alert.error))
        case lt.torrent_error_alert():
            if torrent.disk_problem is None:
                torrent.lose(engine.why_stopped(alert.error))


def _end_wait(torrent: Torrent, alert: Any) -> None:
    """Applies what the torrent waited for."""
    match alert:
        case lt.save_resume_data_alert():
            params = alert.params
            torrent.mirrors.leave_out(params)
            torrent.dropped.put_back(params)
            torrent.waits.end_save(lt.write_resume_data_buf(params))
        case lt.save_resume_data_failed_alert():
            torrent.waits.end_save(None)
        case lt.file_renamed_alert():
            torrent.waits.end_rename(alert.index)
        case lt.file_rename_failed_alert():
            problem = engine.disk_said("A file could not be named", alert.error)
            torrent.waits.end_rename(alert.index, problem)
        case lt.torrent_removed_alert():
            torrent.waits.end_removal()
