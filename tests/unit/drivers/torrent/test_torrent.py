"""A torrent whose honest peer the engine banned by mistake is added anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from chilly_movies.drivers.torrent.engine.torrent import Torrent
from chilly_movies.errors import SourceUnavailable

pytestmark = pytest.mark.anyio


class Handle:
    """What of the engine's handle is used here."""

    def resume(self) -> None:
        """Run."""

    def unset_flags(self, _flags: object) -> None:
        """Run by itself."""


def running() -> Torrent:
    engine: Any = None
    torrent = Torrent(cast(Any, Handle()), leave=engine, refresh=engine)
    torrent._runs = True
    torrent.state = replace(torrent.state, done=1)
    return torrent


async def lives(torrent: Torrent, *seconds: float) -> bool:
    for now in seconds:
        torrent.revive(now)
    try:
        await torrent.moved()
    except SourceUnavailable:
        return False
    return True


async def test_alone_for_five_seconds_after_a_wrong_ban_it_asks_to_be_added_anew() -> None:
    torrent = running()
    torrent.wronged()
    assert await lives(torrent, 100.0, 104.9)
    assert not await lives(torrent, 105.0)


async def test_before_anything_right_came_nobody_is_asked_anew() -> None:
    torrent = running()
    torrent.state = replace(torrent.state, done=0)
    torrent.wronged()
    assert await lives(torrent, 100.0, 200.0)


async def test_while_anybody_is_connected_nothing_happens() -> None:
    torrent = running()
    torrent.wronged()
    torrent.revive(100.0)
    torrent.state = replace(torrent.state, peers=1)
    torrent.revive(104.0)
    torrent.state = replace(torrent.state, peers=0)
    assert await lives(torrent, 108.0, 112.9)
    assert not await lives(torrent, 113.0)


async def test_who_is_alone_and_wronged_nobody_waits_on() -> None:
    assert await lives(running(), 100.0, 200.0)
