"""A database that is damaged in every way, and the tools that are to say so.

Whatever happened to it, `chilly doctor`, `backup` and `restore` and a start of the store end with
a sentence, and every row that is not damaged is saved. `python -m lab.crash.torn --rounds 2000`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import secrets
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chilly_movies.cli import main as chilly
from chilly_movies.errors import ChillyError
from chilly_movies.jobs.events import Change
from chilly_movies.jobs.models import MediaFile, Status
from chilly_movies.jobs.options import Options
from chilly_movies.storage.jobs import open_stores
from tests.doubles import make_job

JOBS = 40
UNREADABLE = (sqlite3.Error, OSError, UnicodeDecodeError)
PAGE = 4096
Damage = Callable[[Path, random.Random], str]


async def make_store(path: Path) -> None:
    """A database with jobs of every status, changes and resume data."""
    jobs, resume = open_stores(path)
    await jobs.load()
    saves: list[Coroutine[Any, Any, object]] = []
    for n in range(JOBS):
        files = (MediaFile(0, f"film {n}.mkv", 1000), MediaFile(1, f"extras {n}.mkv", 10))
        job = make_job(f"job-{n}", list(Status)[n % 6], key=f"{n:032x}", position=n, files=files)
        job = replace(job, name=f"Film {n} ñ", identities=(f"btih:{n:040x}",), path=f"film {n}")
        job = replace(job, options=Options(files=(0,)), completed_at=job.created_at)
        saves.append(jobs.add(job, Change.of(0, "queued", job)))
        data = b'{"closed":false,"looks":[]}\n' + bytes([n]) * 3000
        saves.append(resume.save_resume(job.key, data))
    await asyncio.gather(*saves)
    await jobs.aclose()


# --- kinds of damage ----------------------------------------------------------------------------


def cut_bytes(path: Path, dice: random.Random) -> str:
    """So many bytes are missing at the end."""
    size = path.stat().st_size
    less = dice.choice([1, 511, 4000, PAGE - 1, dice.randrange(size), dice.randrange(size)])
    os.truncate(path, size - less)
    return f"{less} bytes less"


def cut_pages(path: Path, dice: random.Random) -> str:
    """So many pages are missing at the end."""
    size = path.stat().st_size
    less = dice.randrange(1, size // PAGE)
    os.truncate(path, size - less * PAGE)
    return f"{less} pages less"


def some_bytes(path: Path, dice: random.Random) -> str:
    """Some bytes are others."""
    where = [dice.randrange(path.stat().st_size) for _ in range(dice.choice([1, 10, 100]))]
    with path.open("r+b") as file:
        for at in where:
            os.pwrite(file.fileno(), dice.randbytes(dice.choice([1, 2, 8])), at)
    return f"{len(where)} places are others"


def a_page(path: Path, dice: random.Random) -> str:
    """A page is zero, or another page."""
    pages = path.stat().st_size // PAGE
    at, other = dice.randrange(pages), dice.randrange(pages)
    with path.open("r+b") as file:
        zero = dice.random() < 0.5
        content = bytes(PAGE) if zero else os.pread(file.fileno(), PAGE, other * PAGE)
        os.pwrite(file.fileno(), content, at * PAGE)
    return f"page {at} of {pages} is {'zero' if zero else f'page {other}'}"


VALUES: tuple[object, ...] = (
    None, -1, 10**18, 2.5, "", "noon", "2030-13-45 99:00:00", "[{", "null", "[null]", '{"a":1}',
    "x" * 10_000, b"\xff\xfe", "\ud800", "../../etc",
)  # fmt: skip


def columns_of(path: Path) -> Mapping[str, list[str]]:
    """The tables of a database with their columns."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [r[0] for r in connection.execute("SELECT name FROM sqlite_master "
                                                   "WHERE type = 'table'")]  # fmt: skip
        return {t: [r[1] for r in connection.execute(f"PRAGMA table_info({t})")] for t in tables}


def set_value(path: Path, table: str, column: str, value: object, where: str = "rowid = 3") -> None:
    """Put anything anywhere, whatever the schema says."""
    set_values(path, table, [(column, value, where)])


