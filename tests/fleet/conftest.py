"""One fleet for all tests of a session, and services under test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reference_services import reference_services

from .base import cache_folder
from .fleet import Fleet, down, traces, why_not_here

NAME = f"t{os.getpid()}"
"""Two sessions on one machine keep out of each other's way."""


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Three load hosts, a services host and a metrics host, taken down again without a trace.

    Skipped where no hosts can be booted, which STAMPEDE_REQUIRE_FLEET=1 makes a failure.
    """
    if reason := why_not_here():
        if os.environ.get("STAMPEDE_REQUIRE_FLEET") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    for left in (cache_folder() / "fleets").glob("[tu]*"):  # of a session that was killed
        if left.name[1:].isdigit() and not Path("/proc", left.name[1:]).exists():
            down(left.name)
    fleet = Fleet(NAME)
    try:
        fleet.up()
        yield fleet
    finally:
        down(NAME)
    assert traces(NAME) == []


@pytest.fixture(scope="session")
def services(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Settings of a run that tests services which are there already, on this machine.

    For tests that are about something else: other runs start the reference services on services-1 themselves.
    """
    folder = tmp_path_factory.mktemp("services")
    with reference_services(folder, "--public-host", fleet.gateway) as running:
        yield running.variables() | {"allowed_targets": [fleet.gateway]}
