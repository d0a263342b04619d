"""Fleets for tests, and services for their runs."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from reference_services import reference_services

from .base import cache_folder
from .fleet import Fleet, down, one_at_a_time, traces, why_not_here
from .host import subnet


@contextmanager
def booted(letter: str, load_hosts: int = 3) -> Iterator[Fleet]:
    """A fleet of this process, taken down again without a trace.

    The test is skipped where no hosts can be booted, which STAMPEDE_REQUIRE_FLEET=1 makes a failure.
    """
    if reason := why_not_here():
        if os.environ.get("STAMPEDE_REQUIRE_FLEET") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with one_at_a_time():
        remove_dead()
    fleet = Fleet(name_of_this_process(letter), load_hosts)
    try:
        fleet.up()
        yield fleet
    finally:
        down(fleet.name)
    assert traces(fleet.name) == []


def remove_dead() -> None:
    """Take down the fleets of processes that were killed."""
    for left in (cache_folder() / "fleets").glob("*"):
        process = re.fullmatch(r"[tu](\d+)[a-z]?", left.name)
        if process and not Path("/proc", process[1]).exists():
            down(left.name)


def name_of_this_process(letter: str) -> str:
    """A name whose addresses this machine does not have yet, from another fleet."""
    taken = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    names = (f"{letter}{os.getpid()}{more}" for more in ("", *string.ascii_lowercase))
    return next(name for name in names if f"{subnet(name)}.1" not in taken)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Three load hosts, a services host and a metrics host."""
    with booted("t") as fleet:
        yield fleet


@pytest.fixture
def fresh() -> Iterator[Fleet]:
    """A load host, a services host and a metrics host that no other test has touched."""
    with booted("u", 1) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def services(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Settings of a run that tests services which are there already, on this machine.

    For tests that are about something else: other runs start the reference services on services-1 themselves.
    """
    folder = tmp_path_factory.mktemp("services")
    with reference_services(folder, "--public-host", fleet.gateway) as running:
        yield running.variables() | {"allowed_targets": [fleet.gateway]}
