"""The network interface that all traffic is bound to: whether it can be used right now.

Asked of the kernel itself, each time anew: `/sys` may show those of another network namespace.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Iterator

from chilly_movies.runtime.descriptors import shortage

_GETADDR, _NEWADDR, _GETLINK, _NEWLINK = 22, 20, 18, 16
_ERROR, _DONE = 2, 3
_DUMP = 0x301
_UP, _RUNNING, _LOOPBACK = 0x1, 0x40, 0x8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_TO_DEVICE = getattr(socket, "SO_BINDTODEVICE", None)


def is_address(interface: str) -> bool:
    """Whether an address was given and no name."""
    try:
        ipaddress.ip_address(interface)
    except ValueError:
        return False
    return True


def why_unusable(interface: str) -> str | None:
    """One sentence for why nothing can go over an interface, None if it can.

    Args:
        interface: its name, or one of this machine's addresses.
    """
    try:
        if not sys.platform.startswith("linux"):
            return _why_unusable_anywhere(interface)
        name = device_of(interface)
        if name is None:
            what = "address" if is_address(interface) else "interface"
            return f"the {what} {interface} is not there"
        index = socket.if_nametoindex(name)
        is_up = False
        for kind, body in _dump(_GETLINK, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)):
            if kind == _NEWLINK and struct.unpack_from("=i", body, 4)[0] == index:
                flags = struct.unpack_from("=I", body, 8)[0]
                is_up = bool(flags & _UP and flags & (_RUNNING | _LOOPBACK))
        if not is_up:
            return f"the interface {name} is down"
        # of use are all but addresses of the link alone
        found = (address for owner, address in _addresses() if owner == index)
        if not any(address.version == 4 or not address.is_link_local for address in found):
            return f"the interface {name} has no address"
    except OSError as error:
        if shortage(error.errno):
            return f"no file descriptor is left to look at the interface {interface} with"
        return f"the interface {interface} cannot be used ({error.strerror})"
    return None


def device_of(interface: str) -> str | None:
    """The name of the device, None if there is none; of an address, the device that has it."""
    names = dict(socket.if_nameindex())
    if not is_address(interface):
        return interface if interface in names.values() else None
    if not sys.platform.startswith("linux"):
        return None
    wanted = ipaddress.ip_address(interface)
    return next((names.get(owner) for owner, address in _addresses() if address == wanted), None)


def outgoing(interface: str) -> str:
    """What the engine binds its calls to.

    The device of an address: bound to the address alone, calls would leave over another device
    as soon as the routes change. Loopback leads nowhere else.
    """
    if not is_address(interface) or ipaddress.ip_address(interface).is_loopback:
        return interface
    return device_of(interface) or interface


def bind(sock: socket.socket, interface: str) -> None:
    """Let a socket that is not connected yet use this interface only.

    Raises:
        OSError: it is not there, or it has no address of the socket's family.
    """
    if is_address(interface):
        sock.bind((interface, 0))
    name = device_of(interface)
    if name is None or _TO_DEVICE is None:
        if is_address(interface) and _TO_DEVICE is None:
            return
        raise OSError(errno.ENODEV, "the interface cannot be bound to")
    sock.setsockopt(socket.SOL_SOCKET, _TO_DEVICE, name.encode())


def _why_unusable_anywhere(interface: str) -> str | None:
    if not is_address(interface):
        there = interface in {name for _, name in socket.if_nameindex()}
        return None if there else f"the interface {interface} is not there"
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((interface, 0))
        except OSError:
            return f"the address {interface} is not there"
    return None


def _addresses() -> Iterator[tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address]]:
    """Every address with the number of its device."""
    for kind, body in _dump(_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
        if kind != _NEWADDR:
            continue
        index, found, data = struct.unpack_from("=I", body, 4)[0], {}, body[8:]
        while len(data) >= 4:
            length, attribute = struct.unpack_from("=HH", data)
            if length < 4:
                break
            found[attribute] = data[4:length]
            data = data[(length + 3) & ~3 :]
        # of a point-to-point link the other attribute is the far end
        packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
        if packed is not None and len(packed) in (4, 16):
            yield index, ipaddress.ip_address(packed)


def _dump(kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """The kernel's list of something (rtnetlink(7))."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.settimeout(1.0)
        link.send(struct.pack("=IHHII", 16 + len(body), kind, _DUMP, 1, 0) + body)
        while True:
            data = link.recv(1 << 17)
            while data:
                length, found = struct.unpack_from("=IH", data)
                if found == _DONE:
                    return
                if found == _ERROR:
                    raise OSError(errno.EIO, "the kernel does not tell")
                yield found, data[16:length]
                data = data[(length + 3) & ~3 :]
