"""Changes the code in small ways and looks whether a test notices: `make mutants`.

mutmut makes the mutants and runs them; `[tool.mutmut]` in `pyproject.toml` says of which files and
with which tests. What it took too long over, or cannot look at because it runs at import, is
repeated here alone, in a process of its own. `docs/mutants.md` tells what survived and why.
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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from _pytest.outcomes import Failed

FOLDER = Path("mutants")
TABLE = "lifecycle's table"
MODULES = (
    "lifecycle", TABLE, "retry", "downloader", "verbs",
    "storage.memory", "storage.rows", "storage.tables", "storage.jobs", "storage.faults",
    "storage.database", "storage.writer", "storage.upgrade", "storage.inspection",
    "ledger", "runner", "scheduler", "admission",
)  # fmt: skip
AT_IMPORT = ("chilly_movies.lifecycle.x__rule",)
"""Functions that ran before mutmut chose its mutant."""
LIMIT = 180.0
"""Seconds a mutant gets that is repeated alone. Without it the same tests take less than ten."""

SURVIVED, KILLED, NO_TEST, NOT_LOOKED_AT = 0, (1, 3), 33, None


def codes_of(module: str) -> dict[str, int | None]:
    """What mutmut says of each mutant of a module: how its tests ended."""
    path = FOLDER / "src/chilly_movies" / (module.replace(".", "/") + ".py.meta")
    if not path.exists():
        return {}
    codes: dict[str, int | None] = json.loads(path.read_text("utf-8"))["exit_code_by_key"]
    return codes


def tests_of(mutant: str) -> list[str]:
    """The tests that call the mutated function; all, if it runs at import."""
    function = mutant.rpartition("__mutmut_")[0]
    if function in AT_IMPORT:
        return ["tests/unit/test_lifecycle.py"]
    stats = json.loads((FOLDER / "mutmut-stats.json").read_text("utf-8"))
    return sorted(stats["tests_by_mangled_function_name"].get(function, []))


def alone(mutant: str) -> str:
    """Run the tests with one mutant in a fresh process: "killed", "survived" or "hung"."""
    source = str((FOLDER / "src").resolve())
    env = {**os.environ, "MUTANT_UNDER_TEST": mutant, "PYTHONPATH": source}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--rootdir=.", "-p", "no:cacheprovider"]
    try:
        end = subprocess.run(
            [*command, *tests_of(mutant)],
            cwd=FOLDER,
            env=env,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return "hung"
    return "survived" if end.returncode == 0 else "killed"


def verdicts(module: str) -> Iterator[tuple[str, str]]:
    """Each mutant that was looked at, and what became of it."""
    for mutant, code in codes_of(module).items():
        at_import = mutant.startswith(AT_IMPORT)
        if code is NOT_LOOKED_AT:
            continue
        if code in KILLED:
            yield mutant, "killed"
        elif code == NO_TEST and not at_import:
            yield mutant, "no test"
        elif code == SURVIVED and not at_import:
            yield mutant, "survived"
        else:
            verdict = alone(mutant)
            yield mutant, verdict if verdict == "survived" else f"{verdict} alone"


def table_verdicts() -> Iterator[tuple[str, str]]:
    """The same for the table of the lifecycle, which mutmut leaves alone as it is no function.

    Each step that is allowed gets forbidden, each that is forbidden allowed, and each event leads
    to every other state.
    """
    lifecycle = importlib.import_module("chilly_movies.lifecycle")
    walk = importlib.import_module("tests.unit.test_lifecycle")
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
            yield f"lifecycle.TRANSITIONS {kind.__name__}: {other}", verdict
        table[kind] = rule


def run(modules: Sequence[str], sample: int, seed: int, children: int) -> None:
    """Let mutmut look at all mutants of these modules, or at so many of each, drawn by lot."""
    program = Path(sys.executable).with_name("mutmut")
    modules = [module for module in modules if module != TABLE]
    chosen = [f"chilly_movies.{module}.x*" for module in modules]
    if sample:
        lot = random.Random(seed)
        names = [sorted(codes_of(module)) for module in modules]
        chosen = [name for of in names for name in lot.sample(of, min(sample, len(of)))]
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TMPDIR": folder}
        command = [str(program), "run", "--max-children", str(children), *chosen]
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)


def say(text: str) -> None:
    """Print a line at once: this takes long."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def report(modules: Sequence[str]) -> None:
    """Print the score of each module, and what was not killed."""
    left: list[str] = []
    total: Counter[str] = Counter()
    kinds = ("killed", "killed alone", "hung alone", "survived", "no test")
    say(f"{'module':<20}{'mutants':>8}" + "".join(f"{kind:>14}" for kind in kinds) + "   score")
    for module in (*modules, ""):
        found: Counter[str] = Counter()
        found_here = table_verdicts() if module == TABLE else verdicts(module)
        for mutant, verdict in found_here if module else ():
            found[verdict] += 1
            if verdict in ("survived", "no test"):
                left.append(f"  {verdict}: {mutant}")
        total += found
        counts = found if module else total
        if looked := sum(counts.values()):
            row = "".join(f"{counts[kind]:>14}" for kind in kinds)
            score = 100 * (1 - (counts["survived"] + counts["no test"]) / looked)
            say(f"{module or 'all':<20}{looked:>8}{row}{score:>7.1f}%")
    say("\nNot killed (`mutmut show NAME` shows the change):")
    for line in left:
        say(line)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=MODULES, help="all if none is named")
    parser.add_argument("--sample", type=int, default=0, help="so many of each module only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--children", type=int, default=2, help="how many at once")
    parser.add_argument("--report", action="store_true", help="only report what was found before")
    asked = parser.parse_args()
    if not asked.report:
        run(asked.modules, asked.sample, asked.seed, asked.children)
    report(asked.modules)


if __name__ == "__main__":
    main()
