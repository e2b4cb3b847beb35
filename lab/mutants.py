"""Changes the code in small ways and looks whether a test notices: `make mutants`.

mutmut makes the mutants and finds out which test calls which function; `[tool.mutmut]` in
`pyproject.toml` says of which files and with which tests. `lab.mutants_plugin` runs them. What
hung there, or cannot be looked at there because it runs at import, is repeated here alone, in a
process of its own. `docs/mutants.md` tells what survived and why.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL

from _pytest.outcomes import Failed

from lab.mutants_plugin import ASKED, TOLD, Watch

FOLDER = Path("mutants")
FOUND = FOLDER / "verdicts.txt"
"""A mutant and a verdict a line; of several the last counts."""
TABLE = "lifecycle's table"
MODULES = (
    "jobs.lifecycle", TABLE, "jobs.retry", "jobs.downloader", "jobs.verbs", "storage.memory",
    "storage.rows", "storage.tables", "storage.jobs", "storage.sqlite.faults",
    "storage.sqlite.database", "storage.sqlite.writer", "storage.sqlite.upgrade",
    "storage.sqlite.inspection", "jobs.ledger", "jobs.runner", "jobs.scheduler",
    "jobs.admission",
)  # fmt: skip
ANY_MUTANT = "chilly_movies.jobs.retry.x_next_delay__mutmut_1"
AT_IMPORT = ("chilly_movies.jobs.lifecycle.x__rule__",)
"""Mutants of functions that ran before a mutant was chosen."""
STILL, BUSY = 8.0, 60.0
"""Seconds of sleep or of work after which a mutant hangs that is repeated alone."""
MEMORY = Path("/dev/shm")
"""Where the files of the tests lie: no test here is about what a disk keeps."""


def mutants_of(module: str) -> list[str]:
    """All mutants of a module."""
    path = FOLDER / "src/chilly_movies" / (module.replace(".", "/") + ".py.meta")
    if not path.exists():
        return []
    return list(json.loads(path.read_text("utf-8"))["exit_code_by_key"])


def settings() -> dict[str, list[str]]:
    """What `pyproject.toml` says."""
    parts: dict[str, list[str]] = tomllib.loads(Path("pyproject.toml").read_text())["tool"][
        "mutmut"
    ]
    return parts


def make() -> None:
    """Let mutmut write the mutants and find out which test calls what; nothing if it did so."""
    program = Path(sys.executable).with_name("mutmut")
    command = [str(program), "run", "--max-children", "1", ANY_MUTANT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run(mutants: Sequence[str]) -> None:
    """Run mutants one after the other; what became of them is added to what was found."""
    parts = settings()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None) as folder:
        asked = Path(folder) / "asked"
        asked.write_text("\n".join(mutants), "utf-8")
        env = {
            **os.environ, "PYTHONPATH": "src", "TMPDIR": folder,
            ASKED: str(asked), TOLD: str(FOUND.resolve()),
        }  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "-p", "lab.mutants_plugin",
             *parts["pytest_add_cli_args"], *parts["pytest_add_cli_args_test_selection"]],
            cwd=FOLDER, env=env, check=False, stdout=subprocess.DEVNULL,
        )  # fmt: skip


def alone(mutant: str) -> str:
    """Run the tests with one mutant in a fresh process."""
    tests = ["tests/unit/jobs/test_lifecycle.py"]
    if not mutant.startswith(AT_IMPORT):
        stats = json.loads((FOLDER / "mutmut-stats.json").read_text("utf-8"))
        tests = stats["tests_by_mangled_function_name"][mutant.rpartition("__mutmut_")[0]]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--rootdir=.", "-p", "no:cacheprovider"]
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.exists() else None) as folder,
        subprocess.Popen(
            [*command, *sorted(tests)], cwd=FOLDER, stdout=DEVNULL, stderr=DEVNULL,
            env={**os.environ, "MUTANT_UNDER_TEST": mutant, "PYTHONPATH": "src", "TMPDIR": folder},
        ) as process,
    ):  # fmt: skip
        watch = Watch(process.pid)
        while process.poll() is None:
            if watch.hangs(STILL, BUSY):
                process.kill()
                return "hung alone"
            time.sleep(0.05)
    return "killed alone" if process.returncode else "survived"


def table_verdicts() -> Iterator[tuple[str, str]]:
    """The same for the table of the lifecycle, which mutmut leaves alone as it is no function.

    Each step that is allowed gets forbidden, each that is forbidden allowed, and each event leads
    to every other state.
    """
    lifecycle = importlib.import_module("chilly_movies.jobs.lifecycle")
    walk = importlib.import_module("tests.unit.jobs.test_lifecycle")
    table, states = lifecycle.TRANSITIONS, tuple(walk.Status)
    for kind, rule in tuple(table.items()):
        others = [replace(rule, sources=rule.sources ^ {state}) for state in states]
        others += [replace(rule, target=to) for to in (*states, None) if to is not rule.target]
        for other in others:
            table[kind] = other
            try:
                for cell in walk.cells():
                    walk.test_each_step_leads_where_the_table_says_or_is_refused(*cell)
                verdict = "survived"
            except (AssertionError, lifecycle.IllegalTransition, Failed):
                verdict = "killed"
            sources = ", ".join(sorted(other.sources))
            yield f"TRANSITIONS {kind.__name__}: from {sources} to {other.target}", verdict
        table[kind] = rule


def found() -> dict[str, str]:
    """What became of each mutant."""
    lines = FOUND.read_text("utf-8").splitlines() if FOUND.exists() else []
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}


def repeat(mutants: Sequence[str]) -> None:
    """Look in a fresh process at what hung with others only, or could not be looked at."""
    for mutant, verdict in found().items():
        at_import = mutant.startswith(AT_IMPORT) and verdict in ("survived", "no test")
        if mutant in mutants and (verdict == "hung" or at_import):
            with FOUND.open("a", encoding="utf-8") as file:
                file.write(f"{mutant} {alone(mutant)}\n")


def say(text: str) -> None:
    """Print a line at once: this takes long."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report(modules: Sequence[str]) -> None:
    """Print the score of each module, and what was not killed."""
    left: list[str] = []
    total: Counter[str] = Counter()
    kinds = ("killed", "killed alone", "hung alone", "survived", "no test")
    say(f"{'module':<20}{'mutants':>9}{'looked at':>10}"
        + "".join(f"{kind:>13}" for kind in kinds) + "   score")  # fmt: skip
    known = found()
    for module in modules:
        names = mutants_of(module)
        verdicts = [(name, known[name]) for name in names if name in known]
        if module == TABLE:
            verdicts = list(table_verdicts())
        counts = Counter(verdict for _, verdict in verdicts)
        left += [f"  {verdict}: {name}" for name, verdict in verdicts if verdict in kinds[3:]]
        total += counts
        say(line(module, len(names) or len(verdicts), counts, kinds))
    say(line("all", 0, total, kinds))
    say("\nNot killed (`mutmut show NAME` shows the change):")
    for name in left:
        say(name)


def line(module: str, there: int, counts: Counter[str], kinds: Sequence[str]) -> str:
    """A row of the table."""
    looked = sum(counts.values())
    score = 100 * (1 - sum(counts[kind] for kind in kinds[3:]) / looked) if looked else 0.0
    row = "".join(f"{counts[kind]:>13}" for kind in kinds)
    return f"{module:<20}{there or '':>9}{looked:>10}{row}{score:>7.1f}%"


def main() -> None:
    """Make, run, repeat, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=MODULES, help="all if none is named")
    parser.add_argument("--sample", type=int, default=0, help="so many of each module only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rest", action="store_true", help="only what was not looked at before")
    parser.add_argument("--report", action="store_true", help="only report what was found before")
    asked = parser.parse_args()
    asked.modules = [m for m in MODULES if {m, *m.split(".")} & set(asked.modules)]
    if not asked.report:
        make()
        lot, mutants = random.Random(asked.seed), []
        for module in asked.modules:
            names = mutants_of(module)
            mutants += lot.sample(names, min(asked.sample or len(names), len(names)))
        known = found() if asked.rest else {}
        run([mutant for mutant in mutants if mutant not in known])
        repeat(mutants)
    report(asked.modules)


if __name__ == "__main__":
    main()
