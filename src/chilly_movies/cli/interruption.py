"""What Ctrl-C (SIGINT) does while the program starts: it ends at once, and says nothing.

Python's own answer is a `KeyboardInterrupt` wherever the program is just then, in the midst of an
import say, whose traceback nobody needs. Nothing is begun by then that would have to be put in
order.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    # what the module `signal` wraps: its enums take as long to load as all that comes before
    signal = sys.modules.get("signal") or __import__("_signal")

_INTERRUPTED = 130
"""The exit code: 128 and the number of the signal, as shells have it."""


def end_at_once() -> Any:
    """Lets Ctrl-C end the program from now on; returns what it did before.

    A process that was told to ignore it, as `nohup` and shells do, goes on to ignore it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        put_back(_end)
    return before


def put_back(handler: Any) -> None:
    """Restores what Ctrl-C does; outside of the main thread, where it never comes, does nothing."""
    try:
        signal.signal(signal.SIGINT, handler)
    except ValueError:
        return


class InOrder:
    """A context in which Ctrl-C is a `KeyboardInterrupt`: there is something to be put in order."""

    def __enter__(self) -> None:
        """Let it raise."""
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is _end:
            put_back(signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        """Let it end the program again."""
        if self._before is _end:
            put_back(_end)


def _end(_number: int, _frame: object) -> None:
    os._exit(_INTERRUPTED)
