"""Two networks for a test: ours, and an outside that two cables lead to; nothing else is there.

The outside has addresses that are public by their looks. All of ours are reached over the first
cable; the second would carry everything if the first did not, as a home network does for a VPN.
Who is inside, and what stays inside, is as in `netns`.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.peers.netns import in_new_namespace, ip

T = TypeVar("T")
V = TypeVar("V")

CABLE, SPARE = "cable0", "spare0"
OURS = {CABLE: "10.91.0.2", SPARE: "10.92.0.2"}
_THEIRS = {CABLE: "10.91.0.1", SPARE: "10.92.0.1"}
TRACKER, PEER, FRIEND, PROXY, STRANGER = (f"203.0.113.{n}" for n in range(1, 6))
_SWITCH = "switch0"
_ETH_P_ALL = 3
_OUTGOING = 4
_SOL_PACKET, _STATISTICS = 263, 6
_RCVBUFFORCE = 33
_BUFFER = 64 * 1024 * 1024
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_DNS = 53


@dataclass(frozen=True, slots=True)
class TwoNetworks:
    """The thread is in ours; `outside` is a context in which it is in the other one."""

    ours: int
    theirs: int

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is started in here is started outside."""
        _enter(self.theirs)
        try:
            yield
        finally:
            _enter(self.ours)

    def take_down(self, name: str = CABLE) -> None:
        """Our end of a cable goes; the routes over it go with it."""
        ip("link", "set", name, "down")

    def bring_back(self, name: str = CABLE) -> None:
        """It is as it was."""
        ip("link", "set", name, "up")
        _route(name)

    def lose_address(self, name: str = CABLE) -> None:
        """The cable stays, its address goes."""
        ip("address", "flush", "dev", name)

    def get_address(self, name: str = CABLE) -> None:
        """The address is back."""
        ip("address", "add", f"{OURS[name]}/24", "dev", name)
        _route(name)


@contextmanager
def two_networks() -> Iterator[TwoNetworks]:
    """Moves the current thread into the first of two new networks; skips where it may not.

    Both cables end in one device outside: a listener of libtorrent hears one device only.
    """
    with in_new_namespace() as theirs:
        ip("link", "set", "lo", "up")
        ip("link", "add", _SWITCH, "type", "bridge")
        ip("link", "set", _SWITCH, "addrgenmode", "none")
        for address in (TRACKER, PEER, FRIEND, PROXY, STRANGER):
            ip("address", "add", f"{address}/32", "dev", _SWITCH)
        for address in _THEIRS.values():
            ip("address", "add", f"{address}/24", "dev", _SWITCH)
        ip("link", "set", _SWITCH, "up")
        with in_new_namespace() as ours:
            ip("link", "set", "lo", "up")
            # each end answers for its own address only, as if the cables led to different places
            Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")
            for name in (CABLE, SPARE):
                _lay(name, ours, theirs)
            for name in (CABLE, SPARE):
                _wait_until_up(name)
            yield TwoNetworks(ours, theirs)


def _lay(name: str, ours: int, theirs: int) -> None:
    far = f"far-{name}"
    ip("link", "add", name, "type", "veth", "peer", "name", far)
    # IPv6 would talk of itself
    ip("link", "set", name, "addrgenmode", "none")
    ip("link", "set", far, "addrgenmode", "none", "netns", f"/proc/self/fd/{theirs}", keep=theirs)
    ip("address", "add", f"{OURS[name]}/24", "dev", name)
    _enter(theirs)
    ip("link", "set", far, "master", _SWITCH)
    ip("link", "set", far, "up")
    _enter(ours)
    ip("link", "set", name, "up")
    _route(name)


def _wait_until_up(name: str) -> None:
    """The system says a while later that a cable is plugged in; the engine uses none before."""
    asked, running = struct.pack("16s16x", name.encode()), 0x40  # IFF_RUNNING
    end = time.monotonic() + 10
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while True:
            answer = fcntl.ioctl(sock, 0x8913, asked)  # SIOCGIFFLAGS
            if struct.unpack_from("H", answer, 16)[0] & running:
                return
            assert time.monotonic() < end, f"{name} did not come up"
            time.sleep(0.01)


