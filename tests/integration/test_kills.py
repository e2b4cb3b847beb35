"""SQLite under kill -9: ten lives of a busy writer; `make kills KILLS=1000` runs it long."""

from __future__ import annotations

import subprocess
import sys

from tests.peers.process import REPOSITORY


def test_ten_kills_of_a_busy_writer_damage_nothing_and_lose_no_acknowledged_change() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.crash.kills", "--kills", "10", "--seed", "4"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 kills" in done.stdout
