"""Breaks the package on purpose, in a copy, and sees whether a test fails then."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Breakage:
    """Lines of the package that are replaced.

    Attributes:
        what: is broken then.
        module: below the package.
        right: the lines, which are there once.
        wrong: what stands there instead.
    """

    what: str
    module: str
    right: str
    wrong: str

    def source(self, folder: Path = ROOT / "src") -> Path:
        """The file they are in."""
        return folder / "chilly_movies" / self.module

    def broken(self) -> str:
        """The text of that file once it is broken.

        Raises:
            ValueError: the lines are not there once, so the list has to be mended.
        """
        text = self.source().read_text()
        if text.count(self.right) != 1:
            raise ValueError(f"'{self.what}': its lines are not in {self.module} once")
        return text.replace(self.right, self.wrong)


Kind = TypeVar("Kind", bound=Breakage)


def is_noticed(
    one: Breakage, words: Sequence[str], within: float, environment: Mapping[str, str]
) -> tuple[bool, str]:
    """Break it in a copy; whether tests fail, and how.

    Args:
        one: what to break.
        words: for pytest.
        within: seconds; tests that take longer noticed it, too.
        environment: further variables.
    """
    with tempfile.TemporaryDirectory(prefix="chilly-broken-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        one.source(copy).write_text(one.broken())
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
                   f"--basetemp={folder}/tests", *words]  # fmt: skip
        more = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", **environment}
        try:
            run = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True,
                timeout=within, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return True, f"hangs for {within:.0f} s"
    last = (run.stdout.strip() or run.stderr.strip() or "says nothing").splitlines()[-1]
    said = re.findall(r"(?m)^E\s+(.*\S)", run.stdout) or [last]
    failed = run.returncode == 1 and re.search(r"\b[1-9]\d* (failed|error)", run.stdout)
    return bool(failed), said[0][:90]


def report(broken: Sequence[Kind], verdict_of: Callable[[Kind], tuple[bool, str]]) -> int:
    """Print what became of each; 1 if one was not noticed."""
    missed = 0
    for one in broken:
        began = time.monotonic()
        noticed, how = verdict_of(one)
        missed += not noticed
        word, spent = "noticed" if noticed else "NOT NOTICED", time.monotonic() - began
        sys.stdout.write(f"{word:11}  {spent:4.0f} s  {one.what}: {how}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(broken) - missed} of {len(broken)} noticed\n")
    return min(1, missed)
