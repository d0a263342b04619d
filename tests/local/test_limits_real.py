"""Who gave way under a load: agents that get a fraction of a core, or a verifier that does."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil
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
PERIOD = 0.1


@contextmanager
def confined(find: Callable[[], list[psutil.Process]]) -> Iterator[None]:
    """Let the processes run for a fraction of the time, as a quota of their cgroup would."""
    over = threading.Event()

    def tell(processes: list[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(number)

    def confine() -> None:
        while not over.is_set():
            processes = find()
            tell(processes, signal.SIGSTOP)
            time.sleep(PERIOD * (1 - SHARE))
            tell(processes, signal.SIGCONT)
            time.sleep(PERIOD * SHARE)

    thread = threading.Thread(target=confine)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_agents_that_get_a_fraction_of_a_core_are_the_bottleneck(playbook: Playbook) -> None:
    def agents() -> list[psutil.Process]:
        state = playbook.state()
        if state.get("phase") != "running":
            return []
        return [psutil.Process(agent["pid"]) for agent in state["agents"] if psutil.pid_exists(agent["pid"])]

    with confined(agents):
        _, output = playbook.run(**LOAD)
    summary = playbook.summary()
    assert summary["generator"]["bottleneck"] is True, output
    assert [limit["name"] for limit in summary["limits"]][:1] == ["agent-0"], summary["limits"]
    assert not any(limit["kind"] == "service" for limit in summary["limits"])
    assert "agent-0 of host local could not keep up" in " ".join(output.split()).replace("Agent-0", "agent-0")


def test_a_verifier_that_cannot_keep_up_is_named(playbook: Playbook, reference: ReferenceServices) -> None:
    services = psutil.Process(reference.process.pid).children(recursive=True)
    verifier = [process for process in services if "Stampede reference verifier" in process.cmdline()]
    assert len(verifier) == 1

    with confined(lambda: verifier if playbook.state().get("phase") in ("running", "draining") else []):
        _, output = playbook.run(**LOAD | {"holders": 20})
    summary = playbook.summary()
    names = [(limit["kind"], limit["name"]) for limit in summary["limits"]]
    assert names[:1] == [("service", "verifier")], (names, output)
    assert ("service", "issuer") not in names
    assert summary["generator"]["bottleneck"] is False, summary["generator"]["reasons"]
