"""Jobs, their changes, resume data, and a table for single values."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    _create_jobs()
    _create_events()
    op.create_table(
        "resume",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("saved_at", _TIME, nullable=False),
    )
    meta = op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.bulk_insert(meta, [{"name": "reserved_seq", "value": "0"}])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("source_type", sa.Text, nullable=False),
        sa.Column("source_urn", sa.Text, nullable=False),
        sa.Column("source_data", sa.LargeBinary),
        sa.Column("name", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("path", sa.Text),
        sa.Column("seeding", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("completed_at", _TIME),
        sa.Column("next_attempt_at", _TIME),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("identities", sa.Text, nullable=False),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("at", _TIME, nullable=False),
    )
    op.create_index("events_of_job", "events", ["job_id", "id"])
