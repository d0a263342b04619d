"""A process that lives on between tasks of ansible-playbook, and no longer than ansible-playbook does."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stampede.machine.processes import is_alive

PROGRESS_EVERY = 5.0
"""Seconds between two lines of progress."""


def start(argv: Sequence[str], playbook: int, log: Path, cwd: str | None = None) -> int:
    """Start ``argv`` in a session of its own, with its output appended to ``log``; returns its process number.

    The program gets the further option ``--die-with PID`` of ansible-playbook, and must end when that process does.
    """
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


def wait_until_ready(
    name: str, pid: int, ready_file: Path, log: Path, timeout: float, tell: Callable[[str], None]
) -> str:
    """Wait until the process has written ``ready_file``, at most ``timeout`` seconds.

    Returns an empty text, or a sentence about why the process will not be ready, of which ``name`` is the subject
    (plural). ``tell`` gets a line of progress every few seconds.
    """
    parent = os.getppid()
    began = told = time.monotonic()
    while not ready_file.exists():
        now = time.monotonic()
        if not is_alive(pid):
            return f"{name} ended before they were ready: {last_line(log)} (the whole log is {log})"
        if now - began > timeout:
            return f"{name} were not ready after {timeout:.0f} s: {last_line(log)} (the whole log is {log})"
        if os.getppid() != parent:
            return "ansible-playbook has ended"
        if now - told >= PROGRESS_EVERY:
            told = now
            tell(f"{now - began:.0f} s: {last_line(log)}")
        time.sleep(0.1)
    return ""


def last_line(log: Path) -> str:
    """The last line of the log that is not empty."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "not ready yet"


def stop(pid: int, timeout: float) -> bool:
    """End a process: SIGTERM, and after ``timeout`` seconds SIGKILL for its whole session.

    Returns False when it had ended already.
    """
    if not is_alive(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + timeout
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    if is_alive(pid):
        os.killpg(pid, signal.SIGKILL)
    return True
