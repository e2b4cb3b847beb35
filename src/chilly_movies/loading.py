"""While modules are loaded, nobody looks for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import within it: what is loaded is not looked through again and again meanwhile.

    Modules leave little behind, and looking for it took a seventh of a start. What runs for long
    looks once (`vitals.settle`).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
