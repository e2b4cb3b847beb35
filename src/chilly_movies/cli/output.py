"""The only way to a terminal: everything any command says goes through an `Output`."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import IO, Any, NoReturn

from rich.console import Console, RenderableType
from rich.text import Text

_WIDE = 10_000
"""Columns of what is no terminal: lines are never wrapped for a program that reads them."""


class _Console(Console):
    """A console that leaves a broken pipe to `main`."""

    def on_broken_pipe(self) -> NoReturn:
        """Called while the error is being handled; the default would end the program here."""
        raise BrokenPipeError


def _console(file: IO[str], *, stderr: bool = False) -> Console:
    console = _Console(
        file=file, stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True
    )
    if not console.is_terminal:
        console.width = _WIDE
    return console


def clean(text: str) -> str:
    """Removes everything a terminal would obey: names and reasons come from strangers."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class Output:
    """The output of a command, for people or as JSON.

    Args:
        as_json: standard output carries JSON and nothing else.
        stdout: where results go.
        stderr: where errors and remarks go.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
    ) -> None:
        self.as_json = as_json
        self.console = _console(_forgiving(stdout or sys.stdout))
        self._errors = _console(_forgiving(stderr or sys.stderr), stderr=True)

    @property
    def is_live(self) -> bool:
        """True if a person looks at a terminal that can be redrawn."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and not self.as_json

    def say(self, text: str) -> None:
        """Prints a line for people; nothing in JSON mode."""
        if not self.as_json:
            self._line(self.console, clean(text))

    def show(self, what: RenderableType) -> None:
        """Prints a table, say, for people; nothing in JSON mode."""
        if not self.as_json:
            self.console.print(what, soft_wrap=False)
            self.flush()

    def raw(self, text: str) -> None:
        """Prints a text of ours as it is, for a file or a shell; in every mode."""
        self.console.file.write(text + "\n")
        self.flush()

    def document(self, value: Any) -> None:
        """Prints the one JSON document of a command; nothing for people."""
        if self.as_json:
            self._line(self.console, json.dumps(value, indent=2))

    def record(self, value: Any) -> None:
        """Prints one of several JSON lines; nothing for people."""
        if self.as_json:
            self._line(self.console, json.dumps(value))

    def note(self, text: str) -> None:
        """Prints a remark on standard error, in every mode."""
        self._line(self._errors, f"chilly: {clean(text)}")

    def error(self, text: str) -> None:
        """Prints an error on standard error, in every mode, as one line."""
        self._line(self._errors, f"chilly: error: {clean(' '.join(text.split()))}")

    def flush(self) -> None:
        """Flushes everything; a broken pipe shows here at the latest."""
        self.console.file.flush()

    def _line(self, console: Console, text: str) -> None:
        console.print(Text(text))
        console.file.flush()


def _forgiving(file: IO[str]) -> IO[str]:
    """The same file; what its encoding lacks is replaced, so that no name can stop us."""
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(errors="replace")
    return file


def drop_stdout() -> None:
    """Discards what is still buffered, after the reader of a pipe went away."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
