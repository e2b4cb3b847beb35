"""Whether a foreign client is installed, and what a test does if it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import pytest

PeerName = Literal["transmission", "aria2", "webtorrent", "chromium", "ffmpeg", "nginx", "npm"]

_PROGRAMS: dict[PeerName, str] = {
    "transmission": "transmission-daemon",
    "aria2": "aria2c",
    "webtorrent": "node",
    "chromium": "chromium",
    "ffmpeg": "ffmpeg",
    "nginx": "nginx",
    "npm": "npm",
}
_WEBTORRENT = Path(__file__).parent / "node" / "node_modules" / "webtorrent"


def missing(peer: PeerName) -> str:
    """Says what is missing for a peer; empty if nothing is."""
    program = _PROGRAMS[peer]
    if shutil.which(program) is None:
        return f"{program} is not installed"
    if peer in {"webtorrent", "chromium"} and not _WEBTORRENT.is_dir():
        return "run `npm install --ignore-scripts` in tests/peers/node"
    return ""


def require(*peers: PeerName) -> None:
    """Skips the running test if a peer is missing; fails it if REQUIRE_PEERS is 1."""
    reasons = [reason for peer in peers if (reason := missing(peer))]
    if not reasons:
        return
    if os.environ.get("REQUIRE_PEERS") == "1":
        pytest.fail("; ".join(reasons))
    pytest.skip("; ".join(reasons))
