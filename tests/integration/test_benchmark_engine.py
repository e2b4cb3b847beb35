"""The benchmark runs, compares what was downloaded, and prints its table. Not how fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.engine import HEADINGS, main, parse, table
from tests.peers.process import REPOSITORY


def test_a_small_run_prints_a_row_for_each_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours has two rows and bare libtorrent one, each with all its figures."""
    report = tmp_path / "report.json"
    words = f"--size-mib 4 --rounds 1 --only ours,libtorrent --json {report} --dir {tmp_path}"
    main(words.split())
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("|")
    ]
    assert lines[0] == list(HEADINGS)
    rows = [line[:2] for line in lines[2:]]
    assert rows == [
        ["ours", "all bytes there"],
        ["ours", "verified, flushed, published"],
        ["libtorrent", "all bytes there"],
    ]
    for line in lines[2:]:
        assert all(float(part) >= 0 for cell in line[2:] for part in cell.split("-")), line
    figures = json.loads(report.read_text())
    assert [len(row["runs"]) for row in figures["rows"]] == [1, 1, 1]
    there, published = (row["runs"][0] for row in figures["rows"][:2])
    assert there <= published
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_missing_contender_says_so_in_its_row() -> None:
    """The others still get their figures."""
    row = {"client": "aria2", "until": "all bytes there", "missing": "aria2c is not installed"}
    assert "aria2c is not installed" in table([row]).splitlines()[2]


def test_another_tree_takes_part_and_each_ratio_is_of_one_round(tmp_path: Path) -> None:
    """This tree once more, as another one."""
    report = tmp_path / "report.json"
    words = f"--size-mib 1 --rounds 2 --only libtorrent --json {report} --dir {tmp_path}"
    main([*words.split(), "--tree", str(REPOSITORY)])
    rows = {(row["client"], row["until"]): row for row in json.loads(report.read_text())["rows"]}
    bare = rows["libtorrent", "all bytes there"]["runs"]
    other = rows[f"tree {REPOSITORY.name}", "all bytes there"]
    assert len(bare) == len(other["runs"]) == 2
    ratios = sorted(before / own for before, own in zip(bare, other["runs"], strict=True))
    least, greatest = map(float, other["ratio min-max"].split("-"))
    assert (least, greatest) == pytest.approx((ratios[0], ratios[-1]), abs=0.03)


def test_a_tree_without_an_environment_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["--tree", str(tmp_path)])
    assert "make setup" in capsys.readouterr().err


def test_an_unknown_contender_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error does not silently measure less."""
    with pytest.raises(SystemExit):
        parse(["--only", "ours,arai2"])
    assert "no contender arai2" in capsys.readouterr().err
