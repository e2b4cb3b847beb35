"""Which addresses may be talked to, in every spelling that reaches them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.net.addresses import is_public, literal_host_is_public, resolves_to_public

pytestmark = pytest.mark.anyio

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "192.167.1.1",
    "100.63.255.255", "100.128.0.0", "9.255.255.255", "11.0.0.0", "126.0.0.1", "128.0.0.1",
    "169.253.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:831::200e", "2001:4860:4860::8888",
]  # fmt: skip
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "fc00::1", "fd12:3456::1",
    "ff02::1", "100::1",
]  # fmt: skip
WRAPPED = {
    "mapped": "::ffff:{a}.{b}.{c}.{d}",
    "mapped in hex": "::ffff:{a:x}{b:02x}:{c:x}{d:02x}",
    "compatible": "::{a}.{b}.{c}.{d}",
    "translated": "::ffff:0:{a}.{b}.{c}.{d}",
    "6to4": "2002:{a:x}{b:02x}:{c:x}{d:02x}::1",
    "NAT64": "64:ff9b::{a}.{b}.{c}.{d}",
    "local NAT64": "64:ff9b:1::{a}.{b}.{c}.{d}",
    "Teredo": "2001:0:{a:x}{b:02x}:{c:x}{d:02x}::1",
}
SPELLINGS = [
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "127.1", "127.0.1", "127.0.0.1.",
    "0x7f.1", "0x7f000001", "0X7F.0.0.1", "0177.0.0.1", "017700000001", "2130706433", "0", "0x0",
    "10.1", "0xa.1", "192.168.257", "3232235777", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1%25eth0]",
    "１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "%31%32%37.0.0.1", "", "[]", "::1",
    "127.0.0.1 x", "exa mple", "a\x00b",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_open_net_are_public(address: str) -> None:
    assert is_public(address)
    assert literal_host_is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_of_this_machine_and_home_are_private(address: str) -> None:
    assert not is_public(address)
    assert not literal_host_is_public(address)


@pytest.mark.parametrize("form", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.1", "169.254.169.254", "8.8.8.8"])
def test_addresses_that_wrap_an_ipv4_address_are_private(form: str, address: str) -> None:
    a, b, c, d = map(int, address.split("."))
    assert not is_public(form.format(a=a, b=b, c=c, d=d))


@given(st.integers(0, 2**24 - 1))
def test_every_address_of_the_loopback_network_is_private(rest: int) -> None:
    number = (127 << 24) + rest
    assert not is_public(socket.inet_ntoa(number.to_bytes(4, "big")))
    assert not literal_host_is_public(str(number))
    assert not literal_host_is_public(hex(number))
    assert not literal_host_is_public("0" + oct(number)[2:])


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_a_private_host_is_taken_for_public(host: str) -> None:
    assert not literal_host_is_public(host)


@pytest.mark.parametrize(
    "host", ["films.example", "TRACKER.example.", "a-b_c.example", "xn--caf-dma.example", "1.ex"]
)
def test_names_pass_and_are_checked_when_they_are_resolved(host: str) -> None:
    assert literal_host_is_public(host)


async def answer(
    monkeypatch: pytest.MonkeyPatch, *addresses: str, host: str = "films.example"
) -> bool:
    async def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, 80)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    return await resolves_to_public(host, 80)


async def test_a_name_is_public_only_if_all_its_addresses_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await answer(monkeypatch, "1.1.1.1", "2606:4700:4700::1111")
    assert not await answer(monkeypatch, "1.1.1.1", "127.0.0.1")
    assert not await answer(monkeypatch, "fe80::1%2")
    assert not await answer(monkeypatch, "1.1.1.1", host="localhost")
