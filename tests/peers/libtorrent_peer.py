"""A libtorrent seeder or leecher in a process of its own.

`LibtorrentPeer` is the handle for tests; `python -m tests.peers.libtorrent_peer` is the
process behind it. Unless told otherwise it listens on loopback only. It uses TCP, and
WebRTC for ws trackers, without any STUN server.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

import libtorrent as lt

from tests.peers.process import TIME_LIMIT, LinePeer

_SETTINGS: dict[str, Any] = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    "close_redundant_connections": False,
    "webtorrent_stun_server": "",
    "tick_interval": 100,
    "min_reconnect_time": 1,
    "min_announce_interval": 1,
    "unchoke_interval": 1,
    "user_agent": "chilly-movies-test-peer",
}

_TRANSPORT = re.compile(r"\((TCP|uTP|RTC)\)")
_POLL = 0.02


class LibtorrentPeer(LinePeer):
    """Seeds and leeches with libtorrent. Its payload counters are libtorrent's own.

    Args:
        tcp: whether it uses TCP; without it, WebRTC is all that is left.
        host: the address it listens on. WebRTC uses every address but loopback anyway.
        settings: added to the settings of this class, or replacing some of them.
        time_limit: seconds after which the process is killed in any case.
    """

    def __init__(
        self,
        *,
        tcp: bool = True,
        host: str = "127.0.0.1",
        settings: Mapping[str, Any] | None = None,
        time_limit: float = TIME_LIMIT,
    ) -> None:
        super().__init__(time_limit=time_limit)
        self._settings = {
            "listen_interfaces": f"{host}:0",
            "enable_incoming_tcp": tcp,
            "enable_outgoing_tcp": tcp,
            **(settings or {}),
        }

    async def _launch(self) -> None:
        await self._start_warm_lines(__name__, json.dumps(self._settings))

    async def set_upload_limit(self, bytes_per_second: int, key: str | None = None) -> None:
        """Limits a torrent's upload from now on; 0 lifts the limit."""
        await self._ask("limit", key=key or self._last, rate=bytes_per_second)

    async def sent(self, key: str) -> tuple[float, int]:
        """Its own clock in seconds, and payload bytes sent to the peers of a torrent until then."""
        seconds, sent = await self._ask("sent", key=key)
        return float(seconds), int(sent)


def _key(handle: lt.torrent_handle) -> str:
    return str(handle.info_hashes().get_best())


class _Watch:
    """When something first happened to a torrent, and who is connected."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.times: dict[str, float | None] = {"first_peer": None, "first_byte": None, "done": None}
        self.wires: dict[str, str] = {}

    def note(self, name: str) -> None:
        """Keeps the time if it is the first of that name."""
        if self.times[name] is None:
            self.times[name] = time.monotonic() - self._began

    def connected(self, alert: lt.peer_connect_alert) -> None:
        """Keeps the transport, which only the alert's text tells."""
        self.note("first_peer")
        found = _TRANSPORT.search(alert.message())
        name = found[1].lower() if found else "tcp"
        self.wires[str(alert.ip)] = "webrtc" if name == "rtc" else name


