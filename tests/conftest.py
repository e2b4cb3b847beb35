"""Shared by all tests: asynchronous ones run on asyncio, and `tests.…` can be imported."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Generator
from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    # Helpers shared between test folders are imported by their full name, which mypy knows, too.
    sys.path.insert(0, ROOT)

from chilly_movies.runtime.loading import loading  # noqa: E402
from tests.films import Films  # noqa: E402
from tests.peers.available import require  # noqa: E402
from tests.peers.libtorrent_peer import LibtorrentPeer  # noqa: E402

# Who starts the tests in the background may have made them, and all they start, deaf to Ctrl-C.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine may hold up any example; a test that is stuck ends by pytest's time limit.
# `make properties` says how many examples; these are those of every day.
settings.register_profile(
    "every day", deadline=None, max_examples=int(os.environ.get("CHILLY_EXAMPLES", "40"))
)
settings.load_profile("every day")


_QUICK = ("contract", "unit")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is there before the first test stays: looking for garbage skips it in every test."""
    with loading():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders whose tests compute and folders whose tests wait take turns, a file each.

    So several workers at once keep the machine busy; the many quick tests come last and even out
    what the long ones leave. Within a file the order stays.
    """
    lanes: dict[str, dict[Path, list[pytest.Item]]] = {}
    folders: dict[Path, str] = {}
    for item in items:
        if item.path not in folders:
            folders[item.path] = item.path.relative_to(Path(ROOT) / "tests").parts[0]
        lanes.setdefault(folders[item.path], {}).setdefault(item.path, []).append(item)
    slow = [list(files.values()) for folder, files in lanes.items() if folder not in _QUICK]
    quick = [list(lanes[folder].values()) for folder in _QUICK if folder in lanes]
    turns = [*zip_longest(*slow, fillvalue=()), *quick]
    items[:] = [item for turn in turns for file in turn for item in file]
    for item in items:
        _end_in_time(item)


def _end_in_time(item: pytest.Item) -> None:
    """Ends an asynchronous test that is stuck before pytest's time limit does.

    That limit takes the loop away from the test and leaves the test in it, so its asynchronous
    fixtures would wait for it without end, and with them the whole run.
    """
    test = getattr(item, "obj", None)
    if not inspect.iscoroutinefunction(test) or not isinstance(item, pytest.Function):
        return
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else item.config.getini("timeout"))

    @functools.wraps(test)
    async def limited(**arguments: object) -> None:
        async with asyncio.timeout(0.8 * limit or None):
            await test(**arguments)

    item.obj = limited


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop every asynchronous test runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def film_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the films of this session lie; the processes of one session share it."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "films"


@pytest.fixture
def films(film_folder: Path) -> Films:
    """Real films; without ffmpeg the test is skipped."""
    require("ffmpeg")
    return Films(film_folder)


@pytest.fixture
async def seeder() -> AsyncIterator[LibtorrentPeer]:
    """A client of its own that shares what a test gives it."""
    async with LibtorrentPeer() as peer:
        yield peer
