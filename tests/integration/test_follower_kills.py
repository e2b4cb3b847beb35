"""A follower and a webhook under kill -9; `make followers KILLS=200` runs it long."""

from __future__ import annotations

import subprocess
import sys

from tests.peers.process import REPOSITORY


def test_after_four_kills_every_completed_job_was_handled_and_delivered_once_and_in_order() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.crash.followers", "--kills", "4", "--seed", "7"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills" in done.stdout
    assert " 0 completed" not in done.stdout
