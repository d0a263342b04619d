"""Whole runs through ansible-playbook with real agents: to a good end, interrupted, broken off, and stopped."""

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from controller.ports import free_ports

REPOSITORY = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
SECRET = "s3cret-w0rd"


class Runner:
    """Starts playbooks for one run, whose every file is in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.run_id = re.sub(r"[^A-Za-z0-9]", "-", f"{folder.name[:40]}-{os.getpid()}")
        self.run_dir = folder / "work" / self.run_id
        self.results = folder / "results" / self.run_id
        first_port = free_ports(1 + (os.cpu_count() or 1))
        self.settings = {
            "stampede_run_id": self.run_id,
            "stampede_work_dir": str(folder / "work"),
            "stampede_results_dir": str(folder / "results"),
            "stampede_reference_port": first_port,
            "stampede_agent_port": first_port + 1,
            "stampede_holders": 3,
            "stampede_ramp_up": 1,
            "stampede_wait_max": 1,
        }
        self._started: list[subprocess.Popen[str]] = []

    def services(self) -> dict[str, Any]:
        """The reference services, called with a secret that they do not ask for."""
        url = f"https://localhost:{self.settings['stampede_reference_port']}"
        headers = {"Authorization": "Bearer ${secret:token}"}
        ids = {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"}
        return {
            "issuer": {
                "invitation": {"url": f"{url}/issuer/invitation", "headers": headers},
                "revocation": {"url": f"{url}/issuer/revocation", "body": ids},
            },
            "verifier": {"invitation": {"url": f"{url}/verifier/invitation", "headers": headers}},
        }

    def start(self, playbook: str = "run-test", **variables: Any) -> subprocess.Popen[str]:
        settings = self.settings | {f"stampede_{name}": value for name, value in variables.items()}
        process = subprocess.Popen(
            [ANSIBLE_PLAYBOOK, "-i", "inventory/local", f"playbooks/{playbook}.yml", "-e", json.dumps(settings)],
            cwd=REPOSITORY,
            env=os.environ | {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def play(self, playbook: str, **variables: Any) -> str:
        """The output of a playbook that ends well."""
        process = self.start(playbook, **variables)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output

    def start_and_wait_until_running(self, **variables: Any) -> subprocess.Popen[str]:
        process = self.start(duration="5m", watch_interval=1, **variables)
        assert process.stdout
        told = []
        for line in process.stdout:
            told.append(line)
            if "running |" in line and " 0 ok" not in line:
                return process
        raise AssertionError("".join(told))

    def processes(self) -> list[psutil.Process]:
        """Controller, agents and reference services of this run."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(self.run_id in word for word in process.info["cmdline"] or ())
        ]

    def leaves_nothing_running(self, within: float) -> None:
        end = time.monotonic() + within
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        assert not left

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        for left in self.processes():
            left.kill()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path)
    yield runner
    runner.end()


def journal(folder: Path) -> str:
    return gzip.decompress((folder / "journal.lp.gz").read_bytes()).decode()


