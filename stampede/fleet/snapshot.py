"""A snapshot of one load host's controller: whether it is alive, and its ``state.json``."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stampede.machine.files import read_json
from stampede.machine.processes import is_alive

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
    state: Mapping[str, Any] = field(default_factory=dict)
    """Its ``state.json``; empty when there is none yet."""
    clock: float = field(default_factory=time.time)
    """Epoch seconds by the host's own clock."""
    last_output: str = ""
    """The last line that a controller which is not alive has logged."""


def snapshot_of_process(folder: Path, pid: int = 0) -> Snapshot:
    """Of a process of this machine; without a ``pid`` the one that its state names."""
    # Whether it is alive comes first: it writes its last state before it exits.
    alive = is_alive(pid) if pid else None
    state = read_json(folder / "state.json")
    state = state if isinstance(state, dict) else {}
    if alive is None:
        alive = bool(state) and is_alive(state["pid"])
    return Snapshot(alive, state, last_output="" if alive else last_line(folder / "logs" / "controller.out"))


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
    name, file = shlex.quote(unit), shlex.quote(f"{folder}/state.json")
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
    return Snapshot(active in LIVING, parsed("\n".join(rest)), seconds, last_output.strip())


def parsed(text: str) -> Mapping[str, Any]:
    try:
        state = json.loads(text)
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}
