"""What befalls hosts: the others finish, the report and the terminal say what happened to whom, nothing is left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .fleet import Fleet
from .playbooks import Played, Playing, host_variables, left_running, play

PROVISIONED = ("--skip-tags", "provision")
"""For runs on hosts that are known to be prepared."""
RUNNING = r"running +\d"
"""What the table says of a host on which the run goes on."""


@pytest.fixture(scope="module", autouse=True)
def provisioned(fleet: Fleet) -> None:
    """No fault here is about provisioning."""
    played = play(fleet, "provision")
    assert played.code == 0, played.output


@pytest.fixture(autouse=True)
def nothing_left(fleet: Fleet, provisioned: None) -> Iterator[None]:
    yield
    for host in fleet.hosts:
        if host.has_ended():  # its power was cut
            host.boot()
    fleet.wait_until_booted()
    left = left_running(fleet)
    if left:  # no other test is to fail because of this one
        for host in fleet.hosts:
            fleet.ssh(host, "sudo systemctl stop 'stampede-*'")
    assert left == []


def begin(fleet: Fleet, run: str, results: Path, *words: str, **variables: Any) -> Playing:
    """A run of some seconds, in which holders wait for the most part: other tests want the processors too."""
    usual = {"duration": 25, "ramp_up": 2, "drain": 5, "watch_interval": 2, "step_timeout": 45}
    usual |= {"wait_min": 2, "wait_max": 4, "start_delay": 4}
    return Playing(fleet, "run-test", *words, **{"run_id": run, "results_dir": str(results)} | usual | variables)


def until_ended(fleet: Fleet) -> None:
    """Return when no controller runs on any host."""
    deadline = time.monotonic() + 180
    while any("controller_script.py" in line for line in left_running(fleet)):
        assert time.monotonic() < deadline
        time.sleep(1)


def until_journaled(fleet: Fleet, name: str, run: str, steps: int) -> None:
    """Return when a host's journal holds so many steps, however slow this machine is."""
    count = f"sudo grep -c ^step, /var/lib/stampede/runs/{run}/journal.lp || true"
    deadline = time.monotonic() + 60
    while int(fleet.ssh(fleet[name], count).stdout or 0) < steps:
        assert time.monotonic() < deadline
        time.sleep(0.5)


class Results:
    """What a run has left on the control node."""

    def __init__(self, folder: Path) -> None:
        self.summary = json.loads((folder / "summary.json").read_text())
        self.hosts: dict[str, Any] = self.summary["hosts"]
        self.faults: list[dict[str, Any]] = json.loads((folder / "run.json").read_text())["faults"]
        self.page = (folder / "report.html").read_text()
        self.findings = " ".join(finding["text"] for finding in self.summary["run"]["findings"])

    def finished(self) -> list[str]:
        return sorted(name for name, host in self.hosts.items() if host["finished"])

    def steps(self, host: str) -> int:
        return sum(self.hosts[host]["steps"].values())

    def fault(self, host: str) -> dict[str, Any]:
        (fault,) = (fault for fault in self.faults if fault["host"] == host and fault["kind"] != "not_collected")
        return fault


@dataclass
class Faulty:
    """A run in which something happened, ``at`` epoch seconds."""

    at: float
    folder: Path
    played: Played

    @property
    def output(self) -> str:
        """What the terminal showed, without its line breaks."""
        return " ".join(self.played.output.split())

    @property
    def results(self) -> Results:
        return Results(self.folder)


# ----------------------------------------------------------- cables and power