def set_values(path: Path, table: str, values: Sequence[tuple[str, object, str]]) -> None:
    """Put values into columns of the rows that are meant, whatever the schema says."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
    with closing(sqlite3.connect(path)) as connection, connection:
        for column, value, where in values:
            raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
            as_text = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
            with contextlib.suppress(sqlite3.IntegrityError):
                query = f"UPDATE {table} SET {column} = {as_text} WHERE {where}"
                connection.execute(query, [raw])


def a_value(path: Path, dice: random.Random) -> str:
    """One value of one row is something else."""
    tables = columns_of(path)
    table = dice.choice(["jobs"] * 6 + [*tables])
    column, value = dice.choice(tables[table]), dice.choice(VALUES)
    row = dice.choice(["rowid = 3", "rowid <= 20", "1"])
    set_value(path, table, column, value, row)
    return f"{table}.{column} is {value!r:.20} where {row}"


def a_part(path: Path, dice: random.Random) -> str:
    """A table, a column or an index is missing."""
    tables = columns_of(path)
    table = dice.choice(sorted(tables.keys() - {"jobs"}))  # without it nothing can be saved
    what = dice.choice([f"DROP TABLE {table}", "DROP INDEX events_of_job",
                        f"ALTER TABLE {table} RENAME COLUMN {dice.choice(tables[table])} TO lost",
                        f"DELETE FROM {table}"])  # fmt: skip
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(what)
    return what


def no_database(path: Path, dice: random.Random) -> str:
    """Something else lies there."""
    what = dice.choice(["nothing", "zeros", "text", "folder", "fifo", "lost", "link"])
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(path.name)
    elif what != "lost":
        path.write_bytes({"nothing": b"", "zeros": bytes(9000), "text": b"Lorem " * 999}[what])
    return f"{what} lies there"


KINDS: tuple[Damage, ...] = (
    cut_bytes, cut_pages, some_bytes, some_bytes, a_page, a_value, a_value, a_part, no_database,
)  # fmt: skip


# --- what the tools say of it -------------------------------------------------------------------


@dataclass
class Account:
    """What was seen."""

    rounds: Counter[str] = field(default_factory=Counter)
    saved: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class House:
    """One installation, whose database is damaged again and again.

    Args:
        folder: everything lies below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "state" / "chilly.db"
        self._sound = folder / "sound.db"
        self.account = Account()
        self._last = ""
        asyncio.run(make_store(self._sound))

    def renew(self) -> None:
        """A sound database, and nothing of the round before."""
        for name in ("state", "new", "media"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        (self.folder / "all.tar.gz").unlink(missing_ok=True)
        shutil.copy(self._sound, self.database)

    def check(self, what: str) -> None:
        """Run every tool on what is there, and note what is not as it should be."""
        media = ["--media-root", str(self.folder / "media")]
        state, new = str(self.folder / "state"), str(self.folder / "new")
        archive = str(self.folder / "all.tar.gz")
        readable = self._readable()
        self._run(what, "doctor", "--json", *media, "--state-dir", state)
        code = self._run(what, "backup", archive, "--json", "--state-dir", state)
        if code is not None and Path(archive).exists():
            back = self._run(what, "restore", archive, *media, "--state-dir", new)
            kept = self._loaded(what, Path(new, "chilly.db"))
            if kept is None or not readable <= kept:
                self._broken(what, f"restored {kept} of {readable}, exit {back}")
            elif readable:
                self.account.saved[f"{len(readable)} jobs"] += 1
        elif readable:
            self._broken(what, f"{len(readable)} good rows were not saved: {self._last}")
        self._loaded(what, self.database)

    def _readable(self) -> set[str]:
        """The jobs plain SQLite finds, and finds as they were made."""
        found: set[bytes] = set()
        with closing(sqlite3.connect(self._sound)) as sound:
            sound.text_factory = bytes
            right = {row[0]: row for row in sound.execute("SELECT * FROM jobs")}
        for order in ("ASC", "DESC"):
            with contextlib.suppress(*UNREADABLE), closing(self._plain()) as there:
                there.text_factory = bytes
                query = f"SELECT * FROM jobs NOT INDEXED ORDER BY rowid {order}"
                for row in there.execute(query):
                    found |= {row[0]} if right.get(row[0]) == row else set()
        return {name.decode() for name in found}

    def _plain(self) -> sqlite3.Connection:
        if not self.database.is_file():
            raise FileNotFoundError
        return sqlite3.connect(f"file:{self.database}?mode=ro&immutable=1", uri=True)

    def _run(self, what: str, *words: str) -> int | None:
        said, complained = io.StringIO(), io.StringIO()
        (self.folder / "chilly.toml").touch()
        os.environ["CHILLY_CONFIG"] = str(self.folder / "chilly.toml")
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
                code = chilly(words)
        except Exception:  # noqa: BLE001 (whatever it is, it is what is looked for)
            self._broken(what, f"{words[0]}: {traceback.format_exc()[-1500:]}")
            return None
        told = self._last = complained.getvalue().strip()
        if code and words[0] != "doctor" and not told.endswith("."):
            self._broken(what, f"{words[0]} ended with {code} and said: {told!r}")
        if words[0] == "doctor" and not json.loads(said.getvalue())["findings"]:
            self._broken(what, "doctor found nothing at all")
        return code

    def _loaded(self, what: str, path: Path) -> set[str] | None:
        """The jobs a server would begin with."""

        async def load() -> set[str]:
            jobs, resume = open_stores(path)
            try:
                loaded = await jobs.load()
                for job in loaded.jobs:
                    with contextlib.suppress(ChillyError):
                        await resume.load_resume(job.key)
                return {job.id for job in loaded.jobs}
            finally:
                await jobs.aclose()

        try:
            return asyncio.run(load())
        except ChillyError as error:
            if not str(error).endswith("."):
                self._broken(what, f"a start said: {error}")
        except Exception:  # noqa: BLE001 (whatever it is, it is what is looked for)
            self._broken(what, f"a start: {traceback.format_exc()[-1500:]}")
        return None

    def _broken(self, what: str, sentence: str) -> None:
        self.account.broken.append(f"{what}: {sentence}")


def rounds(folder: Path, seed: int, count: int) -> Iterator[Account]:
    """Damage and look, so many times."""
    house, dice = House(folder), random.Random(seed)
    for n in range(count):
        kind = KINDS[n % len(KINDS)]
        house.renew()
        what = kind(house.database, dice)
        house.account.rounds[kind.__name__] += 1
        house.check(f"round {n}, {kind.__name__}, {what}")
        yield house.account


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Damage databases and ask the tools.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None)
    wanted = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    account = Account()
    with tempfile.TemporaryDirectory(prefix="chilly-torn-") as folder:
        for account in rounds(Path(folder), seed, wanted.rounds):
            if len(account.broken) > 20:
                break
    sys.stdout.write(f"seed {seed}: {sum(account.rounds.values())} rounds {dict(account.rounds)}, "
                     f"{sum(account.saved.values())} times the good rows were saved, "
                     f"{len(account.broken)} broken\n")  # fmt: skip
    sys.stdout.write("\n".join(account.broken) + "\n")
    return min(1, len(account.broken))


if __name__ == "__main__":
    sys.exit(main())
