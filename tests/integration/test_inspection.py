"""Looking at a database from outside: what is told, what is copied, what is never changed."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from chilly_movies.errors import StoreError, StoreFromTheFuture
from chilly_movies.storage.jobs import open_stores
from chilly_movies.storage.sqlite import inspection
from chilly_movies.storage.sqlite.upgrade import JOBS
from tests.integration.sqlite_tools import assert_is_plain, folder_bytes, make_job, record

pytestmark = pytest.mark.anyio

ODD = "100% what? #1; ñ.db"
"""A name with everything that has a meaning in addresses."""


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A closed database with two jobs, the later one first in the queue, and resume data."""
    path = tmp_path / "state" / ODD
    jobs, resume = open_stores(path)
    await jobs.load()
    await record(jobs, 1, make_job("a", 2))
    await record(jobs, 2, make_job("b", 1))
    await resume.save_resume("key-a", b"12345")
    await resume.save_resume("key-b", b"\x00\xff")
    await jobs.aclose()
    return path


def change(path: Path, *statements: str) -> None:
    """Do to a database what only others do."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)


# --- survey ---------------------------------------------------------------------------------


async def test_a_survey_tells_what_there_is_and_changes_nothing(path: Path) -> None:
    before = folder_bytes(path.parent)
    found = inspection.survey(path)
    assert found == inspection.Survey(
        revision=JOBS.newest,
        is_newest=True,
        damage=(),
        jobs=(make_job("b", 1), make_job("a", 2)),
        unreadable=(),
        resume={"key-a": 5, "key-b": 2},
    )
    assert folder_bytes(path.parent) == before


async def test_a_survey_sees_what_a_running_server_has_just_written(path: Path) -> None:
    jobs, _ = open_stores(path)
    await jobs.load()
    await record(jobs, 3, make_job("c", 3))
    assert [job.id for job in inspection.survey(path).jobs] == ["b", "a", "c"]
    await record(jobs, 4, make_job("d", 4))
    await jobs.aclose()
    assert len(inspection.survey(path).jobs) == 4


async def test_a_survey_names_the_jobs_that_cannot_be_read_and_reads_the_others(path: Path) -> None:
    change(path, "UPDATE jobs SET status = 'lost' WHERE id = 'b'")
    found = inspection.survey(path)
    assert (found.jobs, found.unreadable) == ((make_job("a", 2),), ("b",))
    change(path, "UPDATE jobs SET progress = 7 WHERE id = 'a'")
    assert sorted(inspection.survey(path).unreadable) == ["a", "b"]


async def test_a_survey_of_an_older_form_tells_its_revision_only(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = '0001'")
    found = inspection.survey(path)
    assert (found.revision, found.is_newest) == ("0001", False)
    assert (found.jobs, found.unreadable, found.resume) == ((), (), {})


async def test_a_survey_of_an_empty_file_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    found = inspection.survey(tmp_path / "empty.db")
    assert found == inspection.Survey("", False, (), (), (), {})


async def test_a_survey_lists_damage_line_by_line_up_to_a_limit(path: Path) -> None:
    jobs, _ = open_stores(path)
    await jobs.load()
    for number in range(3, 30):
        await record(jobs, number, make_job(f"more-{number}", number))
    await jobs.aclose()
    # the schema now says that a job must have a reason; none has
    must = "replace(sql, 'reason TEXT', 'reason TEXT NOT NULL')"
    change(path, f"UPDATE sqlite_master SET sql = {must} WHERE name = 'jobs'")
    found = inspection.survey(path)
    assert all(line.startswith("NULL value in jobs.") for line in found.damage)
    assert (len(found.damage), len(found.jobs)) == (20, 29)


# --- resume data ----------------------------------------------------------------------------


async def test_resume_data_comes_by_key_and_byte_for_byte(path: Path) -> None:
    assert dict(inspection.resume_data(path)) == {"key-a": b"12345", "key-b": b"\x00\xff"}


async def test_resume_data_that_somebody_stored_as_text_is_bytes_all_the_same(path: Path) -> None:
    change(path, "UPDATE resume SET data = 'ñ' WHERE key = 'key-b'")
    assert dict(inspection.resume_data(path)) == {"key-a": b"12345", "key-b": "ñ".encode()}


# --- copies ---------------------------------------------------------------------------------


async def test_a_copy_holds_what_is_in_the_log_too_and_is_one_file_of_its_owner(
    path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copies" / ODD
    target.parent.mkdir()
    jobs, _ = open_stores(path)
    await jobs.load()
    await record(jobs, 3, make_job("c", 3))
    mask = os.umask(0)
    try:
        inspection.copy(path, target)
    finally:
        os.umask(mask)
    await jobs.aclose()
    assert [file.name for file in target.parent.iterdir()] == [ODD]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes()[18:20] == b"\x01\x01", "a log is expected beside it"
    assert inspection.survey(target) == inspection.survey(path)


async def test_a_copy_never_replaces_a_file(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    for mine in (b"mine", b"", path.read_bytes()):
        target.write_bytes(mine)
        with pytest.raises(StoreError) as caught:
            inspection.copy(path, target)
        assert_is_plain(caught.value, path)
        assert target.read_bytes() == mine


# --- distrust -------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["closed", "never opened"])
async def test_a_distrusted_database_reads_as_after_a_power_cut(path: Path, before: str) -> None:
    if before == "never opened":
        change(path, "DELETE FROM meta WHERE name = 'run'")
    inspection.distrust(path)
    assert {file.name.removeprefix(ODD) for file in path.parent.iterdir()} <= {"", "-wal", "-shm"}
    jobs, _ = open_stores(path)
    loaded = await jobs.load()
    await jobs.aclose()
    assert (loaded.unclean, loaded.rebooted, loaded.last_seq) == (True, True, 2)
    assert len(loaded.jobs) == 2


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("look", [inspection.survey, inspection.refuse_foreign_parts])
async def test_a_database_that_is_not_there_is_said_in_one_sentence(
    tmp_path: Path, look: type
) -> None:
    with pytest.raises(StoreError, match=r"^There is no database yet\.$"):
        look(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


async def test_whatever_is_no_database_of_ours_is_a_plain_store_error(
    path: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.db"
    text.write_bytes(b"no database at all, but long enough to be read as one" * 20)
    for look in (
        inspection.survey,
        inspection.refuse_foreign_parts,
        inspection.distrust,
        lambda path: list(inspection.resume_data(path)),
        lambda path: inspection.copy(path, tmp_path / "copy"),
    ):
        with pytest.raises(StoreError) as caught:
            look(text)
        assert_is_plain(caught.value, text)
    change(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreFromTheFuture):
        inspection.survey(path)
    with pytest.raises(StoreFromTheFuture):
        inspection.copy(path, tmp_path / "another")


async def test_a_database_with_our_tables_only_passes(path: Path) -> None:
    change(path, "CREATE INDEX one_more ON jobs (name)")
    inspection.refuse_foreign_parts(path)


@pytest.mark.parametrize(
    "part",
    [
        "CREATE TABLE more (a)",
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER more AFTER INSERT ON jobs BEGIN DELETE FROM events; END",
    ],
)
async def test_a_database_with_anything_else_is_refused(path: Path, part: str) -> None:
    change(path, part)
    with pytest.raises(
        StoreError, match=r"^The database in the archive holds things that are not ours\.$"
    ):
        inspection.refuse_foreign_parts(path)
