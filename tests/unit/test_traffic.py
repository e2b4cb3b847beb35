"""When the engine may speak to the DHT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chilly_movies.drivers.torrent.config import EngineConfig
from chilly_movies.drivers.torrent.traffic import Traffic
from chilly_movies.proxies import Proxy

pytestmark = pytest.mark.anyio


class Engine:
    """What is said to it."""

    def __init__(self) -> None:
        self.dht: list[bool] = []

    def apply_settings(self, settings: dict[str, Any]) -> None:
        self.dht.append(settings["enable_dht"])

    def set_ip_filter(self, _: object) -> None:
        """It talks to nobody anyway."""


async def traffic_of(engine: Engine, **config: Any) -> Traffic:
    traffic = Traffic(EngineConfig(Path("/media"), **config), lambda: None)
    await traffic.opened(engine)
    return traffic


async def test_the_dht_is_on_while_a_torrent_needs_it_and_a_little_longer() -> None:
    engine = Engine()
    traffic = await traffic_of(engine)
    traffic.look([], 0)
    traffic.look([True], 1)
    assert engine.dht == []
    traffic.look([True, False], 2)
    traffic.look([True, False], 3)
    traffic.look([True], 12)
    assert engine.dht == [True]
    traffic.look([True], 13)
    traffic.look([], 14)
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
    (await traffic_of(engine, **config)).look([False], 1)
    assert not any(engine.dht)
