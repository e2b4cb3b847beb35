"""What the process holds, for those who watch it for leaks: `kill -USR1 PID` logs it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_SHOWN = 12


def vitals() -> dict[str, Any]:
    """Tasks, threads, open descriptors, resident bytes and objects, after collecting garbage.

    Call it in the event loop, which it holds for a tenth of a second. What this system does not
    tell is None.
    """
    gc.collect()
    kinds = Counter(_kind(task) for task in asyncio.all_tasks())
    objects = gc.get_objects()
    most = Counter(type(thing).__name__ for thing in objects).most_common(_SHOWN)
    return {
        "tasks": kinds.total(),
        "task_kinds": dict(kinds.most_common(_SHOWN)),
        "threads": threading.active_count(),
        "descriptors": _descriptors(),
        "memory": _resident(),
        "objects": len(objects) + gc.get_freeze_count(),
        "most": dict(most),
    }


def freeze_garbage() -> None:
    """What is loaded by now stays: garbage is no longer looked for in it.

    A look through all of it takes a tenth of a second, in which nobody is answered.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Let the system have what is not used any more, where the C library can do that (glibc).

    Call it after much was freed; it takes about 10 ms.
    """
    gc.collect()
    trim()


def trim() -> None:
    """The same without looking for garbage first: half a millisecond."""
    if give := getattr(ctypes.CDLL(None), "malloc_trim", None):
        give(0)


@contextmanager
def telling() -> Iterator[None]:
    """Log them whenever SIGUSR1 comes; must be entered in the event loop."""
    number = getattr(signal, "SIGUSR1", None)
    if number is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(number, _tell)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)


def _tell() -> None:
    log.warning("vitals", **vitals())  # not hidden where only warnings are logged: it was asked for


def _kind(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", type(task.get_coro()).__name__)


def _descriptors() -> int | None:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir()) - 1  # the one that looks is open, too
    except OSError:
        return None


def _resident() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("VmRSS:")), None)
    return None if found is None else int(found.split()[1]) * 1024
