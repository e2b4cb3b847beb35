"""The child process that reads files of strangers: `python -m chilly_movies.media.child`.

It has no files of its own. It asks its parent for bytes over standard output and gets them over
standard input, so it works on films that are still arriving, and it can reach nothing else of
ours, where MediaInfo is at work nothing at all, not even if a film takes it over
(`confinement.py`). Its memory and time are limited by the system. See `sandbox.py` for the other
side.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import BinaryIO, cast

from chilly_movies.media.confinement import confine

READ, DONE, FAILED = 1, 2, 3
QUESTION = struct.Struct(">BQI")
"""What it is, an offset, a length; after DONE and FAILED so many bytes follow."""
ANSWER = struct.Struct(">I")
"""How many bytes follow; 0 = there are none (yet)."""
_MEMORY = 768 * 1024 * 1024
_CPU_SECONDS = 10


class RemoteFile(io.RawIOBase):
    """The file in question, read through the parent."""

    def __init__(self, size: int, pipe_in: BinaryIO, pipe_out: BinaryIO) -> None:
        super().__init__()
        self._size = size
        self._in = pipe_in
        self._out = pipe_out
        self._at = 0

    def again(self) -> RemoteFile:
        """The same file with a place of its own."""
        return RemoteFile(self._size, self._in, self._out)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Ask the parent; fewer bytes than asked are normal."""
        wanted = min(len(buffer), max(0, self._size - self._at))
        if not wanted:
            return 0
        self._out.write(QUESTION.pack(READ, self._at, wanted))
        self._out.flush()
        (length,) = ANSWER.unpack(_exactly(self._in, ANSWER.size))
        if length > wanted:
            raise EOFError
        buffer[:length] = _exactly(self._in, length)
        self._at += length
        return int(length)


def _exactly(pipe: BinaryIO, length: int) -> bytes:
    data = pipe.read(length)
    if len(data) < length:  # the parent is gone, or has enough of us
        raise SystemExit(0)
    return data


def facts(file: BinaryIO, _words: Sequence[str]) -> bytes:
    """What MediaInfo says, as its own JSON."""
    from pymediainfo import MediaInfo

    if not MediaInfo.can_parse():  # loads the library: afterwards nothing can be loaded
        raise OSError("MediaInfo is not there")
    open_no_more()
    confine()
    # Speed 0 = headers only: 5 reads of 64 KiB for most films, half a second less than the default
    return MediaInfo.parse(file, output="JSON", parse_speed=0, full=False).encode()


def limit() -> None:
    """Let the system end this process before it hurts anybody."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def open_no_more() -> None:
    """Let the system refuse every further file and connection to this process.

    MediaInfo follows what playlists and manifests refer to: in the place of a film one would make
    it call any address and read any file.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


TASKS: dict[str, tuple[str, int]] = {
    "facts": (__name__, 64 * 1024),
    "sidecar": ("chilly_movies.media.subtitle_tasks", 64 * 1024),
    "embedded": ("chilly_movies.media.subtitle_tasks", 4096),
}
"""Each with the module of its function, and how much that reads at once: a track is gathered from a
few bytes here and there."""


def main(words: Sequence[str]) -> int:
    """Do one task: its name, the file's size, and what else it needs."""
    name, size, *more = words
    limit()
    pipe_in, pipe_out = sys.stdin.buffer, sys.stdout.buffer
    raw = RemoteFile(int(size), pipe_in, pipe_out)
    module, buffer = TASKS[name]
    task: Callable[[BinaryIO, Sequence[str]], bytes] = getattr(import_module(module), name)
    file = cast("BinaryIO", io.BufferedReader(raw, buffer))
    try:
        kind, body = DONE, task(file, more)
    except Exception as error:  # noqa: BLE001 (whatever a hostile file made of a library)
        kind, body = FAILED, json.dumps(f"{type(error).__name__}: {error}"[:500]).encode()
    pipe_out.write(QUESTION.pack(kind, 0, len(body)) + body)
    pipe_out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