class _Child:
    """What runs in the process: one session, and a task for each request."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        kinds = lt.alert.category_t
        mask = kinds.status_notification | kinds.error_notification | kinds.tracker_notification
        mask |= kinds.connect_notification | kinds.storage_notification
        pack: Any = {**_SETTINGS, "alert_mask": mask, **settings}
        self._session = lt.session(pack)
        self._handles: dict[str, lt.torrent_handle] = {}
        self._watches: dict[str, _Watch] = {}
        self._announced: set[str] = set()
        self._flushed: set[str] = set()
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._quit = asyncio.Event()
        self._wake, wake_up = socket.socketpair()
        self._wake.setblocking(False)
        wake_up.setblocking(False)
        self._wake_up = wake_up  # kept open: libtorrent knows only its number
        self._session.set_alert_fd(wake_up.fileno())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._wake.fileno(), self._on_alerts)
        lines = asyncio.StreamReader(limit=1 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        reading = asyncio.create_task(self._read(lines))
        await self._quit.wait()
        reading.cancel()

    async def _read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self._spawn(self._answer(json.loads(line)))
        self._quit.set()  # whoever started this process is gone

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: dict[str, Any]) -> None:
        number, verb = request.pop("id"), request.pop("do")
        try:
            answer = {"id": number, "result": await getattr(self, f"do_{verb}")(**request)}
        except Exception as error:  # noqa: BLE001  # whatever it is, the other side must know
            answer = {"id": number, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        if verb == "quit":
            self._quit.set()

    def _on_alerts(self) -> None:
        self._wake.recv(4096)
        for alert in self._session.pop_alerts():
            sys.stderr.write(f"{alert.what()}: {alert.message()}\n")
            if isinstance(alert, lt.tracker_reply_alert | lt.tracker_error_alert):
                self._announced.add(_key(alert.handle))
            elif isinstance(alert, lt.peer_connect_alert):
                self._watches[_key(alert.handle)].connected(alert)
            elif isinstance(alert, lt.peer_disconnected_alert):
                self._watches[_key(alert.handle)].wires.pop(str(alert.ip), None)
            elif isinstance(alert, lt.cache_flushed_alert):
                self._flushed.add(_key(alert.handle))
            elif isinstance(alert, lt.torrent_finished_alert):
                self._watches[_key(alert.handle)].note("done")
        sys.stderr.flush()
        self._spawn(self._announce_change())

    async def _announce_change(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, handle: lt.torrent_handle) -> None:
        """Waits until a torrent is complete and checked."""
        async with self._changed:
            while not self._is_complete(handle):
                await self._changed.wait()

    @staticmethod
    def _is_complete(handle: lt.torrent_handle) -> bool:
        status = handle.status()
        if status.errc.value():
            raise OSError(status.errc.message())
        return status.is_finished

    def _add(self, source: str, folder: str, *, seeding: bool) -> tuple[str, lt.torrent_handle]:
        if source.startswith("magnet:"):
            params = lt.parse_magnet_uri(source)
        else:
            params = lt.load_torrent_file(source)
        params.save_path = folder
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        if seeding:
            # A seeder whose content is missing or wrong must say so, not fetch it.
            params.flags |= lt.torrent_flags.upload_mode
        key = str(
            params.ti.info_hashes().get_best() if params.ti else params.info_hashes.get_best()
        )
        watch = self._watches[key] = _Watch()
        handle = self._handles[key] = self._session.add_torrent(params)
        if not seeding:
            self._spawn(self._await_first_byte(handle, watch))
        return key, handle

    @staticmethod
    async def _await_first_byte(handle: lt.torrent_handle, watch: _Watch) -> None:
        while not handle.status().total_payload_download:  # noqa: ASYNC110  # no alert tells
            await asyncio.sleep(_POLL)
        watch.note("first_byte")

    async def do_port(self) -> int:
        return int(self._session.listen_port())

    async def do_seed(self, torrent: str, folder: str, upload_limit: int, partial: bool) -> str:
        key, handle = self._add(torrent, folder, seeding=True)
        if upload_limit:
            handle.set_upload_limit(upload_limit)
        async with self._changed:
            while handle.status().state in (
                lt.torrent_status.checking_files,
                lt.torrent_status.checking_resume_data,
            ):
                await self._changed.wait()
        if partial:
            return key
        if not self._is_complete(handle):
            raise FileNotFoundError(f"{folder} does not hold the content of {torrent}")
        handle.unset_flags(lt.torrent_flags.upload_mode)
        return key

    async def do_leech(self, source: str, folder: str) -> str:
        return self._add(source, folder, seeding=False)[0]

    async def do_wait_done(self, key: str) -> None:
        await self._until(self._handles[key])
        # a piece counts from its hash in memory on, its bytes may reach the file later
        self._flushed.discard(key)
        self._handles[key].flush_cache()
        async with self._changed:
            while key not in self._flushed:
                await self._changed.wait()

    async def do_wait_announced(self, key: str) -> None:
        async with self._changed:
            while self._handles[key].trackers() and key not in self._announced:
                await self._changed.wait()

    async def do_stats(self, key: str) -> dict[str, Any]:
        status = self._handles[key].status()
        return {
            "state": str(status.state),
            "progress": status.progress,
            "downloaded": status.total_payload_download,
            "uploaded": status.total_payload_upload,
            "peers": status.num_peers,
        }

    async def do_times(self, key: str) -> dict[str, float | None]:
        return self._watches[key].times

    async def do_wires(self, key: str) -> list[str]:
        return list(self._watches[key].wires.values())

    async def do_reannounce(self, key: str) -> None:
        self._handles[key].force_reannounce(0, -1, lt.torrent_handle.ignore_min_interval)

    async def do_sent(self, key: str) -> tuple[float, int]:
        # the torrent's own count is renewed once a second only
        peers = self._handles[key].get_peer_info()
        return time.monotonic(), sum(peer.total_upload for peer in peers)

    async def do_limit(self, key: str, rate: int) -> None:
        self._handles[key].set_upload_limit(rate)

    async def do_connect(self, key: str, port: int) -> None:
        self._handles[key].connect_peer(("127.0.0.1", port))

    async def do_quit(self) -> None:
        """Removes the torrents, and gives the session a moment to tell the trackers."""
        for handle in self._handles.values():
            self._session.remove_torrent(handle)
        await asyncio.sleep(0.2)


def main() -> None:
    """What the process does."""
    asyncio.run(_Child(json.loads(sys.argv[1])).run())
    sys.stdout.flush()
    os._exit(0)  # the session's destructor waits for trackers, which may be gone


if __name__ == "__main__":
    main()
