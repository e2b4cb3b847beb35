"""`chilly backup`, `chilly restore` and `chilly doctor` on an installation with a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from chilly_movies.library.models import ItemFile
from chilly_movies.library.ports import LibraryQuery
from chilly_movies.storage.library.store import SqliteLibraryStore
from tests.acceptance.test_backup import chilly, doctor, problems, store_one
from tests.doubles import make_job
from tests.library_items import film, item_id, titles, watched

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_a_backup_carries_the_library_to_another_folder(tmp_path: Path) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "all.tar.gz"
    await store_one(old / "state" / "chilly.db", make_job("a", key="0" * 32))
    store = SqliteLibraryStore(old / "state" / "library.db")
    metropolis = film("Metropolis", files=(ItemFile(0, "Metropolis/m.mkv", 1),))
    await store.put([metropolis], cursor=3)
    await store.put_position(watched("Metropolis"))
    await store.aclose()
    code, said, complained = await chilly(old, "backup", archive)
    assert (code, "holds 1 job and 1 item" in said) == (0, True), complained
    new.mkdir()
    code, said, complained = await chilly(new, "restore", archive, "--media-root", new / "films")
    assert (code, "1 job and 1 item restored" in said) == (0, True), complained
    store = SqliteLibraryStore(new / "state" / "library.db")
    page = await store.page(LibraryQuery(text="metroplis"))
    assert (titles(page), page.items) == (["Metropolis"], (metropolis,))
    assert await store.positions(item_id("Metropolis"), "ann") == (watched("Metropolis"),)
    assert await store.cursor() == 3
    await store.aclose()
    _, report = await doctor(new)
    messages = [found["message"] for found in report["findings"] if found["area"] == "library"]
    assert messages == ["The library is sound and holds 1 item."]


async def test_a_damaged_library_costs_no_jobs_and_is_said(tmp_path: Path) -> None:
    await store_one(tmp_path / "state" / "chilly.db", make_job("a", key="0" * 32))
    (tmp_path / "state" / "library.db").write_bytes(b"no library " * 1000)
    _, report = await doctor(tmp_path)
    [message] = [found for found in problems(report) if "ibrary" in found]
    assert message == "The library: The database file is damaged or not a database."
    code, said, complained = await chilly(tmp_path, "backup", tmp_path / "all.tar.gz")
    assert (code, "holds 1 job" in said) == (1, True)
    assert "Library: The database file is damaged" in complained
    code, said, _ = await chilly(
        tmp_path, "restore", "all.tar.gz", "--media-root", tmp_path / "films", "--force"
    )
    assert (code, "1 job restored" in said) == (0, True)
    assert not (tmp_path / "state" / "library.db").exists()
    assert (tmp_path / "state" / "library.db.old").exists()
