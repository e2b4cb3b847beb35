"""The house rules that a linter does not hold: small modules, small functions, telling names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
EMPTY_NAMES = {"utils", "helpers", "common", "manager", "core", "base", "misc"}


def modules() -> Iterator[Path]:
    for folder in ("src", "tests", "lab", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if "node_modules" not in path.parts:
                yield path


def test_no_module_has_more_than_600_lines() -> None:
    long = {str(p): n for p in modules() if (n := len(p.read_text().splitlines())) > 600}
    assert long == {}


def test_no_function_has_more_than_50_lines() -> None:
    long = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > 50:
                    long.append(f"{path}:{node.lineno} {node.name} has {size}")
    assert long == []


def test_no_shipped_module_has_a_name_that_says_nothing() -> None:
    assert [str(p) for p in (ROOT / "src").rglob("*.py") if p.stem in EMPTY_NAMES] == []
