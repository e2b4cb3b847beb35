"""Webhooks and their deliveries, in the database of the jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from chilly_movies.notices.models import Delivery, Webhook
from chilly_movies.notices.ports import KEPT_DELIVERIES
from chilly_movies.storage import rows
from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import deliveries, webhooks

_MOVE: Final = (
    update(webhooks).where(webhooks.c.id == bindparam("which")).values(seq=bindparam("seq"))
)
_DROP: Final = delete(deliveries).where(
    deliveries.c.webhook == bindparam("webhook"), deliveries.c.id == bindparam("which")
)
_ADD: Final = insert(deliveries)
_PRUNE: Final = delete(deliveries).where(
    deliveries.c.webhook == bindparam("webhook"),
    deliveries.c.seq
    < select(deliveries.c.seq)
    .where(deliveries.c.webhook == bindparam("webhook"))
    .order_by(deliveries.c.seq.desc())
    .offset(KEPT_DELIVERIES - 1)
    .limit(1)
    .scalar_subquery(),
)


class SqliteWebhookStore:
    """A `WebhookStore` in a database that somebody else opens and closes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[Webhook]:
        """See `WebhookStore`. A row that cannot be read is left out and logged."""
        query = select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)
        return await self._database.call(
            lambda connection: list(rows.readable(connection.execute(query), rows.webhook_from_row))
        )

    async def add(self, webhook: Webhook) -> None:
        """See `WebhookStore`."""
        row = {
            "id": webhook.id,
            "address": webhook.address,
            "events": json.dumps(webhook.events),
            "secret": webhook.secret,
            "created_at": webhook.created_at,
            "seq": webhook.seq,
        }
        await self._run(lambda connection: connection.execute(insert(webhooks), row).close())

    async def remove(self, webhook_id: str) -> None:
        """See `WebhookStore`."""

        def forget(connection: Connection) -> None:
            connection.execute(delete(deliveries).where(deliveries.c.webhook == webhook_id))
            connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))

        await self._run(forget)

    async def note(self, webhook_id: str, seq: int, delivery: Delivery | None = None) -> None:
        """See `WebhookStore`."""

        def note(connection: Connection) -> None:
            moved = connection.execute(_MOVE, {"which": webhook_id, "seq": seq}).rowcount
            if delivery is not None and moved:
                row = rows.delivery_to_row(webhook_id, delivery)
                connection.execute(_DROP, {"webhook": webhook_id, "which": delivery.id})
                connection.execute(_ADD, row)
                connection.execute(_PRUNE, {"webhook": webhook_id})

        await self._run(note)

    async def deliveries(self, webhook_id: str) -> Sequence[Delivery]:
        """See `WebhookStore`. A row that cannot be read is left out and logged."""
        query = (
            select(deliveries)
            .where(deliveries.c.webhook == webhook_id)
            .order_by(deliveries.c.seq.desc())
        )
        return await self._database.call(
            lambda connection: list(
                rows.readable(connection.execute(query), rows.delivery_from_row)
            )
        )

    async def _run(self, work: Callable[[Connection], None]) -> None:
        await self._database.call(work)
