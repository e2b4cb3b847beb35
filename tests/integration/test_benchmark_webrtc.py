"""The WebRTC benchmark runs, compares what arrived, and prints its table. Not how fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.webrtc import HEADINGS, PLANS, Pair, Row, Run, others_computing, parse, table
from tests.peers.netns import network_namespace
from tests.peers.process import REPOSITORY

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("webrtc")]


def test_a_small_run_in_both_directions_prints_its_rows(tmp_path: Path) -> None:
    with network_namespace():
        pass  # skipped where none can be made
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.webrtc", "--size-mib", "1", "--json", str(report),
            "--only", "libtorrent>ours,ours>libtorrent",
        ],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0].strip("|").split("|")] == list(HEADINGS)
    told = json.loads(report.read_text())
    assert [(row["seeder"], row["runs"], row["failed"]) for row in told] == [
        ("libtorrent", 1, 0),
        ("ours", 1, 0),
    ]
    assert [row["worstStill"] is None for row in told] == [False, True]


def test_a_failed_run_is_counted_and_leaves_the_figures_of_the_others() -> None:
    row = Row(Pair("node", "ours", 2), [Run(1.0, 3.0), Run(problem="the bytes differ")])
    figures = row.figures(4_000_000)
    assert (figures["runs"], figures["failed"], figures["MB/s"]) == (2, 1, 2.0)
    assert "| node" in table([figures])
    assert Row(row.pair, row.runs[1:]).figures(1)["firstByte"] is None


def test_the_plans_say_who_and_how_often() -> None:
    assert [pair.times for pair in parse(["--plan", "proof"]).pairs] == [20, 20, 10, 10]
    assert parse(["--rounds", "1"]).pairs[0] == Pair("node", "ours", 1)
    assert set(PLANS) == {"proof", "start", "load"}


def test_only_the_plan_with_load_starts_processes_that_compute_unless_told_otherwise() -> None:
    assert parse(["--plan", "load"]).busy > 0
    assert (parse(["--plan", "proof"]).busy, parse(["--busy", "3"]).busy) == (0, 3)


def test_the_processes_that_compute_are_there_meanwhile_and_gone_afterwards() -> None:
    def computing() -> list[str]:
        found = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="],
                               capture_output=True, text=True).stdout  # fmt: skip
        return [line for line in found.splitlines() if line.endswith("while True: pass")]

    with others_computing(2):
        assert len(computing()) == 2
    assert computing() == []


def test_an_unknown_peer_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--only", "nobody>ours"])
    assert "nobody" in capsys.readouterr().err
