"""Labels, further sources, secrets, kept figures, places and owners of jobs; followers."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from chilly_movies.jobs.secrets import without_user

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Jobs and events of before have no labels; nobody followed them."""
    for column in (
        sa.Column("labels", sa.Text, nullable=False, server_default="{}"),
        sa.Column("candidates", sa.Text, nullable=False, server_default="[]"),
        sa.Column("mirrors", sa.Text, nullable=False, server_default="[]"),
        sa.Column("active_source", sa.Text),
        sa.Column("secret", sa.Text),
        sa.Column("figures", sa.Text, nullable=False, server_default="{}"),
        sa.Column("trackers", sa.Text, nullable=False, server_default="{}"),
        sa.Column("owner", sa.Text),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("fraction", sa.Text, nullable=False, server_default=""),
        sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("jobs", column)
    _take_users_out_of_links()
    op.add_column("events", sa.Column("name", sa.Text))
    op.add_column("events", sa.Column("labels", sa.Text, nullable=False, server_default="{}"))
    op.add_column("events", sa.Column("news", sa.Text))
    op.create_table(
        "followers",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("webhook", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
    )
    op.create_index("deliveries_of_webhook", "deliveries", ["webhook", "seq"])


def _take_users_out_of_links() -> None:
    """User names and passwords that stood in links go to the column that holds nothing else."""
    column = sa.column
    jobs = sa.table("jobs", *map(column, ("id", "source_urn", "identities", "secret")))
    connection = op.get_bind()
    held = sa.select(jobs.c.id, jobs.c.source_urn, jobs.c.identities)
    for row in connection.execute(held.where(jobs.c.source_urn.like("%://%@%"))).all():
        link, secret = without_user(row.source_urn)
        if secret is None:
            continue
        known = {"username": secret.username, "password": secret.password}
        changed = {
            "source_urn": link,
            "identities": row.identities.replace(json.dumps(row.source_urn)[1:-1], link),
            "secret": json.dumps({"source": known}),
        }
        connection.execute(jobs.update().where(jobs.c.id == row.id).values(changed))
