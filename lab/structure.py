"""Prints how the source tree is built: entries, circles, climbing arrows, sizes of functions.

`python -m lab.structure [FOLDER]` measures `src/chilly_movies` of this checkout, or of another one.
Every figure is printed with its definition, so that two trees can be compared.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "chilly_movies"
ASIDE = {"__init__.py", "__main__.py", "py.typed"}
SKIP = re.compile(r"\s*# fmt: skip\b.*")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Edges = dict[str, set[str]]

ROOMS = (
    "__main__", "cli", "mock", "app", "settings client", "server faces api cluster",
    "drivers storage media", "library search notices", "watching catalogue disk tracker web",
    "jobs", "net runtime", "errors names version",
)  # fmt: skip
"""From the top to the ground; an import may go down or stay in its room."""


@dataclass(frozen=True)
class Module:
    """One source file, parsed.

    Attributes:
        name: the dotted name.
        path: where it lies.
        text: its source.
        tree: its syntax tree.
    """

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The top-level entry the module belongs to; `-` is the package itself."""
        return [*self.name.split("."), "-"][1]


def read_modules(package: Path) -> list[Module]:
    """Parses every module of the package."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inner = path.relative_to(package).with_suffix("").parts
        name = ".".join((PACKAGE, *(part for part in inner if part != "__init__")))
        text = path.read_text()
        found.append(Module(name, path, text, ast.parse(text)))
    return found


def entries(package: Path) -> tuple[list[str], list[str]]:
    """Modules and folders that lie directly in the package."""
    modules = [p.name for p in package.iterdir() if p.suffix == ".py" and p.name not in ASIDE]
    folders = [p.name for p in package.iterdir() if p.is_dir() and any(p.rglob("*.py"))]
    return sorted(modules), sorted(folders)


# --- statements -------------------------------------------------------------------------------

_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")


def statements_in(node: ast.AST) -> Iterator[ast.AST]:
    """The statements right below a node; expressions, most of a tree, hold none."""
    for name in _BODIES:
        inner = getattr(node, name, None)
        if isinstance(inner, list):  # that of a lambda or a choice is an expression
            yield from inner


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements of a tree, and what holds some: the module, handlers, cases."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(statements_in(node))


# --- imports ----------------------------------------------------------------------------------


def is_typing_only(node: ast.AST) -> bool:
    """Whether the node is an `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(module: Module, names: set[str], *, typing: bool) -> set[str]:
    """The modules of the package that a module imports, at its top or within functions."""
    found: set[str] = set()
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if is_typing_only(node) and not typing:
            continue
        waiting.extend(statements_in(node))
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {inner if inner in names else node.module} & names
    return found - {module.name}


def import_edges(modules: Iterable[Module], *, typing: bool) -> Edges:
    """Who imports whom."""
    known = list(modules)
    names = {module.name for module in known}
    return {module.name: imports(module, names, typing=typing) for module in known}


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of modules that reach each other (strongly connected components above one)."""
    reach = {name: reachable(name, edges) for name in edges}
    groups = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in edges
        if name in reach[name]
    }
    return [list(group) for group in sorted(groups)]


def reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    """Everything that is imported from a module on, over any number of steps."""
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(edges.get(name, ()))
    return seen


def climbing(modules: Iterable[Module], edges: Edges) -> Counter[str]:
    """Arrows from a room to one that lies higher, with the number of imports."""
    level = {room: i for i, line in enumerate(ROOMS) for room in line.split()}
    room_of = {module.name: module.room for module in modules}
    found: Counter[str] = Counter()
    for source, targets in edges.items():
        for target in targets:
            low, high = room_of[source], room_of[target]
            if "-" in (low, high):
                continue  # the package itself gives public names lazily
            if low not in level or high not in level:
                found[f"{low} -> {high}: no level in ROOMS"] += 1
            elif level[low] > level[high]:
                found[f"{low} -> {high}"] += 1
    return found


def arrows(modules: Iterable[Module], edges: Edges) -> set[tuple[str, str]]:
    """Pairs of rooms of which one imports the other."""
    room_of = {module.name: module.room for module in modules}
    pairs = {(room_of[a], room_of[b]) for a, targets in edges.items() for b in targets}
    return {(a, b) for a, b in pairs if a != b}


# --- functions --------------------------------------------------------------------------------


def functions(modules: Iterable[Module]) -> Iterator[tuple[Module, Function]]:
    """Every function and method, nested ones too."""
    for module in modules:
        for node in statements(module.tree):
            if isinstance(node, Function):
                yield module, node


def code_lines(node: Function) -> int:
    """Lines from `def` to the end, less the docstring."""
    first = node.body[0]
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        size -= (first.end_lineno or first.lineno) - first.lineno + 1
    return size


def used_once(modules: Iterable[Module]) -> list[str]:
    """Private functions that their module names once for each definition, strings aside."""
    found = []
    for module in modules:
        private = Counter(
            node.name for _, node in functions([module])
            if node.name.startswith("_") and not node.name.endswith("__")
        )  # fmt: skip
        uses = Counter(names_used(module.tree))
        found += [f"{module.name}.{name}" for name, n in private.items() if uses[name] == n
                  for _ in range(n)]  # fmt: skip
    return found


def names_used(tree: ast.AST) -> Iterator[str]:
    """Every name and attribute that is read in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


# --- lines ------------------------------------------------------------------------------------


def skips_outside_tables(modules: Iterable[Module]) -> list[str]:
    """Places with `# fmt: skip` behind a statement that is no table."""
    found = []
    for module in modules:
        if "# fmt: skip" not in module.text:
            continue
        tables = {row for node in statements(module.tree) if is_table(node) for row in rows(node)}
        for number, line in enumerate(module.text.splitlines(), 1):
            if "# fmt: skip" in line and number not in tables:
                found.append(f"{module.name}:{number}")
    return found


