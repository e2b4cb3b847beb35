"""Runs mutants below pytest, each in a fork: the tests are collected once, the quickest go first.

Loaded by `tests.mutants`. mutmut collects the tests anew for each mutant, which takes longer than
the tests; and as a mutant of the core often makes a test wait in vain, tests wait less long here.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests import doubles

doubles.PATIENCE = 4.0
ASKED, TOLD = "CHILLY_MUTANTS", "CHILLY_MUTANTS_TOLD"
LIMIT = 60.0
"""Seconds until a mutant counts as hanging."""

_failed = False


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note that a test failed, in whatever part of it."""
    global _failed  # noqa: PLW0603 (each fork has its own)
    _failed = _failed or report.failed


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Instead of the tests once: the tests of each mutant that was asked for."""
    if ASKED not in os.environ:
        return None
    stats = json.loads(Path("mutmut-stats.json").read_text("utf-8"))
    tests_of, lasted = stats["tests_by_mangled_function_name"], stats["duration_by_test"]
    items = {item.nodeid: item for item in session.items}
    with Path(os.environ[TOLD]).open("a", encoding="utf-8") as told:
        for mutant in Path(os.environ[ASKED]).read_text("utf-8").split():
            tests = tests_of.get(mutant.rpartition("__mutmut_")[0], ())
            quick = sorted(tests, key=lambda test: ("tests/unit/" not in test, lasted[test]))
            mine = [items[test] for test in quick if test in items]
            verdict = _try(mutant, mine) if mine else "no test"
            told.write(f"{mutant} {verdict}\n")
            told.flush()
    return True


def _try(mutant: str, items: list[pytest.Item]) -> str:
    child = os.fork()
    if not child:
        _run(mutant, items)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return "survived" if status == 0 else "killed"
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung"


def _run(mutant: str, items: list[pytest.Item]) -> None:
    """In the fork: end at the first test that fails."""
    os.environ["MUTANT_UNDER_TEST"] = mutant
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if _failed:
                break
    finally:
        os._exit(1 if _failed else 0)
