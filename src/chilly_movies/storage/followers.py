"""How far each follower is, in the database of the jobs."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Connection,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)

from chilly_movies.storage.sqlite.database import Database
from chilly_movies.storage.tables import PRUNED_SEQ, events, followers, meta

KEPT_EVENTS: Final = 100_000
"""How many changes outlive a start that no follower needs; older ones cannot be replayed."""
_HEARD_OF: Final = timedelta(days=30)
"""How long after its last report a follower is waited for."""
_FARTHEST: Final = 1_000_000
"""How many changes behind a follower may be."""

_CHANGE: Final = (
    update(followers)
    .where(followers.c.name == bindparam("which"))
    .values(seq=bindparam("seq"), reported_at=bindparam("reported_at"))
)
_ADD: Final = insert(followers)
_PRUNED: Final = select(meta.c.value).where(meta.c.name == PRUNED_SEQ)


class SqliteCursors:
    """The `Cursors` of a database that somebody else opens and closes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, name: str, seq: int) -> None:
        """See `ports.Cursors`.

        Raises:
            StoreError: it is not noted.
        """
        row = {"name": name, "seq": seq, "reported_at": datetime.now(UTC)}

        def note(connection: Connection) -> None:
            if not connection.execute(_CHANGE, row | {"which": name}).rowcount:
                connection.execute(_ADD, row)

        await self._database.call(note)

    async def forget(self, name: str) -> None:
        """See `ports.Cursors`.

        Raises:
            StoreError: it is still noted.
        """
        statement = delete(followers).where(followers.c.name == name)
        await self._database.call(lambda connection: connection.execute(statement).close())

    async def keeps_all_after(self, seq: int) -> bool:
        """See `ports.Cursors`.

        Raises:
            StoreError: the database cannot be read.
        """
        pruned = await self._database.call(lambda connection: connection.scalar(_PRUNED))
        with suppress(ValueError, TypeError):
            return seq >= int(pruned or 0)
        return False  # what the database says is damaged


def prune(connection: Connection) -> None:
    """Delete changes that nobody needs: not the newest ones, nor what followers still have to do.

    A follower that was not heard of for long, or that is too far behind, is not waited for.
    """
    newest = int(connection.scalar(select(func.max(events.c.id))) or 0)
    order = select(events.c.id).order_by(events.c.id.desc())
    last = connection.scalar(order.offset(KEPT_EVENTS).limit(1))
    if last is None:
        return
    cursor = cast(followers.c.seq, BigInteger)
    oldest = select(func.min(cursor)).where(
        followers.c.reported_at > datetime.now(UTC) - _HEARD_OF, cursor >= newest - _FARTHEST
    )
    needed = connection.scalar(oldest)
    last = last if needed is None else min(last, needed)
    if connection.execute(delete(events).where(events.c.id <= last)).rowcount:
        connection.execute(delete(meta).where(meta.c.name == PRUNED_SEQ))
        connection.execute(insert(meta).values(name=PRUNED_SEQ, value=str(last)))
