"""Whether a job's data was there before the job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No job of before was adopted."""
    op.add_column(
        "jobs", sa.Column("adopted", sa.Boolean, nullable=False, server_default=sa.false())
    )
