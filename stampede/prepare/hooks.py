"""``setup`` and ``teardown`` of a scenario, which the control node calls once a run, in a process of their own."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stampede.machine.bounded_process import NoAnswer, answer_of
from stampede.machine.files import read_json, write_json
from stampede.machine.home import HOME
from stampede.machine.processes import is_alive
from stampede.prepare.rendering import without_secrets
from stampede.schema.errors import BadInput
from stampede.schema.json_form import to_json
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.secret_settings import read_secrets
from stampede.schema.settings.variable_reader import VariableReader
from stampede.schema.teardown_file import NOT_RUN, TEARDOWN_FILE, TeardownRecord

HOSTS_ARE_STOPPED = signal.SIGUSR1
"""Tells the process that all load hosts have ended the run, or were asked to by an interrupted playbook."""
MARGIN = 5.0
"""Seconds that the process gets beyond its time, to tell by itself what keeps it."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """What came of setup."""

    shared: dict[str, Any]
    """What it returned; it may hold secrets."""
    pid: int
    """The process that calls teardown; 0 when there is none to call."""


def set_up(
    variables: Mapping[str, Any], secrets: Mapping[str, str], project: Path, results: Path, playbook: int
) -> SetUp:
    """Call the scenario's setup, if it has one. ``playbook``: the process of the playbook, which may end before it
    has called ``tear_down``.

    Raises BadInput with a sentence when it fails, takes too long, or returns what it must not.
    """
    timeout, reader = timeout_of(variables), VariableReader(variables)
    settings = Settings.from_variables(variables)
    task = {
        "variables": without_secrets(variables),
        "secrets": read_secrets(dict(secrets)),
        "templates_dir": str(HOME / "templates"),
        "base_dir": str(project),
        "timeout": timeout,
        "playbook": playbook,
        "local": reader.read("local"),
        "start_delay": reader.duration("start_delay"),
        "duration": settings.load.plan.duration,
        "drain": settings.drain,
        "teardown_file": str(results / TEARDOWN_FILE),
    }
    program = [sys.executable, "-P", "-m", "stampede.prepare.hook_process"]
    try:
        line = answer_of(  # after a setup that fails, the teardown of scripts before it has its own time
            program, json.dumps(task, default=str), 2 * timeout + MARGIN, stays=lambda text: _pid_in(text) > 0
        )
        answer = json.loads(line)
    except NoAnswer as error:
        raise BadInput(f"setup failed: its process {error}") from error
    except ValueError:
        raise BadInput("setup failed: its process gave an answer that was not its own") from None
    if answer["sentences"]:
        raise BadInput(*answer["sentences"])
    return SetUp(answer["shared"], answer["pid"])


def tear_down(pid: int, results: Path, timeout: float) -> str:
    """Have teardown called by the process that waits for it; why it failed, in a sentence, empty when it did not."""
    file = results / TEARDOWN_FILE
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + timeout + MARGIN
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.1)
    record = read_json(file)
    failure = str(record.get("failure", NOT_RUN)) if isinstance(record, dict) else NOT_RUN
    if is_alive(pid):
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        failure = f"teardown failed: it was not over after {timeout:g} s"
    elif failure == NOT_RUN:
        failure = "teardown failed: its process ended before it was over"
    write_json(file, to_json(TeardownRecord(failure)), 0o644)
    return failure


def tell_stopped(pid: int) -> None:
    """Tell the process that waits to call teardown, if there is one (``pid`` is not 0), that all load hosts have
    ended the run, or were asked to."""
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, HOSTS_ARE_STOPPED)


def timeout_of(variables: Mapping[str, Any]) -> float:
    """Seconds that setup and teardown may take."""
    return VariableReader(variables).duration("setup_timeout")


def _pid_in(text: str) -> int:
    try:
        return int(json.loads(text)["pid"])
    except (ValueError, LookupError, TypeError):
        return 0
