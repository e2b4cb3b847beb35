"""The child process that reads a page: `python -m chilly_movies.drivers.ytdlp.child`.

It is told what to do by one line of JSON on standard input, and ends when that is closed. It says
how far it is by lines of JSON on standard output (`words.py`). Its folder is the one it was started
in; see `enclosure.py` for what else it may touch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from chilly_movies.drivers.ytdlp.enclosure import enclose, end_with_parent, limit

MODULE = __name__


class _Stopped(BaseException):
    """We are to end; what is open is closed on the way."""


class Says:
    """Tells the parent something: a line each.

    Args:
        pipe: to the parent.
    """

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._turn = threading.Lock()

    def __call__(self, kind: str, **members: object) -> None:
        """Says one word; `kind` is its `is` in `words.py`."""
        line = json.dumps({"is": kind, **members}).encode() + b"\n"
        with self._turn:
            self._pipe.write(line)
            self._pipe.flush()


def main() -> int:
    """Do what standard input says."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    with _own_output() as pipe:
        says = Says(pipe)
        try:
            wish: dict[str, Any] = json.loads(_line(sys.stdin.fileno()))
            limit()
            end_with_parent(sys.stdin.fileno())
            enclose(urlsplit(wish["proxy"]).port or 0)
            from chilly_movies.drivers.ytdlp.page import take

            take(wish, says)
        except _Stopped:
            return 0
        except BrokenPipeError:
            return 1
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _Stopped


def _own_output() -> BinaryIO:
    """Standard output for us alone: what libraries print goes nowhere."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return pipe


def _line(handle: int) -> bytes:
    """The first line, read without taking more than is there."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(handle, 64 * 1024)
        if not read:
            raise _Stopped
        line += read
    return line


if __name__ == "__main__":
    sys.exit(main())
