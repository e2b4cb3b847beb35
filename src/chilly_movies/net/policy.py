"""Whom we may talk to, which way, how fast, and whether at all now: one policy for all drivers.

Bound to an interface, everything stops as soon as that is gone: what is open would otherwise go on,
and nobody would know of an address that moved to another device. It goes on when the interface is
back. The user's lists of addresses are read again when their files change.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httpx2
import structlog

from chilly_movies.errors import SourceRejected, SourceUnavailable
from chilly_movies.net import interfaces
from chilly_movies.net.addresses import is_ours, is_public
from chilly_movies.net.fetch import get, never, post
from chilly_movies.net.limiter import Rates, SpeedLimiter
from chilly_movies.net.link_answer import LinkAnswer
from chilly_movies.net.listed_addresses import ListedAddresses
from chilly_movies.net.outbound import NOT_LET, OUR_OWN, Outbound
from chilly_movies.net.peek import peek
from chilly_movies.net.settings import NetworkSettings

log = structlog.get_logger(__name__)

_TIMEOUT = httpx2.Timeout(20.0, connect=10.0)
_LONGEST_PEEK = 10.0
_POLL_SECONDS = 0.4
"""Seconds between two looks at the interface."""
_FRESH_SECONDS = 0.1
"""For so long the answer of a look holds for those who ask."""
_LIST_POLL_SECONDS = 1.0
"""Seconds between two looks at the files of the lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig(NetworkSettings):
    """The settings of the network, and what they cannot know.

    Attributes:
        own_ports: where our own API listens; nothing is ever sent there.
    """

    own_ports: set[int] = field(default_factory=set)

    @property
    def has_lists(self) -> bool:
        """Whether the user has lists of addresses."""
        return self.block_list is not None or self.allow_list is not None

    @property
    def is_forced(self) -> bool:
        """Whether nothing may go round a proxy."""
        return self.proxy is not None and self.proxy_force

    @property
    def outbound(self) -> Outbound:
        """How our own HTTP leaves this machine."""
        return Outbound(self.proxy, self.interface, self.anonymous)


class Subscriber(Protocol):
    """What has connections of its own, which the policy cannot see: an engine, say."""

    def network_changed(self) -> None:
        """Stop everything or go on, as `NetworkPolicy.halted` says now."""
        ...

    async def lists_changed(self) -> None:
        """Let the lists hold as they are now."""
        ...


