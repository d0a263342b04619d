"""One fleet for all tests of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .fleet import Fleet, down, traces, why_not_here

NAME = "pytest"


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Three load hosts, a services host and a metrics host, taken down again without a trace.

    Skipped where no hosts can be booted, which STAMPEDE_REQUIRE_FLEET=1 makes a failure.
    """
    if reason := why_not_here():
        if os.environ.get("STAMPEDE_REQUIRE_FLEET") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    fleet = Fleet(NAME)
    try:
        fleet.up()
        yield fleet
    finally:
        down(NAME)
    assert traces(NAME) == []
