"""A process on this machine that lives on between tasks, and no longer than ansible-playbook does.

``state: started`` runs ``argv`` in a session of its own, with its output in ``log``, and adds
``--die-with PID`` of ansible-playbook, so that the process ends itself when the playbook is interrupted or
killed. With ``ready_file`` it then waits, telling the time, until the process has written that file.
``state: stopped`` asks process ``pid`` to end, waits, and ends it when it does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from stampede.machine.processes import is_alive
from stampede.schema.durations import seconds

PROGRESS_EVERY = 5.0
"""Seconds between two lines of progress."""


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"name", "state", "argv", "log", "cwd", "ready_file", "timeout", "pid"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        if self._connection.transport != "local":
            raise AnsibleActionFail(f"{args['name']} can be started on this machine only, not over SSH")
        if args["state"] == "stopped":
            result.update(changed=stop(int(args["pid"]), seconds(args.get("timeout", 10))))
            return result
        # The worker that runs this task is a child of ansible-playbook itself.
        playbook = os.getppid()
        pid = start([str(word) for word in args["argv"]], playbook, Path(args["log"]), args.get("cwd"))
        result.update(changed=True, pid=pid)
        if "ready_file" in args:
            problem = wait_until_ready(
                args["name"],
                pid,
                playbook,
                Path(args["ready_file"]),
                Path(args["log"]),
                seconds(args["timeout"]),
            )
            if problem:
                stop(pid, 10)
                result.update(failed=True, msg=problem)
        return result


def start(argv: list[str], playbook: int, log: Path, cwd: str | None) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*argv, "--die-with", str(playbook)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            start_new_session=True,
        )
    return process.pid


def wait_until_ready(name: str, pid: int, playbook: int, ready_file: Path, log: Path, timeout: float) -> str:
    """Returns when the process is ready, or with a sentence about why it will not be."""
    began = told = time.monotonic()
    while not ready_file.exists():
        now = time.monotonic()
        if not is_alive(pid):
            return f"{name} ended before they were ready: {last_line(log)} (all of it is in {log})"
        if now - began > timeout:
            return f"{name} were not ready after {timeout:.0f} s: {last_line(log)} (all of it is in {log})"
        if os.getppid() != playbook:
            return "ansible-playbook is gone"
        if now - told >= PROGRESS_EVERY:
            told = now
            Display().display(f"  {now - began:.0f} s: {last_line(log)}")
        time.sleep(0.1)
    return ""


def last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "not ready yet"


def stop(pid: int, timeout: float) -> bool:
    """Ask politely, wait, then insist on the process and its whole session. False: it was gone already."""
    if not is_alive(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + timeout
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    if is_alive(pid):
        os.killpg(pid, signal.SIGKILL)
    return True
