"""The command line. `main` is the entry point of the program `chilly`.

What is imported here is light: before `main` runs, Ctrl-C ends in Python's own traceback.
"""

from __future__ import annotations

from chilly_movies.cli.interruption import end_at_once, put_back

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """See `commands.main`. Until a command puts things in order by itself, Ctrl-C ends it at once.

    Args:
        arguments: what was typed after `chilly`; None = this process is that program.
    """
    before = end_at_once()
    try:
        from chilly_movies.runtime.loading import loading

        with loading():
            from chilly_movies.cli import commands
        return commands.main(arguments)
    finally:
        if arguments is not None:
            put_back(before)


__all__ = ["main"]
