"""What the database of a stopped server says, read without our code and without touching it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import libtorrent as lt


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A row of the table of jobs."""

    id: str
    key: str
    status: str
    path: str | None
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of the table of events."""

    seq: int
    job_id: str
    event: str
    status: str


@dataclass(frozen=True, slots=True)
class Stored:
    """All that matters of a database."""

    integrity: str
    jobs: dict[str, StoredJob] = field(default_factory=dict)
    events: tuple[StoredEvent, ...] = ()
    have: dict[str, frozenset[int]] = field(default_factory=dict)
    """By job key: the pieces that its resume data claims."""


def read(state: Path, *, after: int = 0, resume: bool = False) -> Stored:
    """Reads a copy of the database, so that its log is recovered there and not in the original.

    Args:
        state: the state folder.
        after: only events with higher numbers.
        resume: decode resume data, too.
    """
    with tempfile.TemporaryDirectory(prefix="chilly-db-") as folder:
        for name in ("chilly.db", "chilly.db-wal"):
            if (state / name).exists():
                shutil.copyfile(state / name, Path(folder) / name)
        if not (Path(folder) / "chilly.db").exists():
            return Stored("ok")
        with closing(sqlite3.connect(Path(folder) / "chilly.db")) as database:
            database.row_factory = sqlite3.Row
            return _read(database, after, resume=resume)


def _read(database: sqlite3.Connection, after: int, *, resume: bool) -> Stored:
    integrity = str(database.execute("PRAGMA integrity_check").fetchone()[0])
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    if "jobs" not in tables:
        return Stored(integrity)
    jobs = {
        row["id"]: StoredJob(
            row["id"], row["key"], row["status"], row["path"], tuple(json.loads(row["identities"]))
        )
        for row in database.execute("SELECT * FROM jobs")
    }
    events = tuple(
        StoredEvent(row["id"], row["job_id"], row["event"], row["status"])
        for row in database.execute("SELECT * FROM events WHERE id > ? ORDER BY id", (after,))
    )
    have = {}
    if resume:
        for row in database.execute("SELECT key, data FROM resume"):
            have[row["key"]] = claimed(row["data"])
    return Stored(integrity, jobs, events, have)


def claimed(resume: bytes) -> frozenset[int]:
    """The pieces that resume data of the engine says are on the disk."""
    if not resume.startswith(b"d"):  # a line of ours comes before what the engine wrote
        resume = resume.partition(b"\n")[2]
    have = lt.read_resume_data(resume).have_pieces
    return frozenset(number for number, there in enumerate(have) if there)
