"""The state folder: where its files lie, its lock, and that nobody else spells their names."""

from __future__ import annotations

import ast
import asyncio
import stat
from functools import cache
from pathlib import Path

import pytest

import chilly_movies
from chilly_movies.errors import StoreError
from chilly_movies.runtime.state_folder import StateFolder

SOURCES = Path(chilly_movies.__file__).parent
NAMES = (".incomplete", "chilly.db", "lock", "media-root.json", "link-secret", "metadata-cache.db")


def test_its_files_have_the_names_that_earlier_versions_gave_them(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert [state.database, state.media_root, state.link_secret, state.metadata_cache] == [
        tmp_path / name for name in NAMES if name not in (".incomplete", "lock")
    ]
    assert state.of_command("0f") == tmp_path / "get" / "0f"


def test_naming_its_files_makes_nothing(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    assert not state.is_locked()
    assert not state.database.parent.exists()


def test_the_lock_keeps_a_second_instance_out_until_it_is_released(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path / "state"), StateFolder(tmp_path / "state")
    assert first.lock()
    assert not first.lock()
    assert second.is_locked()
    with pytest.raises(StoreError, match="Another instance"):
        second.lock()
    first.release()
    first.release()
    assert not second.is_locked()
    assert second.lock()
    second.release()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((first.path / "lock").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        StateFolder(tmp_path / "file" / "state").lock()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_on_the_disk_is_spelled_once_in_the_sources(name: str) -> None:
    places = [where for where, text in _texts() if text == name]
    assert len(places) == 1, places


@cache
def _texts() -> list[tuple[str, str]]:
    """Each text constant of the sources that is a name on the disk, with its module."""
    texts = [(path.name, path.read_text()) for path in SOURCES.rglob("*.py")]
    return [
        (module, node.value)
        for module, text in texts
        if any(f'"{name}"' in text for name in NAMES)  # as the formatter writes it
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in NAMES
    ]


@pytest.mark.anyio
async def test_a_lock_that_is_held_for_a_moment_only_is_waited_for(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.lock()
    asyncio.get_running_loop().call_later(0.1, first.release)
    assert await second.lock_within(10)
    second.release()


@pytest.mark.anyio
async def test_a_lock_that_stays_held_is_told_in_time(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.lock()
    with pytest.raises(StoreError, match="Another instance"):
        await second.lock_within(0.1)
    first.release()
