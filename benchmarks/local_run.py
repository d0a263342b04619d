"""Shared parts of the benchmarks: settings, reference services, a controller with its agents, and figures."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import yaml

from stampede.machine.ports import free_ports
from stampede.machine.wallet_space import TMPFS

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "templates"
START_LIMIT = 180.0
"""Seconds within which services and agents must start."""
STOP_LIMIT = 60.0
OTHER_LAUNCHER = """
import runpy, sys
from controller.agents import process
process.LAUNCHER = sys.argv[1]
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a controller script whose agents are started by the module given as the first argument."""


class MeasurementFailed(Exception):
    """The measurement could not be made."""


def default_variables(**changes: Any) -> dict[str, Any]:
    """The defaults of role run with ``changes``, each named without ``stampede_``."""
    text = (ROOT / "roles/run/defaults/main.yml").read_text(encoding="utf-8")
    named = {f"stampede_{name}": value for name, value in changes.items()}
    defaults: dict[str, Any] = yaml.safe_load(text)
    return defaults | {"stampede_host_name": "local", "stampede_run_id": "benchmark"} | named


def service_variables(port: int = 9443) -> dict[str, Any]:
    """``stampede_services`` of the local inventory, for simulated services."""
    host = f"https://localhost:{port}"
    revoked = {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"}
    return {
        "issuer": {
            "invitation": {"url": f"{host}/issuer/invitation"},
            "revocation": {"url": f"{host}/issuer/revocation", "body": revoked},
        },
        "verifier": {
            "invitation": {"url": f"{host}/verifier/invitation"},
            "result": {
                "url": f"{host}/verifier/presentations/${{answer:/presentation_id}}",
                "found_at": "/state",
                "verified": ["verified"],
                "refused": ["failed"],
                "pending": ["pending"],
            },
        },
    }


def reference_variables(services: Mapping[str, Any], agents: int, **changes: Any) -> dict[str, Any]:
    """Settings for the default scenario against running reference services; ``services`` is their services.json."""
    found = {
        "agents": agents,
        "agent_port": free_ports(agents),
        "presentations_max": 3,
        **{name: services[name] for name in ("mediator_did", "services", "ca_file", "agent_plugins")},
    }
    return default_variables(**found | changes)


@contextlib.contextmanager
def reference_services(folder: Path, port: int) -> Iterator[dict[str, Any]]:
    """Starts the reference services for the benchmark; yields the contents of their services.json."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "reference", "--dir", str(folder), "--port", str(port)]
    command += ["--die-with", str(os.getpid())]
    with _process(command, folder / "reference.out") as process:
        description = folder / "services.json"
        _until(description.exists, process, "the reference services", folder / "reference.out")
        yield json.loads(description.read_text(encoding="utf-8"))


class ControllerRun:
    """A rendered controller script, run as on a load host: ``with ControllerRun(...) as run``."""

    def __init__(self, folder: Path, variables: Mapping[str, Any], launcher: str = "") -> None:
        """``launcher`` is a module that starts the agents instead of Stampede's own."""
        self.folder = folder
        self._launcher = launcher
        self._variables = variables
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        from stampede.prepare.rendering import render_script

        self.folder.mkdir(parents=True)
        script = self.folder / "controller_script.py"
        script.write_text(render_script(self._variables, TEMPLATES, ROOT), encoding="utf-8")
        command = [sys.executable, str(script)]
        if self._launcher:
            command = [sys.executable, "-c", OTHER_LAUNCHER, self._launcher, str(script)]
        command += ["run", "--run-dir", str(self.folder)]
        command += ["--die-with", str(os.getpid())]
        output = self.folder / "controller.out"
        self._process = self._stack.enter_context(_process(command, output))
        _until(lambda: self.state.get("phase") == "armed", self._process, "the controller", output)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def state(self) -> dict[str, Any]:
        """The current contents of ``state.json``; empty if there is none."""
        with contextlib.suppress(OSError, ValueError):
            state: dict[str, Any] = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            return state
        return {}

    @property
    def controller(self) -> psutil.Process:
        """The controller's process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def agents(self) -> list[psutil.Process]:
        """The agents' processes."""
        return [psutil.Process(agent["pid"]) for agent in self.state["agents"]]

    def go(self) -> None:
        """Start the load phase."""
        (self.folder / "go.json").write_text(json.dumps({"start_at": time.time()}), encoding="utf-8")

    def stop(self) -> None:
        """Ask the controller to end the run, and wait for its exit."""
        (self.folder / "stop").touch()
        assert self._process is not None
        self._process.wait(STOP_LIMIT)

    @property
    def over(self) -> bool:
        """Whether the controller has exited."""
        assert self._process is not None
        return self._process.poll() is not None

    def steps(self) -> dict[str, dict[str, int]]:
        """Counts of the steps in the journal: name -> outcome -> count."""
        counts: dict[str, dict[str, int]] = {}
        for tags, _ in self._journal():
            outcomes = counts.setdefault(tags["step"], {})
            outcomes[tags["outcome"]] = outcomes.get(tags["outcome"], 0) + 1
        return counts

    def outcomes(self) -> dict[str, int]:
        """Counts of all steps in the journal, ``ok`` and ``failed``."""
        counts = self.steps().values()
        return {name: sum(outcomes.get(name, 0) for outcomes in counts) for name in ("ok", "failed")}

    def wait(self, seconds: float) -> None:
        """Wait while the run goes on. Raises MeasurementFailed when it has ended then."""
        time.sleep(seconds)
        if self.over:
            raise MeasurementFailed(f"the controller has ended; see {self.folder}")

    def service_times(self) -> dict[str, list[float]]:
        """Seconds that successful steps took, by step."""
        times: dict[str, list[float]] = {}
        for tags, line in self._journal():
            if tags["outcome"] == "ok":
                taken = line.split(",service_time=", 1)[1].split(",", 1)[0]
                times.setdefault(tags["step"], []).append(float(taken))
        return times

    def _journal(self) -> Iterator[tuple[dict[str, str], str]]:
        """The tags of each step in the journal, and its line."""
        with (self.folder / "journal.lp").open(encoding="utf-8") as journal:
            for line in journal:
                if line.startswith("step,"):
                    yield dict(part.split("=", 1) for part in line.split(" ", 1)[0].split(",")[1:]), line