@pytest.fixture(scope="module")
def cut(
    fleet: Fleet, provisioned: None, services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Faulty:
    """The cable of load-2 is pulled for 20 s, the power of load-3 is cut."""
    folder = tmp_path_factory.mktemp("cut")
    with begin(fleet, "cut", folder, *PROVISIONED, duration=50, **services) as going:
        going.until(f"load-3 +{RUNNING}")
        until_journaled(fleet, "load-3", "cut", steps=15)
        at = time.time()
        fleet["load-2"].cut_network()
        fleet["load-3"].cut_power()
        time.sleep(20)
        fleet["load-2"].mend_network()
        return Faulty(at, folder / "cut", going.end())


def test_a_host_whose_power_is_cut_is_lost_and_the_others_finish(cut: Faulty) -> None:
    assert cut.played.code != 0
    assert "load-3 was lost while running: unreachable since" in cut.output
    assert "stampede collect -e stampede_run_id=cut" in cut.output
    results = cut.results
    assert results.finished() == ["load-1", "load-2"] and min(map(results.steps, results.finished())) > 10
    fault = results.fault("load-3")
    assert fault["kind"] == "lost" and abs(fault["since"] - cut.at) < 5 and fault["until"] is None
    assert "load-3 was lost" in results.findings and results.steps("load-3") == 0


def test_what_it_had_journaled_comes_home_when_it_is_back(fleet: Fleet, cut: Faulty) -> None:
    collected = play(fleet, "collect", run_id="cut", results_dir=str(cut.folder.parent))
    assert collected.code == 0, collected.output
    results = cut.results
    assert results.steps("load-3") > 10 and results.finished() == ["load-1", "load-2"]
    assert "load-3 was lost" in results.findings


def test_a_host_whose_network_is_cut_for_a_while_finishes_too(cut: Faulty) -> None:
    assert "load-2 has been unreachable since" in cut.output and "load-2 could not be reached from" in cut.output
    results = cut.results
    assert results.hosts["load-2"]["finished"] and results.steps("load-2") > 10
    fault = results.fault("load-2")
    assert fault["kind"] == "unreachable"
    assert abs(fault["since"] - cut.at) < 5 and 18 < fault["until"] - cut.at < 40
    assert fault["text"] in results.findings and fault["text"] in results.page


# ------------------------------------------------------- controllers and disks


@pytest.fixture(scope="module")
def broken(
    fleet: Fleet, provisioned: None, services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Faulty:
    """The controller on load-1 is killed, the disk of load-2 fills and stays full."""
    folder, runs, full = tmp_path_factory.mktemp("broken"), "/var/lib/stampede/runs", fleet["load-2"]
    fleet.ssh(full, f"sudo mount -t tmpfs -o size=8m,uid=stampede,gid=stampede,mode=750 tmpfs {runs}")
    try:
        with begin(fleet, "broken", folder, *PROVISIONED, duration=60, **services) as going:
            going.until(f"load-2 +{RUNNING}")
            for name in ("load-1", "load-2"):
                until_journaled(fleet, name, "broken", steps=6)
            fleet.ssh(full, f"sudo head -c 20M /dev/zero | sudo tee {runs}/filled >/dev/null")
            at = time.time()
            fleet.ssh(fleet["load-1"], "sudo pkill -KILL -u stampede -f controller_script.py")
            going.until("The controller on load-1 .* died while running", 60)
            return Faulty(at, folder / "broken", going.end())
    finally:
        fleet.ssh(full, f"sudo umount {runs}")


def test_a_controller_that_is_killed(broken: Faulty) -> None:
    assert broken.played.code != 0
    results = broken.results
    assert "load-3" in results.finished() and "load-1" not in results.finished() and results.steps("load-1") > 5
    fault = results.fault("load-1")
    assert fault["kind"] == "died" and abs(fault["since"] - broken.at) < 5
    assert "The controller on load-1" in results.findings


def test_a_disk_that_is_full(broken: Faulty) -> None:
    assert "load-2: the journal /var/lib/stampede/runs/broken/journal.lp cannot be written since " in broken.output
    results = broken.results
    assert {"load-2", "load-3"} <= set(results.finished()) and results.steps("load-2") > 5
    assert "Host load-2 finished, but reported: the journal" in results.findings
    assert "UTC: No space left on device; records not in it yet: " in results.findings
    (loss,) = (loss for loss in results.summary["losses"] if loss["host"] == "load-2" and loss["kind"] == "records")
    assert loss["number"] > 0 and loss["text"] in results.findings and broken.output.count(loss["text"]) >= 2


# ------------------------------------------------------------ the control node


def test_the_control_node_is_lost_and_the_run_is_collected_later(fleet: Fleet, tmp_path: Path) -> None:
    with begin(fleet, "orphan", tmp_path, *PROVISIONED, duration=60) as going:
        going.until(f"load-3 +{RUNNING}")
    refused = play(fleet, "collect", run_id="orphan", results_dir=str(tmp_path))
    assert refused.code != 0 and "Run orphan is still active on load-1" in refused.output
    until_ended(fleet)
    collected = play(fleet, "collect", results_dir=str(tmp_path))
    assert collected.code == 0, collected.output
    results = Results(tmp_path / "orphan")
    assert results.finished() == ["load-1", "load-2", "load-3"]
    assert min(map(results.steps, results.hosts)) > 10 and results.summary["load"]["failed"] == 0


def test_a_run_is_stopped_from_elsewhere(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    with begin(fleet, "stopped", tmp_path, *PROVISIONED, duration=300, **services) as going:
        going.until(f"load-3 +{RUNNING}")
        stopped = play(fleet, "stop", results_dir=str(tmp_path))
        assert stopped.code == 0, stopped.output
        played = going.end()
    assert played.code == 0, played.output
    results = Results(tmp_path / "stopped")
    assert results.summary["run"]["outcome"] == "stopped"
    assert {host["phase"] for host in results.hosts.values()} == {"stopped"}


def test_a_run_is_ended_by_ctrl_c(fleet: Fleet, services: dict[str, Any], tmp_path: Path) -> None:
    with begin(fleet, "interrupted", tmp_path, *PROVISIONED, duration=300, **services) as going:
        going.until(f"load-3 +{RUNNING}")
        going.interrupt()
        assert going.end().code != 0
        assert "Interrupted: the controllers are asked to end the run" in going.output
    until_ended(fleet)
    collected = play(fleet, "collect", results_dir=str(tmp_path))
    assert collected.code == 0, collected.output
    assert {host["phase"] for host in Results(tmp_path / "interrupted").hosts.values()} == {"stopped"}


# -------------------------------------------------------------- before the start


FEW = {"holders": 5, "duration": 0, "min_hosts": 1}
"""A short run on the hosts that can take part."""


@pytest.fixture
def refused(fleet: Fleet) -> Iterator[str]:
    """A host whose SSH port refuses connections."""
    host = fleet["load-3"]
    fleet.ssh(host, "sudo systemctl stop ssh.socket ssh.service; sudo pkill -f sshd-session")
    yield host.name
    host.cut_power()
    host.boot()
    fleet.wait_until_booted()


def test_a_host_that_refuses_ssh_and_one_that_does_not_arm(
    fleet: Fleet, services: dict[str, Any], refused: str, tmp_path: Path
) -> None:
    called_off = begin(fleet, "all", tmp_path, *PROVISIONED, **services).end()
    assert called_off.code != 0 and f"{refused} cannot be reached: " in called_off.output
    assert f"The run is called off: {refused} cannot take part, and stampede_min_hosts is 0" in called_off.output
    assert not (tmp_path / "all").exists()

    with host_variables(fleet, "load-1", agent_args=["--no-such-argument"]):
        played = begin(fleet, "rest", tmp_path, *PROVISIONED, **FEW, **services).end()
    assert played.code == 0, played.output
    results = Results(tmp_path / "rest")
    assert results.finished() == ["load-2"] and results.hosts["load-2"]["holders"] == 5
    assert results.fault(refused)["kind"] == results.fault("load-1")["kind"] == "left_out"
    assert "Connection refused" in results.fault(refused)["text"]
    assert "--no-such-argument" in results.fault("load-1")["text"]
    assert (tmp_path / "rest/load-1/logs").is_dir()
    assert refused in results.findings and "load-1" in results.findings


@pytest.fixture
def wrong_clock(fleet: Fleet) -> Iterator[str]:
    """A host whose clock is 5 s ahead, for every process that begins there."""
    host = fleet["load-2"]
    library = fleet.ssh(host, "find /usr/lib -name libfaketime.so.1").stdout.strip()
    assert library
    fleet.ssh(host, f"echo +5s | sudo tee /etc/faketimerc; echo {library} | sudo tee /etc/ld.so.preload")
    yield host.name
    fleet.ssh(host, "sudo rm /etc/ld.so.preload /etc/faketimerc /dev/shm/*faketime*")


def test_a_wrong_clock_and_a_wrong_python(
    fleet: Fleet, services: dict[str, Any], wrong_clock: str, tmp_path: Path
) -> None:
    with host_variables(fleet, "load-1", host_python="/usr/bin/python2"):
        played = begin(fleet, "odd", tmp_path, **FEW, **services).end()
    assert played.code == 0, played.output
    assert f"The clock of {wrong_clock} is 5.0" in played.output and "stampede_max_clock_offset" in played.output
    assert "load-1: stampede_host_python is /usr/bin/python2, which on load-1 is no Python" in played.output
    results = Results(tmp_path / "odd")
    assert results.finished() == ["load-3"] and results.hosts["load-3"]["holders"] == 5
    assert results.fault(wrong_clock)["kind"] == results.fault("load-1")["kind"] == "left_out"
    assert wrong_clock in results.findings and "load-1" in results.findings
