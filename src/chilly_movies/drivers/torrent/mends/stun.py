"""Asks a STUN server once whether it answers (RFC 8489, binding request).

The engine waits 23.5 s at each WebRTC announce for a STUN server that is silent, so we ask before
it does, and take a silent one away from it.
"""

from __future__ import annotations

import asyncio
import os
import struct

import libtorrent as lt
import structlog

from chilly_movies.runtime.single_flight import SingleFlight

log = structlog.get_logger(__name__)

_BINDING_REQUEST = 0x0001
_BINDING_SUCCESS = 0x0101
_MAGIC_COOKIE = 0x2112A442
_TRIES = 3
_WAIT = 0.5


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self.came = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Any success answer with our transaction id counts; its address does not matter here."""
        if data[:2] == struct.pack("!H", _BINDING_SUCCESS) and data[8:20] == self._wanted:
            self.came.set()

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: as silent as no answer."""


async def answers(server: str) -> bool:
    """Whether the server answers within one and a half seconds.

    Args:
        server: `host:port`, perhaps with `stun:` before it.
    """
    host, _, port = server.removeprefix("stun:").rpartition(":")
    loop = asyncio.get_running_loop()
    transaction = os.urandom(12)
    try:
        async with asyncio.timeout(_TRIES * _WAIT):
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: _Answer(transaction), remote_addr=(host, int(port))
            )
    except (OSError, ValueError, TimeoutError):
        return False
    try:
        for _ in range(_TRIES):
            transport.sendto(struct.pack("!HHI", _BINDING_REQUEST, 0, _MAGIC_COOKIE) + transaction)
            try:
                async with asyncio.timeout(_WAIT):
                    await protocol.came.wait()
            except TimeoutError:
                continue
            return True
        return False
    finally:
        transport.close()


class StunCheck:
    """Whether a STUN server answers, found out once however many ask.

    Args:
        server: `host:port`, "" for none.

    Attributes:
        silent: it was asked, and did not answer.
    """

    def __init__(self, server: str) -> None:
        async def ask() -> None:
            self.silent = not await answers(server)
            self._asked = True
            if self.silent:
                log.warning("the STUN server does not answer", server=server)

        self._server = server
        self._asked = not server
        self._asking = SingleFlight(ask, "stun-check")
        self.silent = False

    @property
    def note(self) -> str:
        """One clause on what its silence means."""
        return f"WebRTC: the STUN server {self._server} does not answer, going on without it"

    async def find_out(self) -> None:
        """Ask it, unless that was done."""
        if not self._asked:
            await self._asking.run()

    async def spare(self, engine: lt.session) -> None:
        """Take a silent one away from the engine, which would wait for it."""
        await self.find_out()
        if self.silent:
            engine.apply_settings({"webtorrent_stun_server": ""})
