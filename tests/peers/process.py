"""Foreign programs: started in a process group of their own, and always killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tests.peers.torrents import copy_pieces
from tests.warm import WarmProcess, start_warm

REPOSITORY = Path(__file__).resolve().parents[2]
TIME_LIMIT = 600.0
_LIMIT = 1 << 20
"""Bytes of the longest line."""


class PeerError(Exception):
    """A peer could not do what it was asked to; the text holds the end of its log."""


@dataclass(frozen=True, slots=True)
class PeerStats:
    """What a peer says of one torrent. Bytes are payload, as that program counts it."""

    state: str
    progress: float
    downloaded: int
    uploaded: int
    peers: int


@dataclass(frozen=True, slots=True)
class PeerTimes:
    """When it first happened to a torrent, in seconds from adding it; None if it did not."""

    first_peer: float | None
    first_byte: float | None
    done: float | None


class Peer(Protocol):
    """What every peer can do; those that cannot seed have no `seed`."""

    async def leech(self, source: Path | str, folder: Path) -> str:
        """Starts to download a .torrent file or a magnet link; returns the torrent's key."""

    async def wait_done(self, key: str | None = None, *, within: float = 60.0) -> None:
        """Waits until the download is complete."""

    async def stats(self, key: str | None = None) -> PeerStats:
        """Tells the numbers of a torrent, the last added one if no key is given."""


def free_port() -> int:
    """Finds a loopback port that is free now; somebody else may take it before you do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class PeerProcess:
    """A program in its own process group and temporary folder.

    It dies with the context, and after `time_limit` seconds even if this process is
    killed before it can clean up.
    """

    def __init__(self, *, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._scratch: Path | None = None
        self._process: asyncio.subprocess.Process | WarmProcess | None = None

    @property
    def scratch(self) -> Path:
        """A folder of its own, removed at the end."""
        if self._scratch is None:
            raise PeerError("not started: use the peer as an async context manager")
        return self._scratch

    @property
    def pid(self) -> int:
        """The id of the process group's leader, which may be `timeout`, not the program."""
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process | WarmProcess:
        if self._process is None:
            raise PeerError("not started: use the peer as an async context manager")
        return self._process

    async def __aenter__(self) -> Self:
        self._scratch = Path(tempfile.mkdtemp(prefix="chilly-peer-"))
        try:
            await self._launch()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _launch(self) -> None:
        """Starts the program; for subclasses."""

    async def _start(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        limit = ["timeout", "--signal=KILL", f"{self._time_limit:g}"]
        with (self.scratch / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *limit,
                *argv,
                cwd=REPOSITORY,
                env={**self._environment(), **(env or {})},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                limit=_LIMIT,
            )

    async def _start_warm(self, program: str, *words: str) -> None:
        """The same with a program of Python, and faster; it has to end with its standard input."""
        environment = self._environment()
        with (self.scratch / "log").open("wb") as log:
            self._process = await start_warm(
                program, words, environment, REPOSITORY, log.fileno(),
                listens=True, limit=_LIMIT, seconds=self._time_limit,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.scratch)}

    async def kill(self) -> None:
        """Ends the program at once, as a crash would; its scratch folder stays for now."""
        process = self._process
        if process is None:
            return
        # The group outlives its leader if that was killed alone.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()

    async def _end(self) -> None:
        try:
            await self.kill()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _failure(self, what: str) -> PeerError:
        log = (self.scratch / "log").read_text(errors="replace")[-2_000:]
        return PeerError(f"{type(self).__name__}: {what}\n{log}".rstrip())


