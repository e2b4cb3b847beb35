"""A damaged database: each tool says what is damaged, and the good rows are saved."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chilly_movies.cli import main as chilly
from chilly_movies.errors import StoreError
from chilly_movies.jobs.events import Change
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.sqlite import inspection
from chilly_movies.storage.sqlite.salvage import salvage
from chilly_movies.storage.tables import jobs as jobs_table
from lab.crash import torn
from tests.acceptance.backend import Backend
from tests.doubles import make_job
from tests.integration.test_sqlite_files import NOBODY

pytestmark = pytest.mark.timeout(120)
SPOILT = [(c.name, value) for c in jobs_table.columns for value in torn.VALUES]


@pytest.fixture
def house(tmp_path: Path) -> torn.House:
    house = torn.House(tmp_path)
    house.renew()
    return house


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Run a command: its exit code, its document, and what it complained of."""
    capsys.readouterr()
    code = chilly([str(word) for word in words])
    said = capsys.readouterr()
    return code, json.loads(said.out or "{}"), said.err


def test_a_torn_last_page_is_said_by_the_doctor_and_the_rest_is_backed_up_and_restored(
    house: torn.House, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    os.truncate(house.database, house.database.stat().st_size - 4000)
    state = ("--state-dir", house.database.parent)
    code, report, _ = told(capsys, "doctor", "--json", "--media-root", tmp_path / "media", *state)
    store = [f for f in report["findings"] if f["area"] == "store" and f["level"] == "problem"]
    assert (code, len(store)) == (1, 1)
    assert store[0]["message"].startswith("The database is damaged: ")
    assert "chilly backup" in store[0]["remedy"]

    code, report, complained = told(capsys, "backup", "all.tar.gz", "--json", *state)
    assert (code, report["jobs"], report["lostJobs"]) == (1, torn.JOBS, [])
    assert "The good rows were saved." in complained

    media = ("--media-root", tmp_path / "media")
    code, report, complained = told(
        capsys, "restore", "all.tar.gz", "--json", *media, *state, "--force"
    )
    assert (code, report["jobs"], complained) == (0, torn.JOBS, "")
    found = inspection.survey(house.database)
    assert (len(found.jobs), found.damage, found.unreadable) == (torn.JOBS, (), ())


def test_a_row_with_a_date_that_is_none_costs_this_row(
    house: torn.House, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    torn.set_value(house.database, "jobs", "updated_at", "2030-13-45 99:00:00")
    state = ("--state-dir", house.database.parent)
    _, report, _ = told(capsys, "doctor", "--json", "--media-root", tmp_path / "media", *state)
    said = [f["message"] for f in report["findings"]]
    assert "The row of job 'job-2' is damaged and left out." in said
    code, report, complained = told(capsys, "backup", "all.tar.gz", "--json", *state)
    assert (code, report["jobs"], report["lostJobs"]) == (1, torn.JOBS - 1, ["job-2"])
    assert "The rows of these jobs are damaged: job-2." in complained


def test_the_folder_of_the_films_is_known_whatever_is_damaged_in_the_first_row(
    house: torn.House,
) -> None:
    """A command that is told no media folder asks whether there are jobs."""
    with closing(sqlite3.connect(house.database)) as connection, connection:
        connection.execute("UPDATE jobs SET updated_at = '2030-13-45 99:00:00'")
    assert inspection.has_jobs(house.database)


def test_a_database_damaged_in_many_ways_is_said_and_its_good_rows_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHILLY_CONFIG", "")  # set anew by every round, and put back afterwards
    *_, account = torn.rounds(tmp_path, seed=5, count=9)
    assert account.broken == []
    assert account.saved.total() > 3


@pytest.mark.parametrize(
    ("spoil", "damage"),
    [
        ("DROP TABLE resume", "its table 'resume' is missing"),
        ("ALTER TABLE jobs DROP COLUMN error", "the column 'error' of its table 'jobs' is missing"),
        ("DROP INDEX events_of_job", "its index 'events_of_job' is missing"),
    ],
)
def test_a_part_that_is_missing_is_named(house: torn.House, spoil: str, damage: str) -> None:
    with closing(sqlite3.connect(house.database)) as connection, connection:
        connection.execute(spoil)
    assert inspection.survey(house.database).damage == (damage,)


def test_what_was_salvaged_is_as_it_was_and_for_its_owner_only(
    house: torn.House, tmp_path: Path
) -> None:
    before = inspection.survey(house.database)
    saved = salvage(house.database, tmp_path / "new.db")
    assert (saved.jobs, saved.lost, saved.resume) == (torn.JOBS, (), 0)
    assert inspection.survey(tmp_path / "new.db") == before
    assert dict(inspection.resume_data(tmp_path / "new.db")) == dict(
        inspection.resume_data(house.database)
    )
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600


def test_a_page_in_the_midst_costs_the_jobs_on_it_only(house: torn.House, tmp_path: Path) -> None:
    with closing(sqlite3.connect(house.database)) as connection:
        leaves = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'jobs' AND pagetype = 'leaf'"
        ).fetchall() if _has_dbstat(connection) else []  # fmt: skip
    if not leaves:
        pytest.skip("this SQLite does not say where its pages are")
    with house.database.open("r+b") as file:
        os.pwrite(file.fileno(), bytes(torn.PAGE), (leaves[len(leaves) // 2][0] - 1) * torn.PAGE)
    with pytest.raises(sqlite3.DatabaseError), closing(sqlite3.connect(house.database)) as plain:
        plain.execute("SELECT * FROM jobs").fetchall()
    saved = salvage(house.database, tmp_path / "new.db")
    assert torn.JOBS - 10 <= saved.jobs < torn.JOBS


def _has_dbstat(connection: sqlite3.Connection) -> bool:
    options = {row[0] for row in connection.execute("PRAGMA compile_options")}
    return "ENABLE_DBSTAT_VTAB" in options


@pytest.mark.skipif(os.geteuid() != 0, reason="steps down from root")
def test_a_database_this_user_may_not_read_is_said_so(house: torn.House) -> None:
    house.database.chmod(0o600)
    for folder in (house.folder, house.database.parent):
        folder.chmod(0o755)
    for folder in house.folder.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(StoreError, match=r"^The database cannot be read: "):
            inspection.survey(house.database)
        with pytest.raises(StoreError, match=r"^The database cannot be read: "):
            inspection.copy(house.database, house.folder / "copy.db")
    finally:
        os.seteuid(0)


@pytest.mark.anyio
async def test_a_server_begins_with_the_good_rows_whatever_is_in_the_others(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ours" / "state" / "chilly.db"
    jobs, _ = open_stores(path)
    await jobs.load()
    made = [
        replace(make_job(f"job-{n}", key=f"{n:032x}", position=n), name=f"Film {n}")
        for n in range(len(SPOILT) + 1)
    ]
    await asyncio.gather(*(jobs.add(j, Change.of(0, "queued", j)) for j in made))
    await jobs.aclose()
    values = [(column, value, f"rowid = {n}") for n, (column, value) in enumerate(SPOILT, 1)]
    torn.set_values(path, "jobs", values)
    torn.set_value(path, "meta", "value", "noon", "name = 'reserved_seq'")
    async with Backend(tmp_path / "ours", {"CHILLY_MAX_ACTIVE": "1"}, warm=True) as server:
        answer = await server.http.get("/downloads?limit=100")
        assert answer.status_code == 200
        assert (await server.job(f"job-{len(SPOILT)}"))["name"] == f"Film {len(SPOILT)}"
        assert (await server.http.get("/health")).status_code == 200
    assert "Traceback" not in server.log()
