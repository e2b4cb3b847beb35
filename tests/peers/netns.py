"""A network of its own for a test, with two addresses that are not loopback.

WebRTC offers no address of a machine that has only loopback, so its peers meet here. No
packet can leave: the cable's other end is here, too, and other addresses have no route.

What starts inside stays inside: processes, threads, sockets. What was there before stays
outside, the threads of an executor above all: an event loop may be older than the
namespace, its default executor must not have run anything yet. The loop itself opens its
sockets in the thread that runs it, which for a test is the main thread.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

_CLONE_NEWNET = 0x40000000
_PREFIX = 24
_COMMAND_LIMIT = 10.0
# Chromium offers the address it would speak to this one from, and nothing if there is none.
_LANDMARK = "8.8.8.8"


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses usable in a namespace, besides 127.0.0.1.

    They lie in two networks: of two interfaces in one network libtorrent takes the wrong one for
    one address, and binds its listener to a device that nothing for that address comes from.
    """

    address: str = "10.77.0.1"
    other: str = "10.78.0.1"


@contextmanager
def network_namespace() -> Iterator[Network]:
    """Moves the current thread, and what it starts from now on, into a new network.

    Skips the running test where that is not permitted; fails it if REQUIRE_PEERS is 1.
    The namespace ends with the last process in it.
    """
    with in_new_namespace():
        network = Network()
        _connect(network)
        yield network


@contextmanager
def in_new_namespace() -> Iterator[int]:
    """The same with no device but loopback, which is down; gives a descriptor of the namespace."""
    if shutil.which("ip") is None:
        unavailable("ip (iproute2) is not installed")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open(_own_namespace(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            unavailable(f"a network namespace of our own is not permitted: {reason}")
        inside = os.open(_own_namespace(), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield inside
        finally:
            os.close(inside)
            if libc.setns(before, _CLONE_NEWNET):
                reason = os.strerror(ctypes.get_errno())
                raise RuntimeError(f"cannot return to the first network namespace: {reason}")
    finally:
        os.close(before)


def _own_namespace() -> Path:
    return Path(f"/proc/self/task/{threading.get_native_id()}/ns/net")


def unavailable(reason: str) -> NoReturn:
    """Skip the running test, or fail it if REQUIRE_PEERS is 1."""
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _connect(network: Network) -> None:
    """Brings loopback up, and a cable whose two ends both are here."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "cable0", "type", "veth", "peer", "name", "cable1")
    for name, address in (("cable0", network.address), ("cable1", network.other)):
        # An IPv6 address that comes up later would change what peers offer each other.
        ip("link", "set", name, "addrgenmode", "none")
        ip("address", "add", f"{address}/{_PREFIX}", "dev", name)
        ip("link", "set", name, "up")
    ip("route", "add", _LANDMARK, "dev", "cable0")


def ip(*arguments: str, keep: int | None = None, may_fail: bool = False) -> None:
    """Run `ip`; where it is refused the test is skipped.

    Args:
        *arguments: its words.
        keep: a descriptor it gets, too.
        may_fail: go on if it does.
    """
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, timeout=_COMMAND_LIMIT, check=False,
        pass_fds=() if keep is None else (keep,),
    )  # fmt: skip
    if done.returncode and not may_fail:
        unavailable(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
