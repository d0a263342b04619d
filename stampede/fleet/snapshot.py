"""A snapshot of one load host's controller: whether it is alive, and its ``state.json``."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stampede.machine.processes import is_alive
from stampede.schema import state
from stampede.schema.state import LATEST, LONGEST, HostState, read_state

LIVING = frozenset({"active", "activating", "deactivating", "reloading"})
"""States of a systemd unit whose processes run."""
LONGEST_LINE = 2000
"""Bytes of the last line of a log."""
LONGEST_PROBLEM = 200
"""Characters of what is wrong with a state."""
LOG_END = 64_000
"""Bytes at a log's end in which its last line is looked for."""


class Unreachable(Exception):
    """The host could not be polled now; the message says why."""


class Refused(Unreachable):
    """The host's key, or the login, was refused: trying again does not help."""


@dataclass(frozen=True)
class Snapshot:
    """What is known of one controller at one moment."""

    alive: bool
    state: HostState | None = None
    """None when there is no ``state.json`` yet, or only a part of one."""
    clock: float = field(default_factory=time.time)
    """Epoch seconds by the host's own clock."""
    last_output: str = ""
    """The last line that a controller which is not alive has logged."""
    problem: str = ""
    """Why its ``state.json`` cannot be understood, or which part of it; empty when all is well."""


def snapshot_of_process(folder: Path, pid: int = 0) -> Snapshot:
    """Of a process of this machine; without a ``pid`` the one that its state names."""
    # Whether it is alive comes first: it writes its last state before it exits.
    alive = is_alive(pid) if pid else None
    found, problem = state_in(folder)
    if alive is None:
        alive = found is not None and is_alive(found.pid)
    last_output = "" if alive else last_line(folder / "logs" / "controller.out")
    return Snapshot(alive, found, last_output=last_output, problem=problem)


def last_line(file: Path) -> str:
    """A log's last line that is not empty."""
    try:
        with file.open("rb") as log:
            log.seek(-min(LOG_END, log.seek(0, os.SEEK_END)), os.SEEK_END)
            lines = [line.strip() for line in log.read(LOG_END).decode(errors="replace").split("\n")]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")[:LONGEST_LINE]


def snapshot_of_unit(run: Callable[[str], str], folder: Path, unit: str) -> Snapshot:
    """Of a systemd unit, through ``run``, which runs a command as root on that host and returns its output.

    Raises Unreachable.
    """
    name, file = shlex.quote(unit), shlex.quote(f"{folder}/{state.FILE}")
    output = run(
        f"active=$(systemctl is-active {name}); echo $active; date +%s.%N; "
        f"case $active in {'|'.join(sorted(LIVING))}) ;; *) "
        f"printf '%s' \"$(journalctl --quiet --no-pager -n 1 -o cat -u {name} _SYSTEMD_UNIT={name} "
        f"| head -c {LONGEST_LINE} | tr '\\n' ' ')"
        f' [systemd: $(systemctl show -P Result {name})]";; esac; echo; '
        # Root follows no link of the controllers' user, and waits for no pipe.
        f"dd if={file} iflag=nofollow,nonblock bs={LONGEST + 1} count=1 status=none 2>/dev/null; true"
    )
    try:
        active, clock, last_output, *rest = output.split("\n", 3)
        seconds = float(clock)
        if not 0 < seconds < LATEST:
            raise ValueError(clock)
    except ValueError:
        raise Unreachable(f"it answered {output[:100]!r}") from None
    last_output = last_output[: 2 * LONGEST_LINE].removesuffix("[systemd: success]")  # any other, as oom-kill, stays
    found, problem = parsed_state("".join(rest))
    return Snapshot(active in LIVING, found, seconds, last_output.strip(), problem)


def state_in(folder: Path) -> tuple[HostState | None, str]:
    """See ``parsed_state``: what a run's folder on this machine holds."""
    try:
        with (folder / state.FILE).open("rb") as file:
            return parsed_state(file.read(LONGEST + 1))
    except OSError:
        return None, ""


def parsed_state(text: str | bytes) -> tuple[HostState | None, str]:
    """The state in a file's text, as far as it can be understood, and what is wrong with it.

    There is none as long as the file is empty.
    """
    if not text.strip():
        return None, ""
    try:
        found, problems = read_state(text)
    except ValueError as error:
        return None, f"its {state.FILE} cannot be read: {str(error)[:LONGEST_PROBLEM]}"
    return found, f"a part of its {state.FILE} was ignored: {problems[0][:LONGEST_PROBLEM]}" if problems else ""
