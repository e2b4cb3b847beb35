"""What the lab breaks on purpose is still there to be broken, found in seconds after a rename."""

from __future__ import annotations

import pytest

from lab.breaking import Breakage
from lab.guards import GUARDS
from lab.model_breaks import BREAKS


@pytest.mark.parametrize("broken", [*GUARDS, *BREAKS], ids=lambda one: one.what)
def test_the_lines_to_break_stand_once_in_the_source(broken: Breakage) -> None:
    assert broken.source().read_text().count(broken.right) == 1
