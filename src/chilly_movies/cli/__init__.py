"""The command line. `main` is the entry point of the program `chilly`."""

from __future__ import annotations

from collections.abc import Sequence

from chilly_movies.loading import loading


def main(arguments: Sequence[str] | None = None) -> int:
    """See `commands.main`."""
    with loading():
        from chilly_movies.cli import commands
    return commands.main(arguments)


__all__ = ["main"]
