"""Starts Python programs by fork from a process that has loaded them already.

Loading takes nine tenths of a start. Tests in which a server or a peer only has to be there are
not about that; those of the command line and of starting run the installed program as users do.
What is forked is a process of its own as any other: it leads a session, can be killed, leaves an
exit code, waits for its threads and runs what was registered for its exit. It is in the network
namespace of the calling thread. All workers of one run of the tests ask the same process, which
ends when none of them is left.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import fcntl
import hashlib
import importlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from chilly_movies.runtime.loading import loading

CHILLY = "chilly_movies.cli"
"""The program that users start as `chilly`."""
_LOADED = (
    CHILLY,
    *(f"chilly_movies.{name}" for name in (
        "app", "cli.commands", "cli.serve", "client", "runtime.logs", "runtime.vitals",
        "server.connections", "server.serving", "settings",
    )),
    "lab.crash.swarm", "tests.peers.libtorrent_peer", "uvloop",
)  # fmt: skip
_ROOT = Path(__file__).parents[1]
_MOST = 1 << 20
_PLACES = Path(tempfile.gettempdir())
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")
"""All workers of a run have the same."""
_NETWORK = "/proc/thread-self/ns/net"
_CLONE_NEWNET = 0x40000000


class WarmProcess:
    """What tests need of `asyncio.subprocess.Process`.

    Attributes:
        pid: its number, and that of its process group.
        stdin: what it is told, or None.
        stdout: what it says.
        stderr: what it complains of, or None if that goes to a log.
        returncode: None while it runs.
    """

    def __init__(
        self,
        starter: _Starter,
        pid: int,
        stdin: io.FileIO | None,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.returncode: int | None = None
        self._starter = starter
        self._end = asyncio.create_task(self._reap(os.pidfd_open(pid)), name="reaper")

    async def _reap(self, handle: int) -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(handle, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(handle)
            os.close(handle)
            if self.stdin is not None:
                self.stdin.close()
        self.returncode = (await self._starter.ask({"wait": self.pid}))["code"]

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit code, once it ended."""
        await asyncio.shield(self._end)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Tell it no more; what it says and complains of until it ends."""
        if self.stdin is not None:
            self.stdin.close()
        complaining = asyncio.ensure_future(self.stderr.read()) if self.stderr else None
        said = await self.stdout.read()
        await self.wait()
        return said, await complaining if complaining else b""


async def start_warm(
    program: str,
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    log: int | None,
    *,
    listens: bool = False,
    limit: int = 1 << 16,
    seconds: float = 0,
) -> WarmProcess:
    """Run `main` of a program's module, as a leader of a session of its own.

    Args:
        program: the module; one that is none of ours has a process of its own it is forked from.
        words: of the command line.
        environment: all of it.
        folder: where it runs.
        log: descriptor of what it complains to; None = it can be read.
        listens: it gets a standard input that can be written to.
        limit: bytes of its longest line.
        seconds: until it is ended in any case, 0 = never.
    """
    wish = {
        "program": program, "words": list(words), "environment": dict(environment),
        "folder": str(folder), "listens": listens, "seconds": seconds,
    }  # fmt: skip
    with ExitStack() as theirs, ExitStack() as ours:
        network = os.open(_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
        theirs.callback(os.close, network)
        told, stdin = _pipe(theirs, ours) if listens else (None, None)
        stdout, said = _pipe(ours, theirs)
        stderr = None
        if log is None:
            stderr, complained = _pipe(ours, theirs)
            log = complained.fileno()
        handles = [network, *([told.fileno()] if told else []), said.fileno(), log]
        starter = _starter(program)
        asked = asyncio.ensure_future(starter.ask(wish, *handles))
        try:
            pid = (await asyncio.shield(asked))["pid"]
        except asyncio.CancelledError:  # nobody else knows of a process that was forked already
            pid = (await asked)["pid"]
            os.kill(pid, signal.SIGKILL)
            await starter.ask({"wait": pid})
            raise
        ours.pop_all()
    complaints = await _reader(stderr, limit) if stderr else None
    return WarmProcess(starter, pid, stdin, await _reader(stdout, limit), complaints)


async def _reader(pipe: io.FileIO, limit: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return reader


def _pipe(readers: ExitStack, writers: ExitStack) -> tuple[io.FileIO, io.FileIO]:
    """A pipe whose ends are closed by these."""
    heard, said = os.pipe()
    return (
        readers.enter_context(io.FileIO(heard, "rb")),
        writers.enter_context(io.FileIO(said, "wb")),
    )


class _Starter:
    """The process that has the programs loaded; it is started if nobody of this run did so.

    Args:
        programs: their modules.
    """

    def __init__(self, programs: Sequence[str]) -> None:
        known = hashlib.sha256(" ".join((_RUN, str(_ROOT), *programs)).encode()).hexdigest()
        place = _PLACES / f"chilly-warm-{known[:24]}"
        self._process: subprocess.Popen[bytes] | None = None
        with _alone_at(place):
            try:
                self._line = _connected(place)
            except OSError:
                place.unlink(missing_ok=True)
                self._process = _start(place, programs)
                self._line = _connected(place)

    async def ask(self, wish: Mapping[str, Any], *handles: int) -> dict[str, Any]:
        """Its answer. No thread waits for it: one would stay in the network it began in."""
        heard, said = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with heard:
            heard.setblocking(False)
            with said:
                message = [json.dumps(wish).encode()]
                socket.send_fds(self._line, message, [said.fileno(), *handles])
            answered = await asyncio.get_running_loop().sock_recv(heard, _MOST)
        assert answered, f"it ended: {self._complaints()}"
        answer: dict[str, Any] = json.loads(answered)
        return answer

    def close(self) -> None:
        """It ends as soon as nobody can ask it any more."""
        self._line.close()
        self._complaints()

    def _complaints(self) -> str:
        """What it said by its end; only the one that started it hears that."""
        if self._process is None:
            return ""
        return self._process.communicate()[1].decode(errors="replace")


@contextmanager
def _alone_at(place: Path) -> Iterator[None]:
    """Nobody else begins or ends the process at this place meanwhile."""
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _connected(place: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        line.connect(str(place))
    except OSError:
        line.close()
        raise
    return line


def _start(place: Path, programs: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the process; who connects to its place is heard once it has loaded all."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(place))
        place.chmod(0o600)
        door.listen(64)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(door.fileno()), str(place), *programs],
            cwd=_ROOT, pass_fds=[door.fileno()], start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,  # pipes, as theirs will be
        )  # fmt: skip


_known: dict[Sequence[str], _Starter] = {}
_making = threading.Lock()


def _starter(program: str) -> _Starter:
    programs = _LOADED if program in _LOADED else (program,)
    with _making:
        if programs not in _known:
            _known[programs] = _Starter(programs)
            atexit.register(_known[programs].close)
        return _known[programs]


# --- the other side -------------------------------------------------------------------------


def _become(wish: Mapping[str, Any], handles: Sequence[int]) -> None:
    """Be a new process as `exec` would have made it."""
    os.setsid()
    signal.setitimer(signal.ITIMER_REAL, wish["seconds"])
    network, *streams = handles
    _enter(network)
    for target, handle in enumerate(streams, 0 if wish["listens"] else 1):
        os.dup2(handle, target)
        os.close(handle)
    os.chdir(wish["folder"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    importlib.reload(
        importlib.import_module("chilly_movies.runtime.failpoints")
    )  # reads it when loaded
    sys.argv[:] = ["chilly" if wish["program"] == CHILLY else wish["program"], *wish["words"]]


def _enter(network: int) -> None:
    """Move to a network namespace, if this process is in another one."""
    if os.fstat(network).st_ino != Path(_NETWORK).stat().st_ino:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(network, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "cannot enter the network namespace")
    os.close(network)


class _Door:
    """Takes wishes, and forks.

    Args:
        door: where the workers connect.
        place: its path.
    """

    def __init__(self, door: socket.socket, place: Path) -> None:
        self._door = door
        self._place = place
        self._lines: set[socket.socket] = set()
        self._ready = selectors.DefaultSelector()
        self._ready.register(door, selectors.EVENT_READ)

    def serve(self) -> str | None:
        """The program to be, in a child; None when nobody is left who may wish something."""
        while True:
            for key, _ in self._ready.select():
                line = key.fileobj
                assert isinstance(line, socket.socket)
                if line is self._door:
                    self._take()
                    continue
                message, handles, _, _ = socket.recv_fds(line, _MOST, 5)
                if message:
                    if program := self._fulfil(json.loads(message), handles):
                        return program
                elif self._is_last(line):
                    return None

    def _take(self) -> None:
        line, _ = self._door.accept()
        self._lines.add(line)
        self._ready.register(line, selectors.EVENT_READ)

    def _is_last(self, line: socket.socket) -> bool:
        self._ready.unregister(line)
        self._lines.remove(line)
        line.close()
        if self._lines:
            return False
        with _alone_at(self._place):  # who connects from now on finds nothing
            self._door.setblocking(False)
            with suppress(BlockingIOError):
                self._take()
                return False
            self._place.unlink(missing_ok=True)
            self._place.with_suffix(".lock").unlink(missing_ok=True)
        return True

    def _fulfil(self, wish: Mapping[str, Any], handles: list[int]) -> str | None:
        reply = socket.socket(fileno=handles.pop(0))
        if "wait" in wish:
            _, status = os.waitpid(wish["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        elif pid := os.fork():
            answer = {"pid": pid}
        else:
            self._ready.close()
            for ours in (reply, self._door, *self._lines):
                ours.close()
            _become(wish, handles)
            return str(wish["program"])
        with reply:
            reply.send(json.dumps(answer).encode())
        for handle in handles:
            os.close(handle)
        return None


def _ended(program: str) -> int:
    """The exit code of a program that has ended."""
    try:
        return int(importlib.import_module(program).main() or 0)
    except SystemExit as told:
        if told.code is not None and not isinstance(told.code, int):
            raise
        return told.code or 0


def _leave(code: int) -> None:
    """End as Python does, but leave what was loaded as it is: clearing it would copy all of it."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # of a stream nobody reads any more; Python says so then
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Load all programs, then fork."""
    door, place = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    with loading():
        for name in sys.argv[3:]:
            importlib.import_module(name)
    program = _Door(door, place).serve()
    if program is None:
        return 0
    code = _ended(program)
    _leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
