"""A snapshot of one load host's controller: whether it is alive, and its ``state.json``."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stampede.machine.processes import is_alive
from stampede.schema import state
from stampede.schema.json_form import from_json
from stampede.schema.state import HostState

LIVING = frozenset({"active", "activating", "deactivating", "reloading"})
"""States of a systemd unit whose processes run."""


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


def snapshot_of_process(folder: Path, pid: int = 0) -> Snapshot:
    """Of a process of this machine; without a ``pid`` the one that its state names."""
    # Whether it is alive comes first: it writes its last state before it exits.
    alive = is_alive(pid) if pid else None
    found = state_in(folder)
    if alive is None:
        alive = found is not None and is_alive(found.pid)
    return Snapshot(alive, found, last_output="" if alive else last_line(folder / "logs" / "controller.out"))


def last_line(file: Path) -> str:
    """A log's last line that is not empty."""
    try:
        lines = [line.strip() for line in file.read_text(errors="replace").split("\n")]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")


def snapshot_of_unit(run: Callable[[str], str], folder: Path, unit: str) -> Snapshot:
    """Of a systemd unit, through ``run``, which runs a command as root on that host and returns its output.

    Raises Unreachable.
    """
    name, file = shlex.quote(unit), shlex.quote(f"{folder}/{state.FILE}")
    output = run(
        f"active=$(systemctl is-active {name}); echo $active; date +%s.%N; "
        f"case $active in {'|'.join(sorted(LIVING))}) ;; *) "
        f"printf '%s' \"$(journalctl --quiet --no-pager -n 1 -o cat -u {name} _SYSTEMD_UNIT={name} | tr '\\n' ' ')"
        f' [systemd: $(systemctl show -P Result {name})]";; esac; echo; '
        f"cat {file} 2>/dev/null; true"
    )
    try:
        active, clock, last_output, *rest = output.split("\n")
        seconds = float(clock)
    except ValueError:
        raise Unreachable(f"it answered {output[:100]!r}") from None
    last_output = last_output.removesuffix("[systemd: success]")  # any other, such as oom-kill, stays
    return Snapshot(active in LIVING, parsed_state("\n".join(rest)), seconds, last_output.strip())


def state_in(folder: Path) -> HostState | None:
    """The state that a run's folder on this machine holds."""
    try:
        return parsed_state((folder / state.FILE).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def parsed_state(text: str) -> HostState | None:
    """The state in a file's text, as far as it can be understood; None when it is not an object."""
    try:
        return from_json(HostState, json.loads(text), problems=[])
    except ValueError:
        return None
