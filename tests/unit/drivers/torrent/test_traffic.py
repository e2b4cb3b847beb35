"""When the engine may speak to the DHT, and to whom at all."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.engine.config import EngineConfig
from chilly_movies.drivers.torrent.engine.filters import AddressFilter
from chilly_movies.drivers.torrent.engine.traffic import Traffic
from chilly_movies.net.policy import NetworkPolicy
from chilly_movies.net.proxies import Proxy

pytestmark = pytest.mark.anyio


class Engine:
    """What is said to it."""

    def __init__(self) -> None:
        self.dht: list[bool] = []
        self.filter: Any = lt.ip_filter()
        self.filtered = asyncio.Event()

    def apply_settings(self, settings: dict[str, Any]) -> None:
        if "enable_dht" in settings:
            self.dht.append(settings["enable_dht"])

    def get_ip_filter(self) -> Any:
        return self.filter

    def set_ip_filter(self, made: Any) -> None:
        self.filter = made
        self.filtered.set()


async def traffic_of(engine: Engine, config: EngineConfig | None = None) -> Traffic:
    config = config or EngineConfig(Path("/media"))
    traffic = Traffic(config, NetworkPolicy(config), lambda: None)
    await traffic.opened(engine)
    return traffic


async def test_the_dht_is_on_while_a_torrent_needs_it_and_a_little_longer() -> None:
    engine = Engine()
    traffic = await traffic_of(engine)
    traffic.end_expired([], 0)
    traffic.end_expired([True], 1)
    assert engine.dht == []
    traffic.end_expired([True, False], 2)
    traffic.end_expired([True, False], 3)
    traffic.end_expired([True], 12)
    assert engine.dht == [True]
    traffic.end_expired([True], 13)
    traffic.end_expired([], 14)
    assert engine.dht == [True, False]
    traffic.needs_all(15)
    assert engine.dht == [True, False, True]


@pytest.mark.parametrize(
    "config", [{"dht": False}, {"proxy": Proxy("socks5", "proxy.example", 1080)}]
)
async def test_the_dht_is_never_on_if_it_is_not_wanted_or_would_go_round_a_proxy(
    config: dict[str, Any],
) -> None:
    engine = Engine()
    (await traffic_of(engine, EngineConfig(Path("/media"), **config))).end_expired([False], 1)
    assert not any(engine.dht)


class Peer:
    """A torrent, as far as bans are concerned, with one peer that was of no use."""

    shut_out = pardons = 0

    def __init__(self, times: int = 2) -> None:
        self.ban_record: Any = self
        self.times = times

    async def was_served_by(self, _: str) -> bool:
        return False

    def count(self, *_: object) -> bool:
        return self.times > 1

    def wronged(self) -> None:
        self.pardons += 1

    def touch(self) -> None:
        """Nobody looks."""


async def test_who_is_banned_while_a_long_list_is_read_stays_banned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, engine = tmp_path / "block.txt", Engine()
    block.write_text("203.0.113.0/24\n")
    config = EngineConfig(Path("/media"), block_list=block)
    policy = NetworkPolicy(config)
    traffic = Traffic(config, policy, lambda: None)
    await traffic.opened(engine)
    loop, building, banned = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    build = AddressFilter.build

    def slow(self: AddressFilter) -> Any:
        made = build(self)
        loop.call_soon_threadsafe(building.set)
        banned.wait(10)
        return made

    monkeypatch.setattr(AddressFilter, "build", slow)
    policy.read_lists()
    await asyncio.wait_for(building.wait(), 10)
    torrent: Any = Peer()
    engine.filtered.clear()
    traffic.banned(torrent, "198.51.100.7")
    await asyncio.wait_for(engine.filtered.wait(), 10)
    assert engine.filter.access("198.51.100.7")
    engine.filtered.clear()
    banned.set()
    await asyncio.wait_for(engine.filtered.wait(), 10)
    assert engine.filter.access("198.51.100.7")
    assert engine.filter.access("203.0.113.9")
    await traffic.closed()


async def test_who_was_caught_once_may_be_honest_and_is_pardoned_once() -> None:
    traffic = await traffic_of(Engine(), EngineConfig(Path("/media")))
    first, again, other = Peer(times=1), Peer(times=1), Peer(times=1)
    for torrent, address in ((first, "192.0.2.1"), (again, "192.0.2.1"), (other, "192.0.2.2")):
        await traffic._judge(torrent, address)
    assert [one.pardons for one in (first, again, other)] == [1, 0, 1]
    assert first.shut_out == again.shut_out == 0
    await traffic.closed()
