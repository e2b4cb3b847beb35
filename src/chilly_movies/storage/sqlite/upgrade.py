"""Brings a database to the newest schema, or refuses it."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
)

from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.storage.sqlite.faults import lenient


@dataclass(frozen=True, slots=True)
class Schema:
    """The form of one kind of database, and how an older form becomes it.

    Attributes:
        folder: of the migrations.
        newest: the revision of the newest migration.
    """

    folder: Path
    newest: str


JOBS: Final = Schema(Path(__file__).parents[1] / "migrations", "0004")
"""The database of jobs."""

_REVISION: Final = re.compile(r"[0-9]{4}")
_VERSION: Final = Table("alembic_version", MetaData(), Column("version_num", Text))
_ALEMBIC_IS_GLOBAL: Final = Lock()  # the context that env.py imports exists once per process

# Alembic is imported where it is needed: a start with a database that is up to date, which is
# nearly every start, does without its weight.


def refuse_unknown(path: Path, schema: Schema = JOBS) -> None:
    """Look at a database file without changing a byte of it.

    Args:
        path: the file; one that is missing or empty is fine.
        schema: the form it has to have, or to have had.

    Raises:
        StoreFromTheFuture: its schema is none of ours.
        StoreError: it belongs to another program.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    with reading(path).connect() as connection:
        revisions = revisions_of(connection)
        is_empty = not inspect(connection).get_table_names()
    if any(not _REVISION.fullmatch(str(revision)) for revision in revisions):
        raise StoreError("The database is damaged: it does not say which form it has.")
    if revisions - {schema.newest}:
        from alembic.script import ScriptDirectory

        known = {script.revision for script in ScriptDirectory(schema.folder).walk_revisions()}
        if revisions - known:
            raise StoreFromTheFuture(
                "The database was written by a newer version of Chilly Movies: start that "
                "version, or choose another database file."
            )
    if not revisions and not is_empty:
        raise StoreError("The database file belongs to another program.")


def upgrade(connection: Connection, schema: Schema = JOBS) -> None:
    """Run the migrations that are missing, all or none.

    Args:
        connection: without a transaction.
        schema: the form it is to have.
    """
    with connection.begin():
        if revisions_of(connection) == {schema.newest}:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        # The value goes through configparser, which gives `%` a meaning.
        config.set_main_option("script_location", str(schema.folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        with _ALEMBIC_IS_GLOBAL:
            command.upgrade(config, schema.newest)


def read_only(path: Path) -> URL:
    """The address under which SQLite reads a file and leaves it as it is.

    A connection that may write folds an old log into the file when it closes. One that may not
    still leaves an index of the log behind, unless it is told that nothing can change; but then
    it would ignore a log.
    """
    query = {"mode": "ro", "uri": "true"}
    if not path.with_name(f"{path.name}-wal").exists():
        query["immutable"] = "1"
    return URL.create("sqlite", database=path.absolute().as_uri(), query=query)


def reading(path: Path) -> Engine:
    """An engine whose connections read a file and leave it as it is."""
    engine = create_engine(read_only(path), poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.text_factory = lenient

    return engine


def revisions_of(connection: Connection) -> set[str]:
    """What the database says of its schema."""
    if not inspect(connection).has_table(_VERSION.name):
        return set()
    return set(connection.scalars(select(_VERSION.c.version_num)))
