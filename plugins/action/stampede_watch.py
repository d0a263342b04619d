"""Watch the controllers of all load hosts until they have come to a phase, telling how it goes.

``hosts`` maps each host to its run folder ``dir`` and its controller: a process of this machine with a ``pid``,
or a ``unit`` of systemd on a host that is looked at over its own connection. ``until`` is ``armed``, ``draining``
or ``ended``. A line of progress is printed every ``interval`` seconds. Before a run has started, a controller that
fails is this task's failure. In a run it is told at once, noted in ``died``, and the others go on; those in
``known_dead`` have been told of before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader
from ansible.utils.display import Display

from controller.processes import is_alive
from controller.settings import seconds

POLL_EVERY = 0.5
LOOKERS = 64
"""Hosts that are looked at at the same time."""
LOST_AFTER = 60.0
"""Seconds after which a host that cannot be reached is given up."""
SILENT_AFTER = 15.0
"""Seconds without a new state after which a host that should report each second is called silent."""
ENDED = frozenset({"done", "stopped", "failed"})
REACHED = {
    "armed": frozenset({"armed", "running", "draining"}) | ENDED,
    "draining": ENDED | {"draining"},
    "ended": ENDED,
}


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"hosts", "until", "interval", "timeout", "known_dead"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        self._task_vars = task_vars or {}
        hosts = [self._host(str(name), entry) for name, entry in args["hosts"].items()]
        self._lookers = ThreadPoolExecutor(max(1, min(len(hosts), LOOKERS)))
        for host in hosts:
            host.obituary = str(args.get("known_dead", {}).get(host.name, ""))
        try:
            self._watch(hosts, str(args["until"]), seconds(args.get("interval", 5)), seconds(args.get("timeout", 0)))
        except WillNotArm as problem:
            result.update(failed=True, msg=str(problem))
        result["states"] = {host.name: host.state for host in hosts}
        result["faults"] = []
        result["died"] = {host.name: host.obituary for host in hosts if host.obituary}
        return result

    def _host(self, name: str, entry: Mapping[str, Any]) -> Host:
        folder = Path(entry["dir"])
        if entry.get("unit"):
            connection = Connection(self, name, self._task_vars["hostvars"][name])
            return RemoteHost(name, folder, 0, unit=entry["unit"], connection=connection)
        return Host(name, folder, int(entry["pid"]))

    def _watch(self, hosts: list[Host], until: str, interval: float, timeout: float) -> None:
        playbook = os.getppid()
        began = told = time.monotonic()
        waited = False
        while True:
            list(self._lookers.map(lambda host: host.look(), hosts))
            self._tell_deaths(hosts, until)
            waiting = [host for host in hosts if host.alive and host.phase not in REACHED[until]]
            now = time.monotonic()
            if now - told >= interval or (waited and not waiting):
                told = now
                Display().display("  " + progress(hosts, time.time()))
            if not waiting:
                return
            waited = True
            if timeout and now - began > timeout:
                for late in waiting:
                    late.obituary = f"{late.name} was still {late.phase} after {timeout:.0f} s; {late.where_to_look}"
                return
            if os.getppid() != playbook:
                raise AnsibleActionFail("ansible-playbook is gone")
            time.sleep(POLL_EVERY * (1 if all(type(host) is Host for host in hosts) else 2))

    def _tell_deaths(self, hosts: list[Host], until: str) -> None:
        for host in hosts:
            if host.obituary or (host.alive and host.phase != "failed"):
                continue
            if host.phase in ("done", "stopped"):
                continue
            host.obituary = host.how_it_ended()
            Display().display(host.obituary, color="red")


class WillNotArm(Exception):
    """A load host does not become ready; the message says which and why."""


@dataclass
class Host:
    """What is known of one load host's controller, from the state that it writes about once a second."""

    name: str
    folder: Path
    pid: int
    state: dict[str, Any] = field(default_factory=dict)
    alive: bool = True
    obituary: str = ""

    @property
    def phase(self) -> str:
        return str(self.state.get("phase", "starting"))

    @property
    def condition(self) -> str:
        return self.phase if self.alive or self.phase in ENDED else "dead"

    @property
    def where_to_look(self) -> str:
        return f"see {self.folder}/logs"

    def look(self) -> None:
        # First whether it lives, then its state: its last words are written before it ends.
        self.alive = is_alive(self.pid)
        try:
            self.state = json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            self.state = {}

    def how_it_ended(self) -> str:
        if self.phase == "failed":
            return f"The controller on {self.name} failed: {self.state.get('message') or self.where_to_look}"
        death = f"The controller on {self.name} (pid {self.pid or self.state.get('pid')}) died while {self.phase}"
        return f"{death}{self._last_words()}; {self.where_to_look}"

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "logs" / "controller.out").read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return ""
        lines = [line.strip() for line in lines if line.strip()]
        return f": {lines[-1]}" if lines else ""