class NetworkPolicy:
    """The network as the user allows it, watched while there are subscribers.

    Args:
        config: what the user set.

    Attributes:
        config: the same.
        lists: the user's lists of addresses.
        limiter: says how fast all traffic together may be.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.lists = ListedAddresses(config.block_list, config.allow_list)
        self.limiter = SpeedLimiter(Rates(config.download_limit, config.upload_limit))
        self._subscribers: list[Subscriber] = []
        self._watch: asyncio.Task[None] | None = None
        self._list_watch: asyncio.Task[None] | None = None
        self._halted: str | None = None
        self._seen: str | None = None
        self._seen_at = 0.0
        self._reading = asyncio.Lock()
        self._read_all = asyncio.Event()

    @property
    def halted(self) -> str | None:
        """One clause for why nothing is sent at the moment, None if it may be.

        It is newer than what subscribers were told: who hears of a broken connection asks for it.
        """
        if self.config.interface is None:
            return None
        now = time.monotonic()
        if self._watch is None or now - self._seen_at >= _FRESH_SECONDS:
            self._seen, self._seen_at = self._why_halted(), now
        return self._seen

    async def prepare(self) -> None:
        """Learn whom we may talk to, before anybody is.

        Raises:
            EngineError: a list of addresses cannot be read.
        """
        async with self._reading:
            await self.lists.require()

    def lets(self, address: str) -> bool:
        """Whether an address may be talked to."""
        private = self.config.allow_private_addresses
        return (private or is_public(address)) and self.lists.lets(address)

    def why_not(self, address: str, port: int) -> str | None:
        """Why an address and port may not be connected to; implements `outbound.Judge`."""
        if port in self.config.own_ports and is_ours(address):
            return OUR_OWN
        return None if self.lets(address) else NOT_LET

    def refuse_own(self, url: str) -> None:
        """Refuse a link to our own API that a proxy, which may be of this machine, would reach.

        Without a proxy each address is judged when it is connected to.

        Raises:
            SourceRejected: it is one.
        """
        if self.config.proxy is None:
            return
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname or ""
        except ValueError:
            return
        if port in self.config.own_ports and not (_is_number(host) and not is_ours(host)):
            raise SourceRejected("The link leads to this server itself.")

    def client(self) -> httpx2.AsyncClient:
        """A client that connects only to whom we may talk to. Call `prepare` before it is used.

        Lists are read again, and the interface is watched, only while there are subscribers.
        """
        outbound = self.config.outbound
        return httpx2.AsyncClient(
            timeout=_TIMEOUT,
            headers=outbound.headers,
            trust_env=False,
            transport=outbound.transport(self.why_not),
        )

    async def get(
        self,
        url: str,
        *,
        limit: int,
        what: str,
        stops: Callable[[str], bool] = never,
        headers: Mapping[str, str] | None = None,
    ) -> bytes | str:
        """What a server answers, if we may talk to it; for the arguments see `fetch.get`.

        Raises:
            EngineError: a list of addresses cannot be read.
            DownloadError: see `fetch.get`.
        """
        self.refuse_own(url)
        await self.prepare()
        async with self.client() as client:
            return await get(
                client,
                url,
                limit=limit,
                what=what,
                stops=stops,
                headers=headers,
                allow_private=self.config.allow_private_addresses,
                resolve=self.config.proxy is None,
            )

    async def peek(self, url: str, headers: Mapping[str, str] | None = None) -> LinkAnswer:
        """What the server of a link says of what is there, if we may talk to it; see `peek.peek`.

        Raises:
            SourceUnavailable: it does not answer within 10 s, or nothing may be sent at the moment.
            EngineError: a list of addresses cannot be read.
            DownloadError: see `peek.peek`.
        """
        if self.halted is not None:
            raise SourceUnavailable(f"Nothing is sent: {self.halted}.", is_ours=True)
        self.refuse_own(url)
        await self.prepare()
        try:
            async with asyncio.timeout(_LONGEST_PEEK), self.client() as client:
                return await peek(
                    client,
                    url,
                    headers=headers,
                    allow_private=self.config.allow_private_addresses,
                    resolve=self.config.proxy is None,
                )
        except TimeoutError:
            sentence = f"The link's server does not answer within {_LONGEST_PEEK:g} s."
            raise SourceUnavailable(sentence) from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Sends something to a server, if we may talk to it; the status of its answer.

        Raises:
            DownloadError: see `fetch.post`; or nothing may be sent at the moment.
        """
        if self.halted is not None:
            raise SourceUnavailable(f"Nothing is sent: {self.halted}.")
        self.refuse_own(url)
        await self.prepare()
        async with self.client() as client:
            return await post(
                client,
                url,
                body,
                headers,
                allow_private=self.config.allow_private_addresses,
                resolve=self.config.proxy is None,
            )

    def read_lists(self) -> None:
        """Read the lists of addresses again, soon and whether or not they changed."""
        self._read_all.set()

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell the subscriber of changes from now on, and watch for them; how it is now it asks."""

        async def watch() -> None:
            while True:
                await asyncio.sleep(_POLL_SECONDS)
                self._check_interface()

        if self.config.has_lists and self._list_watch is None:
            self._list_watch = asyncio.create_task(self._watch_lists(), name="list-watch")
        if self.config.interface is not None and self._watch is None:
            self._halted = None
            self._check_interface()
            self._watch = asyncio.create_task(watch(), name="interface-watch")
        self._subscribers.append(subscriber)

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        """Tell it of nothing any more; without subscribers nothing is watched. Idempotent."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        if self._subscribers:
            async with self._reading:  # it may be told of lists just now
                return
        watches = [watch for watch in (self._watch, self._list_watch) if watch is not None]
        self._watch = self._list_watch = None
        for watch in watches:
            watch.cancel()
        if watches:
            await asyncio.wait(watches)

    async def _watch_lists(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_LIST_POLL_SECONDS):
                    await self._read_all.wait()
            except TimeoutError:
                pass
            always = self._read_all.is_set()
            self._read_all.clear()
            async with self._reading:
                if await self.lists.renew(always=always):
                    for subscriber in tuple(self._subscribers):
                        if subscriber in self._subscribers:  # it may have left meanwhile
                            await subscriber.lists_changed()

    def _why_halted(self) -> str | None:
        interface = self.config.interface
        why = None if interface is None else interfaces.why_unusable(interface)
        return None if why is None else f"{why}, so nothing is sent until it is back"

    def _check_interface(self) -> None:
        why, was = self._why_halted(), self._halted
        self._halted = self._seen = why
        self._seen_at = time.monotonic()
        if why == was:
            return
        if was is None:
            log.warning("everything stops", problem=why)
        elif why is None:
            log.warning("everything goes on", interface=self.config.interface)
        for subscriber in tuple(self._subscribers):
            subscriber.network_changed()


def _is_number(host: str) -> bool:
    """Whether a host is a literal address as everybody spells it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
