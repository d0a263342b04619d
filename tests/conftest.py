"""Tests on the fleet mostly wait; all others keep processors busy: `make test` has the two run side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

FLEET = Path(__file__).with_name("fleet")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two groups for pytest-xdist, each in its order: what shares ports, and what shares a fleet."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("fleet" if FLEET in item.path.parents else "others"))