class Connection:
    """A host's own connection, as Ansible makes it for tasks on that host: same keys, same way to become root."""

    def __init__(self, action: ActionModule, name: str, variables: Mapping[str, Any]) -> None:
        kind = str(variables.get("ansible_connection", "ssh"))
        self._connection = connection_loader.get(kind, action._play_context, ansible_playbook_pid=str(os.getppid()))
        self._connection.set_options(var_options=chosen(variables, "connection", kind))
        shell = self._connection._shell
        shell.set_options(var_options=chosen(variables, "shell", shell._load_name))
        method = str(variables.get("ansible_become_method", "sudo"))
        self._become = become_loader.get(method)
        self._become.set_options(var_options=chosen(variables, "become", method))
        self._connection.set_become_plugin(self._become)

    def output(self, command: str) -> str:
        """What a command says that root runs on the host. Raises AnsibleConnectionFailure."""
        words = self._become.build_become_command(command, self._connection._shell)
        _, output, _ = self._connection.exec_command(words, sudoable=True)
        text = output if isinstance(output, str) else output.decode(errors="replace")
        return "\n".join(line for line in text.splitlines() if not line.startswith("BECOME-SUCCESS-"))


def chosen(variables: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The variables that set options of a plugin of Ansible."""
    names = constants.config.get_plugin_vars(kind, name)
    return {name: variables[name] for name in names if name in variables}


@dataclass
class RemoteHost(Host):
    """A load host that is reached over the network, whose controller is a service of systemd."""

    unit: str = ""
    connection: Connection | None = None
    seen: float = field(default_factory=time.time)
    words: str = ""

    @property
    def where_to_look(self) -> str:
        return f"see {self.folder}/logs and journalctl -u {self.unit} there"

    def look(self) -> None:
        assert self.connection is not None
        unit, file = shlex.quote(self.unit), shlex.quote(f"{self.folder}/state.json")
        ask = (
            f"systemctl is-active {unit}; journalctl --quiet --no-pager -n 1 -o cat -u {unit} _SYSTEMD_UNIT={unit} "
            f"| tr '\\n' ' '; echo; cat {file} 2>/dev/null"
        )
        try:
            active, self.words, *state = self.connection.output(ask).split("\n")
        except (AnsibleConnectionFailure, ValueError):
            if time.time() - self.seen > LOST_AFTER:
                self.alive = False
                self.words = f"not reached since {time.strftime('%H:%M:%S', time.localtime(self.seen))}"
            return
        self.seen = time.time()
        self.alive = active in ("active", "activating", "deactivating", "reloading")
        with contextlib.suppress(ValueError):
            self.state = json.loads("\n".join(state))

    def how_it_ended(self) -> str:
        if self.phase != "failed" and time.time() - self.seen > LOST_AFTER:
            return f"{self.name} was lost while {self.phase}: {self.words}"
        return super().how_it_ended()

    def _last_words(self) -> str:
        return f": {self.words.strip()}" if self.words.strip() else ""


def progress(hosts: Iterable[Host], now: float) -> str:
    """One line about the whole fleet.

    Counts are sums over hosts; a percentile, a lag and a CPU share are the worst host's.
    """
    living = [host for host in hosts if host.state]
    if not living:
        return "starting"
    states = [host.state for host in living]
    parts = [", ".join(sorted({host.condition for host in living}))]
    total, active, ready, finished = (
        added(states, "holders", key) for key in ("total", "active", "ready", "finished")
    )
    if parts[0] in ("starting", "arming", "armed"):
        parts.append(f"{ready:.0f} of {total:.0f} holders ready")
        return " | ".join(parts)
    parts.append(f"{active:.0f} of {total:.0f} holders active, {finished:.0f} finished")
    ok, failed, interrupted = (added(states, "steps", key) for key in ("ok", "failed", "interrupted"))
    steps = f"{added(states, 'steps', 'per_s'):.1f} steps/s: {ok:.0f} ok, {failed:.0f} failed"
    parts.append(steps + (f", {interrupted:.0f} interrupted" if interrupted else ""))
    if slowest := slowest_steps(states):
        parts.append("p95 " + ", ".join(f"{name} {value:.2f} s" for name, value in slowest))
    parts.append(f"lag {worst(states, 'lag_p99') * 1000:.0f} ms")
    parts.append(f"CPU {max(busy(state) for state in states):.0%}")
    parts.append(time_left(states, now))
    parts += [f"{host.name}: {message}" for host in living if (message := host.state.get("message"))]
    silent = [host.name for host in living if host.alive and now - host.state.get("time", now) > SILENT_AFTER]
    if silent:
        parts.append(f"silent: {', '.join(silent)}")
    return " | ".join(part for part in parts if part)


def added(states: Iterable[Mapping[str, Any]], group: str, key: str) -> float:
    return sum(state.get(group, {}).get(key) or 0 for state in states)


def worst(states: Iterable[Mapping[str, Any]], key: str) -> float:
    return max(0.0, *(float(state.get(key) or 0) for state in states))


def busy(state: Mapping[str, Any]) -> float:
    """Share of the load host's cores that are in use, whoever uses them."""
    return float(state.get("host_cpu") or 0) / (state.get("host_cores") or 1)


def slowest_steps(states: Iterable[Mapping[str, Any]], count: int = 2) -> list[tuple[str, float]]:
    p95: dict[str, float] = {}
    for state in states:
        for name, value in (state.get("p95") or {}).items():
            p95[name] = max(p95.get(name, 0.0), value or 0.0)
    return sorted(p95.items(), key=lambda item: -item[1])[:count]


def time_left(states: Iterable[Mapping[str, Any]], now: float) -> str:
    ends = [state["ends_at"] for state in states if state.get("ends_at") and state.get("phase") == "running"]
    if not ends:
        return ""
    minutes, secs = divmod(max(0, round(max(ends) - now)), 60)
    return f"{minutes}:{secs:02d} left"
