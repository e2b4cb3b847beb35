"""Finds every place of a source that starts another program, however it is spelled."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

_STARTERS = (
    "os.system", "os.popen", "os.exec", "os.spawn", "os.posix_spawn", "os.startfile", "os.fork",
    "subprocess.", "asyncio.create_subprocess", "asyncio.subprocess.create_subprocess",
    "asyncio.subprocess.subprocess", "asyncio.base_subprocess", "asyncio.unix_events", "pty.",
    "multiprocessing.", "concurrent.futures.process", "concurrent.futures.ProcessPool",
    "webbrowser.", "anyio.run_process", "anyio.open_process", "anyio.to_process",
    "_posixsubprocess", "_winapi.",
)  # fmt: skip
_METHODS = {"subprocess_exec", "subprocess_shell", "create_subprocess_shell", "posix_spawn"}
"""Whoever they belong to."""
_HINTS = re.compile(
    r"\bsystem\b|popen|\bexec|spawn|startfile|fork|subprocess|unix_events|\bpty\b|multiprocessing"
    r"|concurrent|webbrowser|anyio|winapi"
)
"""A source without any of these names no starter; most need not be parsed."""
_SHELLS = ("/bin/sh", "sh", "/bin/bash", "bash", "cmd", "cmd.exe", "powershell")
_SHELL_HINTS = re.compile(r"shell|\b(sh|bash|cmd)\b")


def starts(source: str) -> Iterator[tuple[str, str]]:
    """Each function that names a starter, and the starter; "" is the module itself.

    A starter that is only named counts, too: it may be called under another name.
    """
    if not _HINTS.search(source):
        return
    tree = ast.parse(source)
    names = _imported(tree)
    yield from ((place, name) for place, name in _walk(tree, "", names) if _is_starter(name))


def shells(source: str) -> Iterator[int]:
    """The lines of calls that take a `shell`, and of words that a shell would be started with."""
    if not _SHELL_HINTS.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        takes = isinstance(node, ast.Call) and any(word.arg == "shell" for word in node.keywords)
        names = isinstance(node, ast.Constant) and node.value in _SHELLS
        if isinstance(node, ast.expr) and (takes or names):
            yield node.lineno


def _is_starter(name: str) -> bool:
    return name.startswith(_STARTERS) or name.rpartition(".")[2] in _METHODS


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                whole = one.name if one.asname else one.name.partition(".")[0]
                names[one.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                names[one.asname or one.name] = f"{node.module}.{one.name}"
    return names


def _walk(node: ast.AST, place: str, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every dotted name, imports resolved, and every module that is imported by its name."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        place = node.name
    if isinstance(node, ast.Attribute | ast.Name):
        yield place, _dotted(node, names)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield place, f"{node.value}." if node.value.isidentifier() else ""
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, place, names)


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""
