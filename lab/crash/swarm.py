"""Many independent seeders in one process: each its own engine on its own 127.0.0.x.

Each counts what it sends, piece by piece, so that a test can tell which finished pieces were
fetched twice. `Swarm` is the handle, `python -m lab.crash.swarm` the process behind it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libtorrent as lt

from tests.peers.process import TIME_LIMIT, LineProcess

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
    "aio_threads": 1,
    "hashing_threads": 1,
    "alert_queue_size": 100_000,
    "user_agent": "chilly-movies-test-swarm",
}
_CHECKING = (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data)
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Sent:
    """What a seeder sent since it was last asked.

    Attributes:
        payload: bytes of pieces that went out, fetched twice or not.
        pieces: which pieces they belong to.
        peers: how many clients are connected right now.
    """

    payload: int
    pieces: frozenset[int]
    peers: int


class Swarm(LineProcess):
    """Seeders by name. A name is used once."""

    def __init__(self, *, time_limit: float = TIME_LIMIT) -> None:
        super().__init__(time_limit=time_limit)

    async def _launch(self) -> None:
        await self._start_warm_lines(__name__)

    async def seed(
        self,
        name: str,
        torrent: Path,
        folder: Path,
        *,
        host: str,
        rate: int = 0,
        blind: bool = False,
    ) -> int:
        """Offers a torrent's content from a new engine; returns its port.

        Args:
            name: of the seeder.
            torrent: the .torrent file.
            folder: where its content lies.
            host: the address it listens on.
            rate: bytes a second, 0 for no limit.
            blind: it claims to have everything without looking, so it sends what is wrong, too.
        """
        return int(
            await self._ask(
                "seed", name=name, torrent=str(torrent), folder=str(folder), host=host,
                rate=rate, blind=blind,
            )
        )  # fmt: skip

    async def sent(self, name: str) -> Sent:
        """What it sent since the last call."""
        found = await self._ask("sent", name=name)
        return Sent(found["payload"], frozenset(found["pieces"]), found["peers"])

    async def limit(self, name: str, rate: int) -> None:
        """Limits its upload from now on; 0 lifts the limit."""
        await self._ask("limit", name=name, rate=rate)

    async def offline(self, name: str, away: bool) -> None:
        """Lets it go off the network, or come back."""
        await self._ask("offline", name=name, away=away)

    async def drop(self, name: str) -> None:
        """Ends it for good."""
        await self._ask("drop", name=name)


class _Seeder:
    """One session with one torrent."""

    def __init__(self, host: str, rate: int, *, blind: bool) -> None:
        kinds = lt.alert.category_t
        mask = kinds.error_notification | kinds.upload_notification
        own = {"listen_interfaces": f"{host}:0", "outgoing_interfaces": host}
        pack: Any = {**_SETTINGS, **own, "alert_mask": mask}
        pack["disable_hash_checks"] = blind
        self.session = lt.session(pack)
        self.handle: Any = None
        self.rate = rate
        self.pieces: set[int] = set()
        self._payload = 0

    async def seed(self, torrent: str, folder: str, *, blind: bool) -> int:
        params = lt.load_torrent_file(torrent)
        params.save_path = folder
        params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
        params.flags |= lt.torrent_flags.seed_mode if blind else lt.torrent_flags.upload_mode
        self.handle = self.session.add_torrent(params)
        if self.rate:
            self.handle.set_upload_limit(self.rate)
        while self.handle.status().state in _CHECKING:  # noqa: ASYNC110  # a test's seeder
            await asyncio.sleep(_POLL)
        if not blind and not self.handle.status().is_finished:
            raise FileNotFoundError(f"{folder} does not hold the content of {torrent}")
        self.handle.unset_flags(lt.torrent_flags.upload_mode)
        return int(self.session.listen_port())

    def collect(self) -> None:
        for alert in self.session.pop_alerts():
            if isinstance(alert, lt.block_uploaded_alert):
                self.pieces.add(alert.piece_index)

    def sent(self) -> dict[str, Any]:
        self.collect()
        status = self.handle.status()
        payload, self._payload = (
            status.total_payload_upload - self._payload,
            (status.total_payload_upload),
        )
        pieces, self.pieces = sorted(self.pieces), set()
        return {"payload": payload, "pieces": pieces, "peers": status.num_peers}


class _Child:
    """What runs in the process."""

    def __init__(self) -> None:
        self._seeders: dict[str, _Seeder] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader(limit=1 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        collecting = asyncio.create_task(self._collect())
        async for line in lines:
            task = asyncio.create_task(self._answer(json.loads(line)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        collecting.cancel()

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(1)
            for seeder in tuple(self._seeders.values()):
                seeder.collect()

    async def _answer(self, request: dict[str, Any]) -> None:
        number, verb = request.pop("id"), request.pop("do")
        try:
            answer = {"id": number, "result": await getattr(self, f"do_{verb}")(**request)}
        except Exception as error:  # noqa: BLE001  # whatever it is, the other side must know
            answer = {"id": number, "error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    async def do_port(self) -> int:
        return 0

    async def do_seed(
        self, name: str, torrent: str, folder: str, host: str, rate: int, blind: bool
    ) -> int:
        seeder = self._seeders[name] = _Seeder(host, rate, blind=blind)
        return await seeder.seed(torrent, folder, blind=blind)

    async def do_sent(self, name: str) -> dict[str, Any]:
        return self._seeders[name].sent()

    async def do_limit(self, name: str, rate: int) -> None:
        self._seeders[name].handle.set_upload_limit(rate)

    async def do_offline(self, name: str, away: bool) -> None:
        handle = self._seeders[name].handle
        (handle.pause if away else handle.resume)()

    async def do_drop(self, name: str) -> None:
        ending = [self._seeders.pop(name)]
        await asyncio.to_thread(ending.clear)  # its engine's end waits for the network


def main() -> None:
    """What the process does."""
    asyncio.run(_Child().run())
    os._exit(0)  # the sessions' destructors wait for the network


if __name__ == "__main__":
    main()
