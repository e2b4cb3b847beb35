"""Webhooks: every stored change is sent to the addresses that want it, in order, until it arrives.

Each webhook is a follower of its own, so that a receiver that is away holds up no other.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from chilly_movies.errors import (
    DownloadError,
    InvalidRequest,
    SourceUnavailable,
    WebhookNotFound,
)
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.jobs.events import EVENT_NAMES, NEWS, Change
from chilly_movies.jobs.follower import PAUSES
from chilly_movies.jobs.models import Job
from chilly_movies.jobs.retry import RetryPolicy
from chilly_movies.notices.models import Delivery, Webhook
from chilly_movies.notices.ports import Post, WebhookStore
from chilly_movies.notices.signing import check_secret, signed
from chilly_movies.runtime.clocks import utc_now

STORED_EVENTS: Final = tuple(name for name in EVENT_NAMES if name not in NEWS)
"""Names of the events that a webhook can want."""
MOST: Final = 20
"""How many webhooks there may be."""
MAX_ADDRESS: Final = 2048
RESYNC: Final = "resync"
"""The event that tells a receiver to read all jobs: what it missed is not kept any more."""

Encode = Callable[[Change], Mapping[str, Any]]
"""Makes the JSON object of a change that event streams show."""


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """What webhooks are made of.

    Attributes:
        store: where they are kept.
        post: the way to their receivers.
        pauses: the waits between tries of one delivery.
    """

    store: WebhookStore
    post: Post
    pauses: RetryPolicy = PAUSES


class Webhooks:
    """The webhooks of one downloader.

    Args:
        parts: what they are made of.
        downloader: whose changes they are told.
        encode: what a change looks like in a delivery.
    """

    def __init__(self, parts: WebhookParts, downloader: Downloader, encode: Encode) -> None:
        self._parts = parts
        self._downloader = downloader
        self._encode = encode
        self._hooks: dict[str, _Hook] = {}
        self._changing = asyncio.Lock()
        self._is_begun = False

    async def begin(self) -> None:
        """Go on with the deliveries. Every verb calls it. Idempotent."""
        async with self._changing:
            if self._is_begun:
                return
            await self._downloader.open()
            for webhook in await self._parts.store.load():
                self._follow(webhook)
            self._is_begun = True

    def _follow(self, webhook: Webhook) -> None:
        hook = self._hooks[webhook.id] = _Hook(webhook, self._parts, self._encode)
        self._downloader.followers.begin(hook.name, hook, self._parts.pauses)

    async def add(self, address: str, events: Sequence[str], secret: str) -> Webhook:
        """Tell an address of every change from now on.

        Args:
            address: an http or https URL without a user name.
            events: which of `STORED_EVENTS`; none = all.
            secret: what the deliveries are signed with; at least 16 characters.

        Raises:
            InvalidRequest: a value has the wrong form, or there are too many webhooks.
        """
        await self.begin()
        if unknown := set(events) - set(STORED_EVENTS):
            known = ", ".join(STORED_EVENTS)
            raise InvalidRequest(
                f"There is no event '{min(unknown)[:40]}'; there is: {known}.", field="events"
            )
        async with self._changing:
            if len(self._hooks) >= MOST:
                raise InvalidRequest(f"There are {MOST} webhooks already: remove one first.")
            webhook = Webhook(
                id=uuid.uuid4().hex,
                address=_check_address(address),
                events=tuple(dict.fromkeys(events)),
                secret=check_secret(secret),
                created_at=utc_now(),
                seq=self._downloader.last_seq,
            )
            await self._parts.store.add(webhook)
            self._follow(webhook)
        return webhook

    async def list(self) -> Sequence[Webhook]:
        """All of them, oldest first."""
        await self.begin()
        return [hook.webhook for hook in self._hooks.values()]

    async def get(self, webhook_id: str) -> tuple[Webhook, Sequence[Delivery]]:
        """One, with its last deliveries, newest first.

        Raises:
            WebhookNotFound: there is none with this id.
        """
        await self.begin()
        webhook = self._known(webhook_id).webhook
        return webhook, await self._parts.store.deliveries(webhook_id)

    async def remove(self, webhook_id: str) -> None:
        """Tell it nothing any more.

        Raises:
            WebhookNotFound: there is none with this id.
        """
        await self.begin()
        async with self._changing:
            hook = self._known(webhook_id)
            await self._parts.store.remove(webhook_id)
            del self._hooks[webhook_id]
            await self._downloader.followers.end(hook.name)

    def _known(self, webhook_id: str) -> _Hook:
        try:
            return self._hooks[webhook_id]
        except KeyError:
            raise WebhookNotFound(f"There is no webhook '{webhook_id[:64]}'.") from None


class _Hook:
    """The `Work` of one webhook."""

    def __init__(self, webhook: Webhook, parts: WebhookParts, encode: Encode) -> None:
        self.webhook = webhook
        self._store, self._post = parts.store, parts.post
        self._encode = encode
        self._tried: tuple[str, int] = ("", 0)

    @property
    def name(self) -> str:
        """What its follower is called."""
        return f"webhook-{self.webhook.id}"

    async def cursor(self) -> int:
        """See `Work`."""
        return self.webhook.seq

    async def handle(self, changes: Sequence[Change]) -> None:
        """See `Work`."""
        for change in changes:
            if not self.webhook.events or change.event in self.webhook.events:
                await self._deliver(change.seq, change.id, self._encode(change))
        last = changes[-1].seq
        if self.webhook.seq < last:
            await self._store.note(self.webhook.id, last)
            self.webhook = replace(self.webhook, seq=last)

    async def resync(self, jobs: Sequence[Job], seq: int) -> None:
        """See `Work`."""
        await self._deliver(seq, None, {"seq": seq, "event": RESYNC})

    async def _deliver(self, seq: int, job_id: str | None, event: Mapping[str, Any]) -> None:
        """Send one change, and note it with the cursor if it arrived.

        Raises:
            SourceUnavailable: it did not arrive.
        """
        delivery_id = f"{self.webhook.id}-{event['event']}-{seq}"
        body = json.dumps(
            {"deliveryId": delivery_id, "event": event}, separators=(",", ":"), ensure_ascii=False
        ).encode()
        now = utc_now()
        tried = self._tried[1] if self._tried[0] == delivery_id else 0
        self._tried = (delivery_id, tried + 1)
        status, problem = await self._send(delivery_id, int(now.timestamp()), body)
        delivery = Delivery(
            delivery_id, seq, str(event["event"]), job_id, now, tried + 1, status, problem
        )
        reached = self.webhook.seq if problem else seq
        await self._store.note(self.webhook.id, reached, delivery)
        self.webhook = replace(self.webhook, seq=reached)
        if problem:
            raise SourceUnavailable(problem)

    async def _send(self, delivery_id: str, at: int, body: bytes) -> tuple[int | None, str | None]:
        """The status of the answer, and why the delivery did not arrive."""
        head = signed(self.webhook.secret, delivery_id, at, body)
        try:
            status = await self._post(
                self.webhook.address, body, {"content-type": "application/json", **head}
            )
        except DownloadError as error:
            return None, str(error)
        arrived = 200 <= status < 300
        return status, None if arrived else f"The receiver answered {status}."


def _check_address(address: str) -> str:
    """The address, if deliveries can go there; whether it may be talked to is judged then.

    Raises:
        InvalidRequest: it cannot be one.
    """
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(address) > MAX_ADDRESS or not address.isascii() or " " in address:
        raise InvalidRequest(
            "The address must be a link that begins with http:// or https://.", field="address"
        )
    if "@" in parts.netloc:
        raise InvalidRequest(
            "The address is shown to everyone with an admin key: leave user name and password out.",
            field="address",
        )
    return address
