"""Tests on the fleet mostly wait; all others keep processors busy: `make test` has the two run side by side."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

OWN_FLEET = "tests/fleet/test_teardown.py"
"""Has hosts of its own: it need not wait for those that others share."""


class SideBySide(LoadScopeScheduling):
    """Two lots, each in its order on a worker of its own: what shares a fleet, and what shares ports."""

    def _split_scope(self, nodeid: str) -> str:
        shares_fleet = nodeid.startswith("tests/fleet/") and not nodeid.startswith(OWN_FLEET)
        return "fleet" if shares_fleet else "others"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SideBySide:
    return SideBySide(config, log)
