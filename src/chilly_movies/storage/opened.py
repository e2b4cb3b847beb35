"""All stores of one database file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from chilly_movies.jobs.ports import Cursors, JobStore, ResumeStore
from chilly_movies.net.limits import SettingStore
from chilly_movies.notices.ports import WebhookStore
from chilly_movies.storage.followers import SqliteCursors
from chilly_movies.storage.jobs import SqliteJobStore, SqliteResumeStore
from chilly_movies.storage.memory import MemoryWebhookStore
from chilly_movies.storage.notices import SqliteWebhookStore
from chilly_movies.storage.setting_store import SqliteSettingStore
from chilly_movies.storage.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a server keeps what it knows.

    Attributes:
        jobs: jobs and their changes.
        resume: what drivers need to go on.
        cursors: how far followers are; None = the store of jobs keeps all changes.
        webhooks: webhooks and their deliveries.
        settings: what is set while the server runs; None = it is forgotten at the end.
    """

    jobs: JobStore
    resume: ResumeStore
    cursors: Cursors | None = None
    webhooks: WebhookStore = field(default_factory=MemoryWebhookStore)
    settings: SettingStore | None = None


def open_all(path: Path) -> Stores:
    """All stores of one file, which loading jobs or settings opens.

    Closing the store of jobs closes the file; the others have nothing to close.

    Args:
        path: the file; it and its folder are created if they are missing.
    """
    database = Database(path)
    return Stores(
        jobs=SqliteJobStore(database),
        resume=SqliteResumeStore(database),
        cursors=SqliteCursors(database),
        webhooks=SqliteWebhookStore(database),
        settings=SqliteSettingStore(database),
    )
