"""The tables, as SQLAlchemy Core describes them. Nothing in here is specific to SQLite.

The migrations create them; a test proves that both say the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware point in time, stored as UTC.

    SQLite forgets the offset, so everything is turned into UTC before it is stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a value into UTC on its way in.

        Raises:
            ValueError: it has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give a value its zone back on its way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite makes only a column of the type INTEGER its own row number, and saves an index by it.
_SEQ: Final = BigInteger().with_variant(Integer(), "sqlite")

# JSON is kept in plain text columns: a JSON column is decoded while a result is fetched, so that
# one damaged value would make the whole table unreadable.

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("position", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("source_type", Text, nullable=False),
    Column("source_urn", Text, nullable=False),
    Column("source_data", LargeBinary),
    Column("name", Text),
    Column("reason", Text),
    Column("path", Text),
    Column("moving_to", Text),
    Column("seeding", Boolean, nullable=False),
    Column("adopted", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("next_attempt_at", UtcDateTime),
    Column("progress", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("identities", Text, nullable=False),
    Column("files", Text, nullable=False),
    Column("error", Text),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("candidates", Text, nullable=False, server_default="[]"),
    Column("mirrors", Text, nullable=False, server_default="[]"),
    Column("active_source", Text),
    Column("secret", Text),
    Column("figures", Text, nullable=False, server_default="{}"),
    Column("trackers", Text, nullable=False, server_default="{}"),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("fraction", Text, nullable=False, server_default=""),
    Column("generation", Integer, nullable=False, server_default="0"),
)

# No foreign key to jobs: the changes of a removed job stay, listeners may still ask for them.
events = Table(
    "events",
    metadata,
    Column("id", _SEQ, primary_key=True, autoincrement=False),
    Column("job_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("progress", Text, nullable=False),
    Column("error", Text),
    Column("reason", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("name", Text),
    Column("labels", Text, nullable=False, server_default="{}"),
    Column("news", Text),
    Index("events_of_job", "job_id", "id"),
)

resume = Table(
    "resume",
    metadata,
    Column("key", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("saved_at", UtcDateTime, nullable=False),
)

followers = Table(
    "followers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("events", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("webhook", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("job_id", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    Index("deliveries_of_webhook", "webhook", "seq"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

RUN: Final = "run"
"""The row of `meta` that says which start of the machine the store was last opened in, and
whether it was closed since. A store that was never opened has none."""

TOTALS: Final = "totals"
"""The row of `meta` with what all jobs together moved; there is none before anything moved."""

RESERVED_SEQ: Final = "reserved_seq"
"""The row of `meta` that says up to which number changes counted as used at the last start, even
if they are not there. It always exists."""

PRUNED_SEQ: Final = "pruned_seq"
"""The row of `meta` that says up to which number changes were deleted, or lost with a damaged
database. A store that keeps all has none."""
