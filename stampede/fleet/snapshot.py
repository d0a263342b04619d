"""A look at one load host's controller: is it alive, and what does its ``state.json`` say?"""

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
"""States of a unit of systemd whose processes run."""


class Unreachable(Exception):
    """The host could not be looked at now; the message says why."""


class Refused(Unreachable):
    """The host, or its key, was refused: trying again will not help."""


@dataclass(frozen=True)
class Look:
    """What was seen of one controller."""

    alive: bool
    state: Mapping[str, Any] = field(default_factory=dict)
    """Its ``state.json``; empty when there is none yet."""
    clock: float = field(default_factory=time.time)
    """What the host's own clock showed."""
    words: str = ""
    """The last that a controller which is not alive has said."""


def look_at_process(folder: Path, pid: int = 0) -> Look:
    """Look at a process of this machine; without a ``pid`` its state tells that."""
    # First whether it lives, then its state: its last words are written before it ends.
    alive = is_alive(pid) if pid else None
    state = read_json(folder / "state.json")
    state = state if isinstance(state, dict) else {}
    if alive is None:
        alive = bool(state) and is_alive(state["pid"])
    return Look(alive, state, words="" if alive else last_line(folder / "logs" / "controller.out"))


def last_line(file: Path) -> str:
    """A log's last line that is not empty."""
    try:
        lines = [line.strip() for line in file.read_text(errors="replace").split("\n")]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")


def look_at_unit(run: Callable[[str], str], folder: Path, unit: str) -> Look:
    """Look at a unit of systemd through ``run``, which returns what root's command on that host says."""
    name, file = shlex.quote(unit), shlex.quote(f"{folder}/state.json")
    output = run(
        f"active=$(systemctl is-active {name}); echo $active; date +%s.%N; "
        f"case $active in {'|'.join(sorted(LIVING))}) ;; *) "
        f"printf '%s' \"$(journalctl --quiet --no-pager -n 1 -o cat -u {name} _SYSTEMD_UNIT={name} | tr '\\n' ' ')"
        f' [systemd: $(systemctl show -P Result {name})]";; esac; echo; '
        f"cat {file} 2>/dev/null; true"
    )
    try:
        active, clock, words, *rest = output.split("\n")
        seconds = float(clock)
    except ValueError:
        raise Unreachable(f"it answered {output[:100]!r}") from None
    words = words.removesuffix("[systemd: success]")  # else its word for it, such as signal or oom-kill
    return Look(active in LIVING, parsed("\n".join(rest)), seconds, words.strip())


def parsed(text: str) -> Mapping[str, Any]:
    try:
        state = json.loads(text)
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}
