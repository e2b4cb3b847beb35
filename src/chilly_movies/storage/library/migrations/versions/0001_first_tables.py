"""Items, the words they are found by, how far they were watched, and filings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    _create_items()
    _create_words()
    _create_watching()
    op.create_table(
        "filings",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _create_items() -> None:
    """What items are listed by; all of each is in its body, as JSON, apart to keep these short.

    An index for each order, with what is asked of items beside it: a list reads nothing else.
    """
    op.create_table(
        "items",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("year", sa.Integer),
        sa.Column("rating", sa.Float),
        sa.Column("ref", sa.Text),
        sa.Column("main", sa.Text, nullable=False),
    )
    asked = ("kind", "state", "favourite")
    op.create_index("items_by_title", "items", ["title", "id", *asked, "year"])
    op.create_index("items_by_age", "items", ["added_at", "id", *asked, "year"])
    op.create_index("items_by_year", "items", ["year", "title", "id", *asked])
    op.create_index("items_by_rating", "items", ["rating", "title", "id", *asked, "year"])
    op.create_index("items_by_ref", "items", ["ref"])
    op.create_table(
        "bodies",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    for name, column in (("genres", "genre"), ("item_jobs", "job_id")):
        op.create_table(
            name,
            sa.Column(column, sa.Text, nullable=False),
            sa.Column("number", sa.Integer, nullable=False),
            sa.PrimaryKeyConstraint(column, "number"),
            sqlite_with_rowid=False,
        )
        op.create_index(f"{name}_of_item", name, ["number"])


def _create_words() -> None:
    """Texts by their words and beginnings of words, and words by three letters in a row."""
    op.execute(
        "CREATE VIRTUAL TABLE texts USING fts5(title, original, others, prefix = '1 2 3',"
        """ tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co'")"""
    )
    op.create_table(
        "words",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("word", sa.Text, nullable=False, unique=True),
    )
    op.execute(
        "CREATE VIRTUAL TABLE word_parts USING fts5(word, content = '', detail = none,"
        " tokenize = 'trigram')"
    )


def _create_watching() -> None:
    """Positions, and for each viewer and item when it was watched last and whether all of it."""
    op.create_table(
        "positions",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("viewer", sa.Text, nullable=False),
        sa.Column("file_index", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("seen", sa.Boolean, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", "viewer", "file_index"),
        sqlite_with_rowid=False,
    )
    op.create_index("positions_of_viewer", "positions", ["viewer", "seen", "at"])
    op.create_table(
        "viewings",
        sa.Column("viewer", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("viewer", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("viewings_by_time", "viewings", ["viewer", "last"])
