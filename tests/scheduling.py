"""How pytest-xdist spreads the tests over its workers: tests that share something costly stay together."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

SHARED = ("tests/cloud/", "tests/local/", "tests/fleet/", "tests/interop/")
"""Folders whose tests share clouds, running reference services, a booted fleet, or running agents of others."""
APART = (
    "tests/fleet/test_containerfile.py",
    "tests/fleet/test_faults.py",
    "tests/fleet/test_teardown.py",
    "tests/local/test_badinput.py",
    "tests/local/test_dashboards.py",
    "tests/local/test_elsewhere.py",
    "tests/local/test_installed.py",
    "tests/local/test_reference_process.py",
    "tests/local/test_watch.py",
)
"""Modules of these folders that any worker may take: most do without what the others share, and to the first of them
a fleet of its own is worth the minute that it takes to boot and provision it."""
ALONE = ("tests/local/test_limits_real.py",)
"""Modules whose tests are about a machine that is busy with nothing else: they come last, on one worker, while the
others end what they have."""
LAST = (
    "tests/fleet/test_influxdb.py",
    "tests/fleet/test_metrics.py",
    "tests/fleet/test_postgresql.py",
    "tests/interop/test_mediators.py",
    "tests/interop/test_peer.py",
    "tests/local/test_influxdb.py",
    "tests/local/test_otlp_run.py",
)
"""Modules of these folders that come after the others: they are about what a run can do without."""
WITHOUT_AGENTS = (
    *("tests/unit/", "tests/hostile/", "tests/browser/"),
    *("tests/local/test_dashboards.py", "tests/fleet/test_containerfile.py"),
)
"""They come first, so that they are never left out for want of time."""
FIRST = ("tests/cloud/", "tests/local/test_installed.py")
"""They come next: without them no release is made."""
ORDER = tuple(dict.fromkeys((*WITHOUT_AGENTS, *FIRST, *SHARED, *APART)))
LONGEST_TEST = 180
"""Seconds; pytest-timeout counts them, too."""
DEADLINE = "STAMPEDE_TEST_DEADLINE"
"""Environment variable: seconds since 1970 after which no test with real agents is begun. They are skipped then, with
a reason for each module. Without it all tests are run."""


def lot_of(test: str) -> str:
    """The lot that a test belongs to. The tests of a lot run on one worker, in their order."""
    module = test.split("::", 1)[0]
    if module in (*APART, *ALONE):
        return module
    shared = next(filter(module.startswith, SHARED), module)
    if shared == "tests/local/":  # is long, and a second set of reference services starts in half a minute
        return f"{shared}{'a-l' if module < 'tests/local/test_m' else 'm-z'}"
    return shared


def place(lot: str) -> int:
    """A lot's place in the queue."""
    if lot in ALONE:
        return len(ORDER)
    if lot in ORDER:
        return ORDER.index(lot)
    return max((number for number, start in enumerate(ORDER) if lot.startswith(start)), default=-1)


class LotScheduling(LoadScopeScheduling):
    """Gives a worker that is free the next lot."""

    def _split_scope(self, nodeid: str) -> str:
        return lot_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=place), last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        others = [other for other in self.nodes if other is not node and not other.shutting_down]
        if others and self.workqueue and all(lot in ALONE for lot in self.workqueue):
            if not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 2:
                node.shutdown()  # it does what it has, and the last of the workers does the rest
            return
        super()._reschedule(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LotScheduling:
    return LotScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules last that are LAST."""
    items.sort(key=lambda item: item.nodeid.startswith(LAST))


def pytest_testnodedown(node: WorkerController) -> None:
    """End a worker's process with its tests; it would stay until all workers are done."""
    node.gateway.exit()


def is_alone() -> bool:
    """Whether no other worker of this run of pytest is at work."""
    own = psutil.Process()
    if "PYTEST_XDIST_WORKER" not in os.environ or (pytest_itself := own.parent()) is None:
        return True
    for other in pytest_itself.children():
        with suppress(psutil.NoSuchProcess):
            if other != own and other.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin nothing long when the time is over, and what has to be alone when the others are done."""
    deadline = float(os.environ.get(DEADLINE, "inf"))
    if time.time() > deadline and item.nodeid.startswith(SHARED):
        pytest.skip(f"this machine was too slow to come to {item.nodeid.split('::', 1)[0]} in time")
    if lot_of(item.nodeid) in ALONE:
        end = time.monotonic() + LONGEST_TEST
        while not is_alone() and time.monotonic() < end:
            time.sleep(1)
