"""A user who runs playbooks on this machine."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from ansible_playbook import PROGRAM, ansible_playbook, surroundings

from stampede.machine.ports import free_ports

PAIR = re.compile(r'([a-z_0-9]+)=("(?:[^"\\]|\\.)*"|[^, ]+)')


class Playbook:
    """Runs of ``run-test.yml``, with work folder and results in a folder of the test's own."""

    def __init__(self, folder: Path, variables: dict[str, Any]) -> None:
        self.run_id = re.sub(r"[^A-Za-z0-9]", "-", folder.name)
        self.run_dir = folder / "work" / self.run_id
        self.results = folder / "results" / self.run_id
        self._variables = {
            "stampede_run_id": self.run_id,
            "stampede_work_dir": str(folder / "work"),
            "stampede_results_dir": str(folder / "results"),
            "stampede_agent_port": free_ports(2),
            "stampede_agents": 1,
            "stampede_ramp_up": "2s",
            **variables,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str, within: Sequence[str] = (), **variables: Any) -> None:
        """Start a run; ``options`` of ansible-playbook, ``variables`` without the prefix ``stampede_``, ``within``: a
        command that runs the one that follows it."""
        extra = self._variables | {f"stampede_{name}": value for name, value in variables.items()}
        self.process = subprocess.Popen(
            [
                *within,
                PROGRAM,
                *("-i", "inventory/local", "playbooks/run-test.yml", "-e", json.dumps(extra)),
                *options,
            ],
            **surroundings(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end(self, limit: float = 400) -> tuple[int, str]:
        """Await the end; returns exit code and output."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=limit)
        return self.process.returncode, output

    def run(self, *options: str, **variables: Any) -> tuple[int, str]:
        """``start`` and ``end``."""
        self.start(*options, **variables)
        return self.end()

    def play(self, name: str, *options: str) -> tuple[int, str]:
        """Exit code and output of another playbook, about this run."""
        settings = {
            "stampede_run_id": self.run_id,
            "stampede_work_dir": str(self.run_dir.parent),
            "stampede_results_dir": str(self.results.parent),
        }
        return play_with(name, settings, *options)

    def state(self) -> dict[str, Any]:
        """The controller's state file; empty when there is none yet."""
        try:
            return json.loads((self.run_dir / "state.json").read_text())
        except FileNotFoundError:
            return {}

    def wait_for_steps(self, count: int, limit: float = 150) -> None:
        """Return as soon as more than ``count`` steps are ok. Fails with the output when the run ends before."""
        assert self.process is not None

        def reached() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the run ended early:\n{self.end()[1]}")
            return bool(self.state().get("steps", {}).get("ok", 0) > count)

        wait_for(reached, limit)

    def summary(self) -> dict[str, Any]:
        return json.loads((self.results / "summary.json").read_text())

    def journal(self, measurement: str = "step") -> list[dict[str, str]]:
        """The journal's records, before or after it was collected: tags, fields and ``time`` in seconds."""
        collected = list(self.results.glob("*/journal.lp.gz"))
        with gzip.open(collected[0], "rt") if collected else (self.run_dir / "journal.lp").open() as lines:
            return [
                {key: value.strip('"') for key, value in PAIR.findall(line)}
                | {"time": str(int(line.rsplit(" ", 1)[1]) / 1e9)}
                for line in lines
                if line.startswith(f"{measurement},") and line.endswith("\n")
            ]

    def left_running(self, within: float = 10) -> list[str]:
        """Command lines of processes that belong to this run, and have not ended ``within`` so many seconds: Ansible
        ends a little before its own."""
        end = time.monotonic() + within
        while (found := self._running()) and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def _running(self) -> list[str]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if any(self.run_id in word for word in words):
                found.append(" ".join(words))
        return found


def wait_for(condition: Any, limit: float) -> None:
    """Return as soon as ``condition()`` holds. Fails after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit:g} s"
        time.sleep(0.1)


def play_with(name: str, settings: dict[str, Any], *options: str) -> tuple[int, str]:
    """Exit code and output of a playbook on this machine."""
    inventory = ("-i", "inventory/local")
    done = ansible_playbook(*inventory, f"playbooks/{name}.yml", "-e", json.dumps(settings), *options)
    return done.returncode, done.stdout + done.stderr
