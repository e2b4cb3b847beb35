"""All stores of one database file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from chilly_movies.jobs.ports import Cursors, JobStore, ResumeStore
from chilly_movies.notices.ports import WebhookStore
from chilly_movies.storage.followers import SqliteCursors
from chilly_movies.storage.jobs import SqliteJobStore, SqliteResumeStore
from chilly_movies.storage.memory import MemoryWebhookStore
from chilly_movies.storage.notices import SqliteWebhookStore
from chilly_movies.storage.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a server keeps what it knows.

    Attributes:
        jobs: jobs and their changes.
        resume: what drivers need to go on.
        cursors: how far followers are; None = the store of jobs keeps all changes.
        webhooks: webhooks and their deliveries.
    """

    jobs: JobStore
    resume: ResumeStore
    cursors: Cursors | None = None
    webhooks: WebhookStore = field(default_factory=MemoryWebhookStore)


def open_all(path: Path) -> Stores:
    """All stores of one file. Loading the store of jobs opens the file, closing it closes it.

    Args:
        path: the file; it and its folder are created if they are missing.
    """
    database = Database(path)
    return Stores(
        SqliteJobStore(database),
        SqliteResumeStore(database),
        SqliteCursors(database),
        SqliteWebhookStore(database),
    )
