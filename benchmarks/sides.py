"""The two kinds of holders that benchmarks/peer.py compares, which both go through its stages when told."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any, Protocol

import psutil
from local_run import (
    ROOT,
    STOP_LIMIT,
    ControllerRun,
    MeasurementFailed,
    cpu_seconds,
    disk_use,
    reference_variables,
    wallet_files,
)

from stampede.machine.ports import free_ports
from stampede.machine.wallet_space import TMPFS

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests/interop"))
from credo import node, node_modules
from installs import Missing

STEP_LIMIT = 60
"""Seconds within which a step must be done."""
STAGE_LIMIT = 600.0
"""Seconds within which all holders of a process must have gone through a stage."""
ENDS = {"connect": "connect", "receive": "receive_credential", "present": "present_proof"}
"""The stages of a round, and the step with which each ends for a holder of Stampede. ``receive`` connects, too."""
SCRIPT = """
import asyncio
from pathlib import Path

AT_ONCE = asyncio.Semaphore({at_once})
OPENED = {{}}


async def opened(gate):
    while not gate.exists():
        await asyncio.sleep(0.1)


async def told(stage, number):
    gate = Path({gates!r}, f"{{stage}}-{{number}}")
    if gate not in OPENED:
        OPENED[gate] = asyncio.ensure_future(opened(gate))  # one looks for all holders
    await OPENED[gate]


async def script(holder):
    for number in range({rounds}):
        await told("connect", number)
        async with AT_ONCE:
            await holder.connect("connect", f"connected {{number}}")
        await told("receive", number)
        async with AT_ONCE:
            issuer = await holder.connect("receive", f"received {{number}}")
            await holder.receive_credential(issuer)
        await told("present", number)
        async with AT_ONCE:
            await holder.present_proof("present")
    await holder.wait(86400)
"""


@dataclass(frozen=True)
class Journey:
    """What holders of both kinds do. ``invitations`` are the URLs that give one, by stage."""

    rounds: int
    at_once: int
    invitations: Mapping[str, str]


class Side(Protocol):
    """Holders of one kind that are ready."""

    made_ready: float
    """Seconds of CPU that it took to make them ready, with something that is the same for any number of them."""

    @property
    def processes(self) -> list[psutil.Process]:
        """All that they take."""

    def go_through(self, stage: str, number: int) -> None:
        """Take all holders through a stage of round ``number``. Raises MeasurementFailed when one of them fails."""

    def collect_garbage(self) -> None:
        """Free what the processes would free at some later time, if they have any."""

    def files(self) -> int:
        """Bytes of the wallets' and tails files."""


def cpu(side: Side) -> float:
    """Seconds of CPU of all its processes so far."""
    return sum(cpu_seconds(process) for process in side.processes)


class Stampede:
    """Holders of Stampede, in one agent."""

    def __init__(self, run: ControllerRun, gates: Path, holders: int) -> None:
        """``run`` waits for its start; its script waits for the files of ``gates``."""
        self._run, self._gates, self._holders = run, gates, holders
        self.made_ready = cpu(self)
        run.go()

    @property
    def processes(self) -> list[psutil.Process]:
        return [self._run.controller, *self._run.agents()]

    def go_through(self, stage: str, number: int) -> None:
        wanted = self._ended(stage) + self._holders
        deadline = time.monotonic() + STAGE_LIMIT
        (self._gates / f"{stage}-{number}").touch()
        while self._ended(stage) < wanted:
            steps = self._run.steps()
            if failed := sum(outcomes.get("failed", 0) for outcomes in steps.values()):
                raise MeasurementFailed(f"Stampede, {stage} of round {number + 1}: {failed} steps failed; {steps}")
            if self._run.over or time.monotonic() > deadline:
                raise MeasurementFailed(f"Stampede, {stage} of round {number + 1} did not end; {steps}")
            time.sleep(0.2)

    def collect_garbage(self) -> None:
        """Reference counts have freed most of it."""

    def files(self) -> int:
        return wallet_files(self._run)

    def _ended(self, stage: str) -> int:
        return self._run.steps().get(ENDS[stage], {}).get("ok", 0)


