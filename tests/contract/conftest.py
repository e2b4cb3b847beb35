"""What the contract tests share."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from chilly_movies.storage.jobs import open_stores
from tests.contract.rig import Rig


@pytest.fixture(autouse=True, scope="module")
def quiet_logs() -> Iterator[None]:
    """Crashes are part of these tests; drawing their traces would take most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrating is tested elsewhere, and takes longer than most of these tests."""
    path = tmp_path_factory.mktemp("empty") / "chilly.db"

    async def create() -> None:
        jobs, _ = open_stores(path)
        await jobs.load()
        await jobs.aclose()

    asyncio.run(create())
    return path


@pytest.fixture(params=["memory", "sqlite"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path
) -> AsyncIterator[Rig]:
    """A place for downloaders; all that were made are closed at the end."""
    rig = Rig(request.param, tmp_path)
    if rig.kind == "sqlite":
        shutil.copy(empty_database, rig.path)
    yield rig
    await rig.aclose()
