"""The house rules that a linter does not hold: small modules, small functions, telling names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from chilly_movies.runtime.loading import loading
from lab.structure import (
    Module,
    circles,
    code_lines,
    functions,
    import_edges,
    read_modules,
    skips_outside_tables,
)

pytestmark = pytest.mark.xdist_group("sizes")  # the source is parsed once

ROOT = Path(__file__).parents[2]
EMPTY_NAMES = {"utils", "helpers", "common", "manager", "core", "base", "misc"}


def modules() -> Iterator[Path]:
    for folder in ("src", "tests", "lab", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            if "node_modules" not in path.parts:
                yield path


@cache
def source() -> list[Module]:
    """What is shipped, parsed."""
    with loading():
        return read_modules(ROOT / "src" / "chilly_movies")


def test_no_module_has_more_than_600_lines() -> None:
    long = {str(p): n for p in modules() if (n := len(p.read_text().splitlines())) > 600}
    assert long == {}


def test_nine_of_ten_shipped_functions_have_at_most_22_lines() -> None:
    sizes = sorted(code_lines(node) for _, node in functions(source()))
    assert sizes[len(sizes) * 9 // 10] <= 22


def test_only_tables_are_laid_out_by_hand() -> None:
    assert skips_outside_tables(source()) == []


def test_no_shipped_module_reaches_itself_by_imports_those_for_types_alone_included() -> None:
    assert circles(import_edges(source(), typing=True)) == []


def test_no_shipped_module_has_a_name_that_says_nothing() -> None:
    assert [str(p) for p in (ROOT / "src").rglob("*.py") if p.stem in EMPTY_NAMES] == []
