"""What the contract tests share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.contract.rig import Rig


@pytest.fixture(autouse=True, scope="module")
def quiet_logs() -> Iterator[None]:
    """Crashes are part of these tests; drawing their traces would take most of the time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(params=["memory", "sqlite"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """A place for downloaders; all that were made are closed at the end."""
    rig = Rig(request.param, tmp_path)
    yield rig
    await rig.aclose()
