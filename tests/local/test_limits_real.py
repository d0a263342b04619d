"""Who gave way under a load: agents that get a fraction of a core, or a verifier that does."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from local_playbook import Playbook
from reference_services import ReferenceServices

LOAD = {
    "load_model": "flat_out",
    "holders": 8,
    "ramp_up": "10s",
    "duration": "35s",
    "drain": "30s",
    "presentations_min": 6,
    "presentations_max": 6,
    "fail_on_errors": False,
}
SHARE = 0.12
PERIOD = 100_000  # microseconds
CGROUPS = Path("/sys/fs/cgroup")


@contextmanager
def quota() -> Iterator[Path]:
    """A control group whose processes get a fraction of a core, together."""
    unified = (CGROUPS / "cgroup.controllers").exists()
    group = (CGROUPS if unified else CGROUPS / "cpu") / f"stampede-test-{os.getpid()}"
    limit = int(SHARE * PERIOD)
    try:
        group.mkdir()
        if unified:
            (CGROUPS / "cgroup.subtree_control").write_text("+cpu")
            (group / "cpu.max").write_text(f"{limit} {PERIOD}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD))
            (group / "cpu.cfs_quota_us").write_text(str(limit))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        if os.environ.get("STAMPEDE_REQUIRE_FLEET") == "1":
            raise
        pytest.skip(f"processes cannot be given a quota of CPU time: {error}")
    try:
        yield group / "cgroup.procs"
    finally:
        deadline = time.monotonic() + 30
        while group.exists():
            for pid in (group / "cgroup.procs").read_text().split():
                with suppress(OSError):  # it has ended
                    (group.parent / "cgroup.procs").write_text(pid)
            with suppress(OSError):  # busy until its last process has been reaped
                group.rmdir()
            assert time.monotonic() < deadline
            time.sleep(0.1)


@contextmanager
def confined(find: Callable[[], list[int]]) -> Iterator[None]:
    """Let the processes that ``find`` finds by and by have a fraction of a core."""
    over = threading.Event()

    def confine(members: Path) -> None:
        while not over.wait(0.1):
            for pid in find():
                with suppress(OSError):  # it has ended
                    members.write_text(str(pid))

    with quota() as members:
        thread = threading.Thread(target=confine, args=(members,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_agents_that_get_a_fraction_of_a_core_are_the_bottleneck(playbook: Playbook) -> None:
    def agents() -> list[int]:
        state = playbook.state()
        running = state["agents"] if state.get("phase") == "running" else []
        return [agent["pid"] for agent in running if agent["pid"]]

    with confined(agents):
        _, output = playbook.run(**LOAD)
    summary = playbook.summary()
    assert summary["generator"]["bottleneck"] is True, output
    assert [limit["name"] for limit in summary["limits"]][:1] == ["agent-0"], summary["limits"]
    assert not any(limit["kind"] == "service" for limit in summary["limits"])
    said = " ".join(output.split())
    assert re.search(
        r"Agent-0 of host local could not keep up: it used 1\d % of a core, had [\d.]+ threads wait", said
    )


def test_a_verifier_that_cannot_keep_up_is_named(playbook: Playbook, reference: ReferenceServices) -> None:
    services = psutil.Process(reference.process.pid).children(recursive=True)
    (verifier,) = (process.pid for process in services if "Stampede reference verifier" in process.cmdline())

    with confined(lambda: [verifier] if playbook.state().get("phase") in ("running", "draining") else []):
        _, output = playbook.run(**LOAD | {"holders": 20, "ramp_up": "20s", "duration": "45s"})
    summary = playbook.summary()
    names = [(limit["kind"], limit["name"]) for limit in summary["limits"]]
    assert names[:1] == [("service", "verifier")], (names, output)
    assert ("service", "issuer") not in names
    own = [reason for reason in summary["generator"]["reasons"] if "hypervisor" not in reason]
    assert own == []
