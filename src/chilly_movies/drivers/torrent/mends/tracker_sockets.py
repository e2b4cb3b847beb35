"""Ends the engine's connections to WebSocket trackers; it has no call for that itself.

It keeps them for as long as it lives, even with no torrent left. A tracker then goes on naming us
to others, and one that is silent freezes the whole process at the end: the engine's destructor
waits for a goodbye without end, and holds the interpreter's lock meanwhile. A connection that is
shut from outside, below the engine, is to it one that the tracker has closed.

One that nobody answered yet is shut, too: the system would go on asking for two minutes. The engine
then tries the tracker's next address, so one pass is not enough.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import structlog

log = structlog.get_logger(__name__)

_DESCRIPTORS = Path("/dev/fd")
_TABLES = (Path("/proc/thread-self/net/tcp"), Path("/proc/thread-self/net/tcp6"))
_SYN_SENT = "02"
_POLL_SECONDS = 0.02
_POLLS = 100
_DEFAULT_PORTS = {"ws": 80, "wss": 443}


def port_of(url: str) -> int:
    """The port a WebSocket tracker is asked at."""
    parts = urlsplit(url)
    try:
        return parts.port or _DEFAULT_PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        return 0


def shut_connections(ports: Collection[int], *, connecting: bool = False) -> int:
    """Shut the engine's TCP connections to these ports.

    Args:
        ports: the trackers' ports.
        connecting: those of the engine that nobody answered yet, too, whatever their port.

    Returns:
        How many it found. They close a moment later.
    """
    asked = cache(_unanswered)  # read at most once, and only if there is one
    try:
        numbers = [int(path.name) for path in _DESCRIPTORS.iterdir()]
    except OSError:
        return 0  # no such list on this system
    return sum(_shut(number, ports, asked, connecting=connecting) for number in numbers)


async def shut_for_good(ports: Callable[[], Collection[int]], *, connecting: bool = False) -> bool:
    """Shut all of them and wait, at most two seconds, until they are closed; whether they are.

    Args:
        ports: gives the ports that nobody needs at the moment: it may change meanwhile.
        connecting: as for `shut_connections`.
    """
    for _ in range(_POLLS):
        unneeded = ports()
        if not (unneeded or connecting):
            return True
        if not await asyncio.to_thread(shut_connections, unneeded, connecting=connecting):
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


def forget(session: object) -> None:
    """Let go of a session that cannot be ended: it is never destroyed, not even at exit."""
    log.warning("the engine has connections it does not end, so it is left as it is")
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


def _unanswered() -> dict[int, int]:
    """The other side's port by inode, of TCP connections that nobody answered yet.

    A socket does not tell it itself; the system's tables do (proc_pid_net(5)), where there are any.
    """
    found = {}
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for _, _, remote, state, *more in map(str.split, lines):
            if state == _SYN_SENT:
                found[int(more[5])] = int(remote.rpartition(":")[2], 16)
    return found


def _shut(
    number: int,
    ports: Collection[int],
    asked: Callable[[], Mapping[int, int]],
    *,
    connecting: bool,
) -> bool:
    """Shut a descriptor if it is one of the engine's connections that are wanted.

    It is looked at as it is: the engine closes it in its own time, and a copy that outlives that
    would leave it in a list of events the engine believes it is gone from.
    """
    try:
        if fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            return False  # Python's own: unlike the engine's, no child would inherit it
        borrowed = socket.socket(fileno=number)
    except OSError:
        return False  # no socket, or closed meanwhile
    try:
        internet = borrowed.family in (socket.AF_INET, socket.AF_INET6)
        listens = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not internet or borrowed.type != socket.SOCK_STREAM or listens:
            return False
        try:
            wanted = borrowed.getpeername()[1] in ports
        except OSError:  # nobody answered there yet
            wanted = connecting or asked().get(os.fstat(number).st_ino) in ports
        if wanted:
            borrowed.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False  # closed meanwhile
    finally:
        borrowed.detach()
    return wanted
