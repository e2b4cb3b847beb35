"""Shared by all tests: asynchronous ones run on asyncio, and `tests.…` can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    # Helpers shared between test folders are imported by their full name, which mypy knows, too.
    sys.path.insert(0, ROOT)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop every asynchronous test runs on."""
    return "asyncio"
