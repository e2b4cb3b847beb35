"""Runs mutants below pytest, each in a fork: the tests are collected once, the quickest go first.

Loaded by `lab.mutants`. mutmut collects the tests anew for each mutant, which takes longer than
the tests; and as a mutant of the core often makes a test wait in vain, tests wait less long here.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests import doubles

doubles.PATIENCE = 4.0
ASKED, TOLD = "CHILLY_MUTANTS", "CHILLY_MUTANTS_TOLD"
LIMIT = 300.0
"""Seconds until a mutant counts as hanging whatever it does."""
STILL, BUSY = 3.0, 20.0
"""So many seconds of sleep, or of work, in a single test do so, too."""
_NAP = 20_000_000
"""Nanoseconds of work that do not count as being awake."""

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
    killers: dict[str, list[str]] = {}
    gc.freeze()  # what was made before a fork is not copied by looking for garbage in it
    with Path(os.environ[TOLD]).open("a", encoding="utf-8") as told:
        for mutant in Path(os.environ[ASKED]).read_text("utf-8").split():
            function = mutant.rpartition("__mutmut_")[0]
            order = partial(_order, killers.setdefault(function, []), lasted)
            tests = sorted(tests_of.get(function, ()), key=order)
            mine = [items[test] for test in tests if test in items]
            verdict, last = _try(mutant, mine) if mine else ("no test", "")
            if verdict == "killed":
                killers[function].append(last)
            if verdict == "hung":  # may the tests before have to do with it?
                again, _ = _try(mutant, [items[last]], 2 * STILL)
                verdict = "hung" if again == "survived" else f"{again} alone"
            told.write(f"{mutant} {verdict}\n")
            told.flush()
    return True


def _order(killers: Sequence[str], lasted: dict[str, float], test: str) -> tuple[int, bool, float]:
    """What killed others of the same function goes first, and what is quick before what is not."""
    return -killers.count(test), "tests/unit/" not in test, lasted[test]


def _try(mutant: str, items: list[pytest.Item], still: float = STILL) -> tuple[str, str]:
    """What becomes of a mutant, and the last test that was begun."""
    begun, tell = os.pipe()
    child = os.fork()
    if not child:
        _run(mutant, items, tell)
    os.close(tell)
    test, watch, end = "", Watch(child), time.monotonic() + LIMIT
    try:
        while time.monotonic() < end and not watch.hangs(still, BUSY):
            if not select.select([begun], [], [], 0.05)[0]:
                continue
            if not (names := os.read(begun, 65536)):  # it has ended
                _, status = os.waitpid(child, 0)
                return "survived" if status == 0 else "killed", test
            test, watch = names.decode().splitlines()[-1], Watch(child)
    finally:
        os.close(begun)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hung", test


class Watch:
    """Tells a process that hangs from one that only gets no turn on a busy machine.

    The one that gets no turn could run. The other sleeps in all its threads, or runs for ever.
    """

    def __init__(self, pid: int) -> None:
        self._tasks = Path(f"/proc/{pid}/task")
        self._since = time.monotonic()
        self._ran: int | None = None
        self._before = 0

    def hangs(self, still: float, busy: float) -> bool:
        """Whether it has been asleep for so many seconds, or has worked for so many."""
        states, ran = set(), 0
        with suppress(OSError):  # a thread or all of it has ended
            for task in self._tasks.iterdir():
                states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
                ran += int((task / "schedstat").read_text().split()[0])
        if self._ran is None:
            self._ran = self._before = ran
        if states != {"S"} or ran - self._before > _NAP:
            self._since, self._before = time.monotonic(), ran
        return time.monotonic() - self._since > still or ran - self._ran > busy * 10**9


def _run(mutant: str, items: list[pytest.Item], tell: int) -> None:
    """In the fork: end at the first test that fails."""
    os.environ["MUTANT_UNDER_TEST"] = mutant
    try:
        for item, following in zip(items, [*items[1:], None], strict=True):
            os.write(tell, f"{item.nodeid}\n".encode())
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if _failed:
                break
    finally:
        os._exit(1 if _failed else 0)
