"""Where a finished film is on its way to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No film of before was on its way."""
    op.add_column("jobs", sa.Column("moving_to", sa.Text))