def test_a_run_comes_home_whole(runner: Runner) -> None:
    output = runner.play("run-test", iterations=1, secrets={"token": SECRET}, services=runner.services())

    assert "Passed: no step failed" in output and "[ERROR]" not in output
    assert f"Report: {runner.results}/report.html" in output
    host = runner.results / "local"
    for file in ("state.json", "run.json", "controller_script.py", "logs/controller.log.gz", "logs/agent-0.log.gz"):
        assert (host / file).is_file(), file
    for name in ("issuer", "verifier", "mediator", "gateway"):
        assert (runner.results / "services/logs" / f"{name}.log.gz").is_file(), name
    for line in (host / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((host / name).read_bytes()).hexdigest() == digest

    summary = json.loads((runner.results / "summary.json").read_text())
    assert set(summary["steps"]) == {
        "connect_to_mediator",
        "request_invitation",
        "connect",
        "receive_credential",
        "present_proof",
        "request_revocation",
        "receive_revocation_notification",
        "delete_credential",
    }
    assert summary["steps"]["connect_to_mediator"]["ok"] == 3
    assert summary["steps"]["receive_credential"]["ok"] == 6
    record = json.loads((runner.results / "run.json").read_text())
    assert record["settings"]["stampede_holders"] == 3 and record["started"] < record["ended"]

    runner.leaves_nothing_running(within=5)
    assert "* Hand the secrets to the controller" in output and not (runner.run_dir / "secrets.json").exists()
    for folder in (runner.results, runner.run_dir):
        for file in folder.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert SECRET.encode() not in (gzip.decompress(content) if file.suffix == ".gz" else content), file
    assert SECRET not in output

    before = summary["steps"]
    (runner.results / "summary.json").unlink()
    runner.play("report", run_dir=str(runner.results))
    assert json.loads((runner.results / "summary.json").read_text())["steps"] == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_an_interrupted_run_leaves_nothing_running_and_can_be_collected(runner: Runner, how: signal.Signals) -> None:
    playbook = runner.start_and_wait_until_running()
    os.killpg(playbook.pid, how)
    playbook.communicate(timeout=30)
    assert playbook.returncode
    runner.leaves_nothing_running(within=10)

    output = runner.play("collect")
    assert f"Report: {runner.results}/report.html" in output
    assert "step," in journal(runner.results / "local")


def test_a_run_whose_controller_dies_is_reported_and_fails(runner: Runner) -> None:
    playbook = runner.start_and_wait_until_running()
    pid = json.loads((runner.run_dir / "state.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    output, _ = playbook.communicate(timeout=120)
    assert playbook.returncode == 2
    errors = [line for line in output.splitlines() if line.startswith("[ERROR]")]
    assert len(errors) == 1, output
    assert f"The controller on local (pid {pid}) died while running" in errors[0]
    assert (runner.results / "report.html").is_file()
    assert "step," in journal(runner.results / "local")
    runner.leaves_nothing_running(within=10)


def test_a_run_can_be_stopped_and_still_reports(runner: Runner) -> None:
    playbook = runner.start_and_wait_until_running()
    refused = runner.start("collect")
    assert "still goes on on local" in refused.communicate(timeout=60)[0] and refused.returncode
    runner.play("stop")
    output, _ = playbook.communicate(timeout=120)
    assert playbook.returncode == 0, output
    assert "Stopped before its end" in output
    assert json.loads((runner.results / "local/state.json").read_text())["phase"] == "stopped"
    runner.leaves_nothing_running(within=5)


def test_failed_steps_fail_the_playbook_unless_that_is_wanted(runner: Runner) -> None:
    script = runner.run_dir.parent.parent / "failing.py"
    script.write_text(
        "async def script(holder):\n"
        "    issuer = await holder.connect('issuer')\n"
        "    await holder.present_proof('verifier')\n"
    )
    playbook = runner.start(script=str(script), iterations=1, holders=1, step_timeout=3, mediator_did="")
    output, _ = playbook.communicate(timeout=120)
    assert playbook.returncode == 2, output
    assert re.search(r"^\[ERROR\] local: \d+ of \d+ steps failed \(.*present_proof", output, re.MULTILINE), output
    assert (runner.results / "report.html").is_file()


def test_agents_that_do_not_start_end_the_run_before_it_began(runner: Runner) -> None:
    playbook = runner.start(agent_args=["--no-such-argument"], reference_services=True)
    output, _ = playbook.communicate(timeout=120)
    assert playbook.returncode == 2
    errors = [line for line in output.splitlines() if line.startswith("[ERROR]")]
    assert len(errors) == 1 and "The controller on local failed: " in errors[0], output
    assert "--no-such-argument" in errors[0]
    assert (runner.results / "local/logs/controller.log.gz").is_file()
    runner.leaves_nothing_running(within=5)
