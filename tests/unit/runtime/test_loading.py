"""Nobody looks for garbage while modules are loaded, and everybody does afterwards."""

from __future__ import annotations

import gc

import pytest

from chilly_movies.runtime.loading import loading


class Knot:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_looked_for_again_whatever_ends_the_loading() -> None:
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_what_was_loaded_is_not_looked_through_again_and_garbage_that_comes_later_is() -> None:
    before = gc.get_freeze_count()
    with loading():
        loaded = [Knot() for _ in range(100)]
    try:
        assert gc.get_freeze_count() >= before + 100
        later = Knot()
        later_id = id(later)
        del later
        gc.collect()
        assert all(id(thing) != later_id or type(thing) is not Knot for thing in gc.get_objects())
    finally:
        if not before:  # all else that was frozen stays so
            gc.unfreeze()
    assert len(loaded) == 100
