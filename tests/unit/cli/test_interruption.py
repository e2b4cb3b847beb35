"""Ctrl-C while a command starts: it ends at once with its exit code, and without a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chilly_movies.cli.interruption import InOrder, end_at_once, put_back
from tests.acceptance.backend import clean_environment

_STARTS = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {moment!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["chilly", *{words!r}]
from chilly_movies.cli import main
sys.exit(main())
"""
MOMENTS = (
    "chilly_movies.runtime.loading",
    "cyclopts",
    "chilly_movies.cli.commands",
    "rich.console",
)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "chilly.toml").touch()
    return subprocess.run(
        [sys.executable, "-c", code], env=clean_environment(folder), cwd=folder,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("moment", [*MOMENTS, "chilly_movies.settings", "chilly_movies.app"])
def test_an_interruption_while_modules_are_loaded_ends_the_command_silently(
    tmp_path: Path, moment: str
) -> None:
    ended = run(_STARTS.format(moment=moment, words=["get", "a" * 40]), tmp_path)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert "Traceback" not in ended.stderr


def test_hardly_anything_is_loaded_before_an_interruption_is_looked_for(tmp_path: Path) -> None:
    code = (
        "import sys; seen = set(sys.modules); import chilly_movies.cli; "
        "print(*set(sys.modules) - seen)"
    )
    ended = run(code, tmp_path)
    ours = {name for name in ended.stdout.split() if name.startswith("chilly_movies")}
    assert ours == {"chilly_movies", "chilly_movies.cli", "chilly_movies.cli.interruption"}
    assert set(ended.stdout.split()) - ours <= {"__future__", "_signal"}


def test_a_process_that_was_told_to_ignore_it_does(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + _STARTS.format(
        moment="cyclopts", words=["--version"]
    )
    assert run(code, tmp_path).returncode == 0


def test_what_has_to_be_put_in_order_is_interrupted_as_usual() -> None:
    before = end_at_once()
    try:
        at_once = signal.getsignal(signal.SIGINT)
        assert at_once is not before is signal.default_int_handler
        with InOrder():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is at_once
    finally:
        put_back(before)