class LineProcess(PeerProcess):
    """A program that is told what to do in JSON lines and answers each by its id."""

    def __init__(self, *, time_limit: float = TIME_LIMIT) -> None:
        super().__init__(time_limit=time_limit)
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader: asyncio.Task[None] | None = None
        self.port = 0

    async def _start_lines(self, argv: Sequence[str]) -> None:
        await self._start(argv)
        await self._listen()

    async def _start_warm_lines(self, program: str, *words: str) -> None:
        await self._start_warm(program, *words)
        await self._listen()

    async def _listen(self) -> None:
        self._reader = asyncio.create_task(self._read(), name="peer-lines")
        self.port = int(await self._ask("port", within=20.0))

    async def _read(self) -> None:
        stdout = self._running.stdout
        assert stdout is not None
        async for line in stdout:
            answer = json.loads(line)
            waiter = self._waiting.pop(answer["id"], None)
            if waiter is None or waiter.done():
                continue
            if "error" in answer:
                waiter.set_exception(self._failure(answer["error"]))
            else:
                waiter.set_result(answer["result"])
        code = await self._running.wait()
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(self._failure(f"ended by itself with {code}"))

    async def _ask(self, verb: str, *, within: float = 60.0, **arguments: Any) -> Any:
        if self._reader is None or self._reader.done():
            raise self._failure(f"not running, ended with {self._running.returncode}")
        stdin = self._running.stdin
        assert stdin is not None
        number = next(self._ids)
        waiter = self._waiting[number] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(BrokenPipeError):  # its end is told by the reader
            stdin.write(json.dumps({"id": number, "do": verb, **arguments}).encode() + b"\n")
        try:
            async with asyncio.timeout(within):
                return await waiter
        except TimeoutError:
            raise self._failure(f"no answer to {verb!r} in {within:g} s") from None
        finally:
            self._waiting.pop(number, None)

    async def quit(self) -> None:
        """Ends politely, which tells the tracker; leaving the context kills instead."""
        await self._ask("quit", within=10.0)
        await self._running.wait()

    async def kill(self) -> None:
        """Ends the program at once, as a crash would; its scratch folder stays for now."""
        reader = self._reader
        if reader is not None:
            reader.cancel()
            await asyncio.wait({reader})
        await super().kill()


class LinePeer(LineProcess):
    """A peer behind JSON lines."""

    def __init__(self, *, time_limit: float = TIME_LIMIT) -> None:
        super().__init__(time_limit=time_limit)
        self._last = ""

    async def seed(
        self,
        torrent: Path,
        folder: Path,
        *,
        upload_limit: int = 0,
        have: range | None = None,
    ) -> str:
        """Checks the content in `folder`, offers it, and waits for a tracker to know it.

        Returns the torrent's key.

        Args:
            torrent: the .torrent file.
            folder: where its content lies.
            upload_limit: bytes a second, 0 for none.
            have: it owns only these pieces of the one file, and never asks for the others.
        """
        if have is not None:
            folder = copy_pieces(torrent, folder, self.scratch / "partial", have)
        key = self._last = str(
            await self._ask(
                "seed",
                torrent=str(torrent),
                folder=str(folder),
                upload_limit=upload_limit,
                partial=have is not None,
            )
        )
        await self.wait_announced(key)  # another may have been added meanwhile
        return key

    async def leech(self, source: Path | str, folder: Path) -> str:
        """Starts to download a .torrent file or a magnet link; returns the torrent's key."""
        self._last = str(await self._ask("leech", source=str(source), folder=str(folder)))
        return self._last

    async def wait_announced(self, key: str | None = None, *, within: float = 30.0) -> None:
        """Waits until a tracker has answered or failed; at once if there is none.

        Who asks that tracker from then on hears of this peer. A client that asked before
        may not ask again for minutes.
        """
        await self._ask("wait_announced", key=key or self._last, within=within)

    async def wait_done(self, key: str | None = None, *, within: float = 60.0) -> None:
        """Waits until the download is complete."""
        await self._ask("wait_done", key=key or self._last, within=within)

    async def stats(self, key: str | None = None) -> PeerStats:
        """Tells the numbers of a torrent, the last added one if no key is given."""
        return PeerStats(**await self._ask("stats", key=key or self._last))

    async def times(self, key: str | None = None) -> PeerTimes:
        """Tells when a torrent had its first peer, its first byte and all of them."""
        return PeerTimes(**await self._ask("times", key=key or self._last))

    async def wires(self, key: str | None = None) -> list[str]:
        """Tells the transport of each connected peer: tcp, utp, webrtc or webseed."""
        return [str(wire) for wire in await self._ask("wires", key=key or self._last)]

    async def reannounce(self, key: str | None = None) -> None:
        """Asks the trackers again at once, whatever interval they named; new offers with it."""
        await self._ask("reannounce", key=key or self._last)

    async def connect(self, port: int, key: str | None = None) -> None:
        """Dials the peer on this loopback port, which needs no tracker."""
        await self._ask("connect", key=key or self._last, port=port)
