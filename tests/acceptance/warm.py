"""Starts the program by fork from a process that has loaded it already: `Backend(..., warm=True)`.

Loading takes nine tenths of a start. Tests that start the server dozens of times to kill it again
are not about that; all others start the installed program as users do. What is forked is a process
of its own as any other: it can be killed, leaves an exit code, and runs to the end of Python.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_MOST = 1 << 20


class WarmProcess:
    """What tests need of `asyncio.subprocess.Process`.

    Attributes:
        pid: its number, and that of its process group.
        stdout: what it says.
        returncode: None while it runs.
    """

    def __init__(self, starter: _Starter, pid: int, stdout: asyncio.StreamReader) -> None:
        self.pid = pid
        self.stdout = stdout
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
        self.returncode = (await asyncio.to_thread(self._starter.ask, {"wait": self.pid}))["code"]

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Its exit code, once it ended."""
        await asyncio.shield(self._end)
        assert self.returncode is not None
        return self.returncode


async def start_warm(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, log: int
) -> WarmProcess:
    """Run `chilly` with these words, as a leader of a session of its own.

    Args:
        words: of the command line.
        environment: all of it.
        folder: where it runs.
        log: descriptor of what it complains to.
    """
    heard, said = os.pipe()
    wish = {"words": list(words), "environment": dict(environment), "folder": str(folder)}
    try:
        starter = await asyncio.to_thread(_starter)
        pid = (await asyncio.to_thread(starter.ask, wish, said, log))["pid"]
    finally:
        os.close(said)
    reader = asyncio.StreamReader()
    pipe = os.fdopen(heard, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return WarmProcess(starter, pid, reader)


class _Starter:
    """The process that has the program loaded."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.warm", str(theirs.fileno())],
                cwd=_ROOT, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,  # a pipe, as theirs will be
            )  # fmt: skip

    def ask(self, wish: Mapping[str, Any], *handles: int) -> dict[str, Any]:
        """Its answer."""
        with self._turn:
            socket.send_fds(self._line, [json.dumps(wish).encode()], handles)
            answer: dict[str, Any] = json.loads(self._line.recv(_MOST))
            return answer

    def close(self) -> None:
        """It ends as soon as nobody can ask it any more."""
        self._line.close()
        self.process.communicate()


_only: list[_Starter] = []
_making = threading.Lock()


def _starter() -> _Starter:
    with _making:
        if not _only:
            _only.append(_Starter())
            atexit.register(_only[0].close)
        return _only[0]


# --- the other side -------------------------------------------------------------------------


def _become(wish: Mapping[str, Any], handles: Sequence[int]) -> list[str]:
    """Be a new process as `exec` would have made it; the words of its command line."""
    os.setsid()
    for target, handle in enumerate(handles, 1):
        os.dup2(handle, target)
        os.close(handle)
    os.chdir(wish["folder"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    importlib.reload(
        importlib.import_module("chilly_movies.runtime.failpoints")
    )  # reads it when loaded
    sys.argv[:] = ["chilly", *wish["words"]]
    return list(wish["words"])


def _serve(line: socket.socket) -> list[str] | None:
    """Fork whenever that is wanted; the words in a child, None at the end."""
    while True:
        message, handles, _, _ = socket.recv_fds(line, _MOST, 2)
        if not message:
            return None
        wish = json.loads(message)
        if "wait" in wish:
            _, status = os.waitpid(wish["wait"], 0)
            line.send(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())
            continue
        pid = os.fork()
        if not pid:
            line.close()
            return _become(wish, handles)
        for handle in handles:
            os.close(handle)
        line.send(json.dumps({"pid": pid}).encode())


def main() -> int:
    """Load all that `chilly serve` loads, then fork."""
    for name in (
        "app",
        "cli.serve",
        "server.connections",
        "runtime.logs",
        "server.serving",
        "settings",
        "runtime.vitals",
    ):
        importlib.import_module(f"chilly_movies.{name}")
    importlib.import_module("uvloop")
    chilly = importlib.import_module("chilly_movies.cli")
    gc.freeze()
    words = _serve(socket.socket(fileno=int(sys.argv[1])))
    return 0 if words is None else int(chilly.main(words))


if __name__ == "__main__":
    sys.exit(main())
