"""Shared parts of the fleet benchmarks: a temporary test fleet, and playbooks whose time and memory are measured."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from local_run import ROOT, MeasurementFailed

sys.path.insert(0, str(ROOT))
from tests.fleet.commands import FleetError
from tests.fleet.fleet import Fleet, down, traces

NAME = "bench"
POLL_INTERVAL = 0.1
"""Seconds between two readings of the memory."""


@contextlib.contextmanager
def test_fleet(load_hosts: int) -> Iterator[Fleet]:
    """Yields freshly booted hosts, which are removed completely afterwards."""
    fleet = Fleet(NAME, load_hosts, lambda line: print(f"  {line}", flush=True))
    try:
        fleet.up()
        yield fleet
    except FleetError as error:
        raise MeasurementFailed(str(error)) from error
    finally:
        down(NAME)
    if left := traces(NAME):
        raise MeasurementFailed(f"The fleet left {', '.join(left)}")


@dataclass
class Played:
    """A playbook's output, with the time of each line, and its resource use. Seconds and bytes."""

    seconds: float = 0.0
    cpu: float = 0.0
    """CPU-seconds of the control node: ansible-playbook and all that it started here."""
    lines: list[tuple[float, str]] = field(default_factory=list)
    memory: int = 0
    """Peak memory of ansible-playbook and all its children together."""
    report_memory: int = 0
    """Peak memory of the process that writes the report."""
    report_began: float = 0.0
    report_seconds: float = 0.0


def play(playbook: str | Path, inventory: Path, **variables: Any) -> Played:
    """Run ``playbook``; ``variables`` without ``stampede_``. Raises MeasurementFailed with the end of its output."""
    extra = {f"stampede_{name}": value for name, value in variables.items()}
    program = Path(sys.executable).with_name("ansible-playbook")
    played = Played()
    began, before = time.monotonic(), _children_cpu()
    process = subprocess.Popen(
        [str(program), "-i", str(inventory), str(playbook), "-e", json.dumps(extra)],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    polling = threading.Thread(target=_poll_memory, args=(process, played, began))
    polling.start()
    try:
        assert process.stdout is not None
        played.lines = [(time.monotonic() - began, line.rstrip()) for line in process.stdout]
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        polling.join()
    played.seconds, played.cpu = time.monotonic() - began, _children_cpu() - before
    if process.returncode:
        said = "\n".join(line for _, line in played.lines[-15:])
        raise MeasurementFailed(f"{playbook} failed:\n{said}")
    return played


def _children_cpu() -> float:
    """CPU-seconds of the processes that ended as this one's children, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _poll_memory(process: subprocess.Popen[str], played: Played, began: float) -> None:
    top = psutil.Process(process.pid)
    while process.poll() is None:
        together = 0
        with contextlib.suppress(psutil.Error):
            for part in [top, *top.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    # PSS counts memory that forked workers share only once.
                    used = part.memory_full_info().pss
                    together += used
                    if any(Path(word).name == "stampede" for word in part.cmdline()):
                        now = time.monotonic() - began
                        played.report_began = played.report_began or now
                        played.report_seconds = now - played.report_began
                        played.report_memory = max(played.report_memory, used)
        played.memory = max(played.memory, together)
        time.sleep(POLL_INTERVAL)


def row(*columns: object) -> None:
    """Print a row of a table, with a wide first column."""
    first, *others = columns
    print(f"  {first:<44}" + "".join(f"{other!s:>14}" for other in others), flush=True)