def is_table(node: ast.AST) -> bool:
    """Whether a statement assigns one literal list, tuple, set, dictionary or call of such."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    value = node.value
    if isinstance(value, ast.Call) and len(value.args) == 1:
        value = value.args[0]
    return isinstance(value, ast.List | ast.Tuple | ast.Set | ast.Dict)


def rows(node: ast.AST) -> range:
    """The lines of a statement."""
    assert isinstance(node, ast.stmt)
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def plain_lines(package: Path) -> int:
    """Lines of all modules after `ruff format` with every skip taken out."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(package, Path(folder, PACKAGE)))
        for path in copy.rglob("*.py"):
            path.write_text("".join(SKIP.sub("", x) + "\n" for x in path.read_text().splitlines()))
        ruff = Path(sys.executable).with_name("ruff")
        command = [str(ruff), "format", "--quiet", "--line-length", str(line_length()), str(copy)]
        subprocess.run(command, check=True)
        return sum(len(path.read_text().splitlines()) for path in copy.rglob("*.py"))


def line_length() -> int:
    """The line length of the project."""
    settings = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    return int(settings["tool"]["ruff"]["line-length"])


# --- the report -------------------------------------------------------------------------------


def main() -> None:
    """Prints the figures, and the places behind those that should be 0."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    package = root / "src" / PACKAGE
    modules = read_modules(package)
    files, folders = entries(package)
    edges = import_edges(modules, typing=True)
    say("entries beside __init__, __main__, py.typed",
        f"{len(files)} modules, {len(folders)} folders", [*files, *folders])  # fmt: skip
    run_time = circles(import_edges(modules, typing=False))
    say("circles of imports without TYPE_CHECKING blocks", len(run_time), map(str, run_time))
    with_typing = circles(edges)
    say("circles of imports, all", len(with_typing), map(str, with_typing))
    up = climbing(modules, edges)
    say("imports that climb; rooms in the order of ROOMS", up.total(), map(str, up.items()))
    say("arrows between rooms (pairs of rooms, one importing the other)",
        len(arrows(modules, edges)), ())  # fmt: skip
    sizes = sorted(code_lines(node) for _, node in functions(modules))
    say("functions: p90 and longest, lines from def to end less the docstring",
        f"{sizes[len(sizes) * 9 // 10]} and {sizes[-1]} of {len(sizes)}", ())  # fmt: skip
    skips = skips_outside_tables(modules)
    say("'# fmt: skip' behind a statement that does not assign a literal", len(skips), skips[:20])
    once = used_once(modules)
    say("private functions that their module names once, of all functions",
        f"{len(once)} = {len(once) / len(sizes):.1%}", ())  # fmt: skip
    say("lines of src after plain formatting, skips ignored", plain_lines(package), ())
    lengths = sorted((m.text.count("\n"), m.name) for m in modules)
    say("longest module", f"{lengths[-1][1]}: {lengths[-1][0]} lines", ())


def say(definition: str, figure: object, places: Iterable[str]) -> None:
    """Prints one figure with its definition and the places behind it."""
    sys.stdout.write(f"{figure}  ({definition})\n")
    for place in places:
        sys.stdout.write(f"    {place}\n")


if __name__ == "__main__":
    main()