@dataclass(frozen=True)
class LoadPhase:
    """Resource use of a run from its start until the last holder finished. CPU in core-seconds."""

    seconds: float
    controller: float
    agents: float
    agents_beside: float
    """Of these, what was not used by the agents' main threads."""
    ok: int
    failed: int
    lags: list[tuple[float, float]]
    """For each second, the schedule lag's p99 and the maximum event loop lag, from ``state.json``."""


def load_phase(run: ControllerRun) -> LoadPhase:
    """Start the armed ``run`` and measure until its last holder has finished."""
    processes = [run.controller, *run.agents()]
    before = [(cpu_seconds(process), main_thread_seconds(process)) for process in processes]
    now, end, lags = before, 0.0, {}
    begun = time.monotonic()
    run.go()
    while not run.over:
        state = run.state
        try:
            now = [(cpu_seconds(process), main_thread_seconds(process)) for process in processes]
            end = time.monotonic()
        except psutil.Error:
            break  # the agents are being stopped: the last reading is the load phase's end
        lags[state["time"]] = state["lag_p99"], state["loop_lag_max"]
        if state["holders"]["finished"] + state["holders"]["stopped"] == state["holders"]["total"]:
            break
        time.sleep(0.1)
    counts = run.outcomes()
    if not counts["ok"]:
        raise MeasurementFailed(f"no step succeeded; see {run.folder}")
    (controller, _), *agents = [
        (used - used_before, main - main_before)
        for (used_before, main_before), (used, main) in zip(before, now, strict=True)
    ]
    used = sum(used for used, _ in agents)
    beside = used - sum(main for _, main in agents)
    return LoadPhase(end - begun, controller, used, beside, counts["ok"], counts["failed"], list(lags.values()))


def exit_code(measure: Callable[[argparse.Namespace, Path], None], arguments: argparse.Namespace) -> int:
    """Measure in a temporary folder; returns 1, after printing the reason, if that failed.

    As many files as allowed can be open: each phone takes one in an agent and three in the reference services.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="stampede-benchmark-") as folder:
        try:
            measure(arguments, Path(folder))
        except MeasurementFailed as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def check_linux() -> None:
    """Raises MeasurementFailed on other systems, where psutil does not know a process's own memory."""
    if not psutil.LINUX:
        raise MeasurementFailed("memory is measured on Linux only")


def cpu_seconds(process: psutil.Process) -> float:
    """CPU seconds used by a process, user and system, without its children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def wallet_files(run: ControllerRun) -> int:
    """Bytes of the agents' private folders, which hold wallets and tails files."""
    bases = (TMPFS, run.folder)  # where controller.agents.pool puts them
    return sum(disk_use(folder) for base in bases for folder in base.glob(f"stampede-{run.controller.pid}-*"))


def disk_use(folder: Path) -> int:
    """Bytes that the files below ``folder`` take."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def main_thread_seconds(process: psutil.Process) -> float:
    """CPU seconds used by a process's main thread, user and system."""
    (times,) = (thread for thread in process.threads() if thread.id == process.pid)
    return float(times.user_time + times.system_time)


def verdict(value: float, most: float) -> str:
    """Whether a target is reached, as a word."""
    return "reached" if value <= most else "missed"


@contextlib.contextmanager
def _process(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(done: Any, process: subprocess.Popen[bytes], what: str, output: Path) -> None:
    end = time.monotonic() + START_LIMIT
    while not done():
        if process.poll() is not None:
            said = output.read_text(errors="replace").strip()
            raise MeasurementFailed(f"{what} exited with {process.returncode}: {said or output}")
        if time.monotonic() > end:
            raise MeasurementFailed(f"{what} did not start within {START_LIMIT:g} s; see {output.parent}")
        time.sleep(0.1)