def _route(name: str) -> None:
    metric = "10" if name == CABLE else "20"
    ip("route", "replace", "default", "via", _THEIRS[name], "metric", metric, may_fail=True)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, 0x40000000):
        raise RuntimeError(os.strerror(ctypes.get_errno()))


@dataclass(frozen=True, slots=True)
class Packet:
    """One that went out.

    Attributes:
        device: by its name.
        to: whom it was for; of an ARP request, who was looked for.
        port: 0 if it has none.
        kind: `tcp`, `udp`, `arp`, or another protocol's number.
        size: bytes behind the TCP or UDP header.
    """

    device: str
    to: str
    port: int
    kind: str
    size: int


class Capture:
    """Every packet that leaves the current network over anything but loopback.

    Names that are asked for over loopback count, too: their server would ask the world.
    """

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._names = dict(socket.if_nameindex())
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._socket, self._read)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(1000):
            try:
                data, (device, protocol, kind, _, _) = self._socket.recvfrom(128)
            except BlockingIOError:
                return
            if kind != _OUTGOING:
                continue
            name = self._names.get(device, device)
            packet = _packet(str(name), protocol, data[14:])
            if packet is not None and (name != "lo" or packet.port == _DNS):
                self.packets.append(packet)

    def take(self) -> list[Packet]:
        """All since the last call."""
        self._read()
        lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
        assert not lost, f"{lost} packets were not seen"
        taken, self.packets = self.packets, []
        return taken


def _packet(device: str, protocol: int, data: bytes) -> Packet | None:
    if protocol == _ARP:
        return Packet(device, str(ipaddress.ip_address(data[24:28])), 0, "arp", 0)
    if protocol == _IPV4:
        start, number = 4 * (data[0] & 15), data[9]
        to, length = ipaddress.ip_address(data[16:20]), struct.unpack(">H", data[2:4])[0] - start
    elif protocol == _IPV6:
        start, number = 40, data[6]
        to, length = ipaddress.ip_address(data[24:40]), struct.unpack(">H", data[4:6])[0]
    else:
        return None
    if number == socket.IPPROTO_TCP:
        head, kind = 4 * (data[start + 12] >> 4), "tcp"
    elif number == socket.IPPROTO_UDP:
        head, kind = 8, "udp"
    else:
        return Packet(device, str(to), 0, str(number), length)
    port = struct.unpack(">H", data[start + 2 : start + 4])[0]
    return Packet(device, str(to), port, kind, length - head)


def summary(packets: list[Packet]) -> Counter[tuple[str, str, int]]:
    """How many went where."""
    return Counter((packet.kind, packet.to, packet.port) for packet in packets)


@asynccontextmanager
async def served_outside(
    networks: TwoNetworks, server: AbstractAsyncContextManager[T]
) -> AsyncIterator[T]:
    """Run a server outside, calls of its own included: in a thread that stays there."""
    loop = asyncio.new_event_loop()
    with networks.outside():
        thread = threading.Thread(target=loop.run_forever, name="outside", daemon=True)
        thread.start()

    async def there(work: Coroutine[Any, Any, V]) -> V:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def enter() -> T:
        return await server.__aenter__()

    async def leave() -> None:
        await server.__aexit__(None, None, None)

    try:
        value = await there(enter())
        try:
            yield value
        finally:
            await there(leave())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, 10)
        loop.close()


@asynccontextmanager
async def started_outside(
    networks: TwoNetworks, process: AbstractAsyncContextManager[T]
) -> AsyncIterator[T]:
    """Run a program outside."""
    with networks.outside():
        value = await process.__aenter__()
    try:
        yield value
    finally:
        await process.__aexit__(None, None, None)
