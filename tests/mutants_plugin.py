"""How pytest runs below mutmut: what is quick to notice something goes first.

A mutant of the core often makes a test wait in vain. The tests of the units, which never wait, come
first, and the others wait less long; without a mutant they take half a second at most.
"""

from __future__ import annotations

import pytest

from tests import doubles

doubles.PATIENCE = 4.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Units first, else as they come."""
    items.sort(key=lambda item: "tests/unit/" not in item.nodeid)
