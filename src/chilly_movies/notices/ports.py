"""What notices ask of the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from chilly_movies.notices.models import Delivery, Webhook

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]
"""Sends a body with header fields to an address that is judged, and returns the answer's status.

Raises `DownloadError` if there is no answer, or the address is none we may talk to.
"""

KEPT_DELIVERIES: Final = 50
"""How many deliveries of a webhook are remembered."""


class WebhookStore(Protocol):
    """Keeps webhooks and what became of their last deliveries.

    All methods raise `StoreError` when the store cannot do it.
    """

    async def load(self) -> Sequence[Webhook]:
        """All of them, oldest first."""
        ...

    async def add(self, webhook: Webhook) -> None:
        """Keep a new one."""
        ...

    async def remove(self, webhook_id: str) -> None:
        """Forget one with its deliveries, if it is there."""
        ...

    async def note(self, webhook_id: str, seq: int, delivery: Delivery | None = None) -> None:
        """Keep how far a webhook is and how a delivery went, in one transaction."""
        ...

    async def deliveries(self, webhook_id: str) -> Sequence[Delivery]:
        """The last ones, newest first, at most `KEPT_DELIVERIES`."""
        ...
