"""What a child process may do: reach its proxy, start ffmpeg on local files, write to its folder.

Hooks of PEP 578, which nothing can take away again. They hold for what is written in Python; so the
modules that would bring network code of their own, in Python or not, are kept from being loaded.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

_WITHOUT = (
    "brotlicffi", "curl_cffi", "requests", "secretstorage", "urllib3", "websockets", "xattr",
)  # fmt: skip
"""Modules that yt-dlp uses where it finds them, and does without."""
_PROGRAMS = frozenset(("ffmpeg", "ffprobe", "deno"))
"""What may be started. deno, which yt-dlp runs without the right to the network, is for sites whose
pages are programs."""
_TO_THE_NET = frozenset(("socket.bind", "socket.sendto", "socket.sendmsg"))
_STARTS = frozenset(("os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile"))
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MEMORY = 2 * 1024**3
_FILES = 256


def limit() -> None:
    """Lets the system end this process before it takes what others need; no films are so large."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_with_parent(lifeline: int) -> None:
    """Ends this process and all it started as soon as nobody holds the other end of a pipe.

    Args:
        lifeline: descriptor of the end that is ours.
    """

    def watch() -> None:
        while os.read(lifeline, 4096):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def enclose(proxy_port: int) -> None:
    """Refuses this process everything else, for good.

    What is refused looks like a refusal of the system: `PermissionError`.

    Args:
        proxy_port: where on loopback its proxy listens.
    """
    for name in _WITHOUT:
        sys.modules[name] = None  # type: ignore[assignment] # what import takes for "not there"
    sys.dont_write_bytecode = True
    sys.addaudithook(_Judge(("127.0.0.1", proxy_port), Path.cwd()))


class _Judge:
    def __init__(self, proxy: tuple[str, int], folder: Path) -> None:
        self._proxy = proxy
        self._folder = folder

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(*args)
        elif event == "socket.connect":
            _require(tuple(args[1][:2]) == self._proxy, "this address is not the proxy's")
        elif event == "socket.getaddrinfo":
            _require(args[0] == self._proxy[0], "names are resolved by the proxy")
        elif event == "subprocess.Popen":
            _require(_is_let(args[0], args[1]), "this program must not be started")
        elif event in _TO_THE_NET or event in _STARTS:
            _require(False, f"{event} is not needed here")

    def _opened(self, path: Any, _mode: Any, flags: Any) -> None:
        if isinstance(path, int) or not (isinstance(flags, int) and flags & _WRITES):
            return
        where = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 (no link is followed)
        within = where.is_relative_to(self._folder) or str(where) == os.devnull
        _require(within, "this is not its folder")


def _is_let(program: Any, words: Any) -> bool:
    """Whether a command may be run: a program we know, and ffmpeg on no address of the network."""
    texts = [os.fsdecode(word) for word in ((words,) if isinstance(words, str) else words)]
    name = Path(os.fsdecode(program or texts[0])).name
    return name in _PROGRAMS and not any("://" in text for text in texts)


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise PermissionError(1, why)