@contextlib.contextmanager
def stampede(folder: Path, services: Mapping[str, Any], journey: Journey, holders: int) -> Iterator[Stampede]:
    """So many holders of Stampede, ready and waiting to be told."""
    folder.mkdir()
    script = folder / "told.py"
    script.write_text(
        SCRIPT.format(gates=str(folder), rounds=journey.rounds, at_once=journey.at_once), encoding="utf-8"
    )
    invitations = {
        stage: {"invitation": {"url": url, "method": "POST"}} for stage, url in journey.invitations.items()
    }
    variables = reference_variables(
        {**services, "services": invitations, "mediator_did": ""},
        1,
        script=str(script),
        holders=holders,
        ramp_up=0,
        duration="24h",
        drain=5,
        step_timeout=STEP_LIMIT,
        on_failure="stop",
    )
    with ControllerRun(folder / "run", variables) as run:
        yield Stampede(run, folder, holders)
        run.stop()


def install_credo() -> None:
    """Install it if it is not. Raises MeasurementFailed when it cannot be had."""
    try:
        node_modules()
    except (Missing, AssertionError) as reason:
        raise MeasurementFailed(f"Credo cannot be had, for want of {reason}") from reason


class CredoProcess:
    """A Node.js process with some holders."""

    def __init__(self, folder: Path, trust: Path, given: Mapping[str, Any]) -> None:
        self._log = folder / "credo.log"
        with self._log.open("wb") as log:
            self._process = node(
                ROOT / "benchmarks/credo_holders.mjs",
                given,
                folder,
                trust,
                "--expose-gc",
                stdout=subprocess.PIPE,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, stage: str) -> None:
        """Begin a stage."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{stage}\n".encode())
            self._process.stdin.flush()

    def failures(self) -> list[str]:
        """Wait until it is up, or all holders have gone through the stage, and say which have failed, and why."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], STAGE_LIMIT)
        line = self._process.stdout.readline() if readable else b""
        if not line:
            what = "said nothing" if not readable else "ended"
            raise MeasurementFailed(f"Node.js {what}: {self._log.read_text(errors='replace')[-2000:]}")
        failed: list[str] = json.loads(line)["failed"]
        return failed

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Credo:
    """Holders that are agents of Credo, in one process or several."""

    def __init__(self, processes: list[CredoProcess], folder: Path, parallel: int) -> None:
        """``parallel`` of the processes are told at a time. The holders of all are made ready."""
        self._processes, self._folder, self._parallel = processes, folder, parallel
        for process in processes:
            process.failures()  # it is up
        start_of_one = cpu_seconds(self.processes[0])
        self._all("ready")
        self.made_ready = cpu(self) - start_of_one

    @property
    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(process.pid) for process in self._processes]

    def go_through(self, stage: str, number: int) -> None:
        self._all(stage, f" of round {number + 1}")

    def collect_garbage(self) -> None:
        self._all("collect")

    def files(self) -> int:
        return disk_use(self._folder)

    def _all(self, stage: str, which: str = "") -> None:
        failed: list[str] = []
        for some in batched(self._processes, self._parallel, strict=False):
            for process in some:
                process.tell(stage)
            failed += [failure for process in some for failure in process.failures()]
        if failed:
            raise MeasurementFailed(f"Credo, {stage}{which}: {len(failed)} holders failed: {'; '.join(failed[:3])}")


@contextlib.contextmanager
def credo(
    folder: Path, services: Mapping[str, Any], journey: Journey, holders: int, per_process: int
) -> Iterator[Credo]:
    """So many holders of Credo, ready, with up to ``per_process`` of them in each process."""
    folder.mkdir()
    at_once = min(journey.at_once, per_process)
    with contextlib.ExitStack() as stack:
        wallets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stampede-peer-", dir=TMPFS)))
        port = free_ports(holders)
        processes = []
        for first in range(0, holders, per_process):
            given = {
                "first": first,
                "count": min(per_process, holders - first),
                "port": port + first,
                "at_once": at_once,
                "limit": STEP_LIMIT * 1000,
                "folder": str(wallets),
                "services": journey.invitations,
            }
            home = folder / f"from-{first}"
            home.mkdir()
            process = CredoProcess(home, Path(services["ca_file"]), given)
            stack.callback(process.stop)
            processes.append(process)
        yield Credo(processes, wallets, journey.at_once // at_once)
