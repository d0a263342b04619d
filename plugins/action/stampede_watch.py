"""Watch the controllers of all load hosts until they have come to a phase, telling how it goes.

``hosts`` maps each host to its run folder ``dir`` and its controller: a process of this machine with a ``pid``,
or a ``unit`` of systemd on a host that is looked at over its own connection. ``until`` is ``armed`` or
``ended``. Progress is printed every ``interval`` seconds: a line about one host, a table of several.

A host whose controller dies or fails, or that cannot be reached for a minute, is told of at once, is noted in
``died`` with its sentence, and the others go on; so is one that is not armed after ``timeout`` seconds, where that is
awaited. A threshold that is crossed is told of at once; with ``abort_on_thresholds`` a run in which one is beyond
hope is ended in good order. The task itself does not fail. Returns the ``states`` and the ``died`` by host, and the
``faults`` (see ``stampede.schema.faults.Fault``); hosts that do not arm are in ``died`` alone,
since they have no part in the run.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader, connection_loader
from ansible.utils.display import Display

from stampede.fleet import live_table as table
from stampede.fleet.host_poller import HostPoller
from stampede.fleet.host_view import HostView
from stampede.fleet.inventory import chosen
from stampede.fleet.snapshot import Snapshot, Unreachable, snapshot_of_process, snapshot_of_unit
from stampede.fleet.standings import Crossings, standings
from stampede.machine.files import write_atomically
from stampede.machine.processes import Interrupted, cleaning_up_when_interrupted
from stampede.schema.faults import Fault
from stampede.schema.json_form import to_json
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import EventKind
from stampede.schema.settings.durations import seconds

POLL_EVERY = 0.5
STOP_LIMIT = 10.0
"""Seconds for asking all hosts to end the run."""
JUDGE_EVERY = 1.0
REACHED = {
    "armed": frozenset({Phase.ARMED, Phase.RUNNING, Phase.DRAINING}) | ENDED,
    "ended": ENDED,
}
COLOURS = {EventKind.DIED: "red", EventKind.LOST: "red", EventKind.UNREACHABLE: "yellow"}


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset({"hosts", "until", "interval", "timeout", "abort_on_thresholds"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = self._task.args
        until = str(args["until"])
        hosts, looks = {}, {}
        for name, entry in args["hosts"].items():
            hosts[name], looks[name] = self._host(str(name), entry, task_vars or {})
        pause = 2 * POLL_EVERY if any(entry.get("unit") for entry in args["hosts"].values()) else POLL_EVERY
        poller = HostPoller(looks, hosts, pause)
        interval, timeout = seconds(args.get("interval", 5)), seconds(args.get("timeout", 0))
        abort = boolean(args.get("abort_on_thresholds", False))
        judge = Judge(list(hosts.values()), partial(self._stop, args["hosts"], task_vars or {}) if abort else None)
        with cleaning_up_when_interrupted():
            try:
                watch(list(hosts.values()), poller, judge, until, interval, timeout)
            except Interrupted:
                units = {name: entry for name, entry in args["hosts"].items() if entry.get("unit")}
                self._stop(units, task_vars or {})  # controllers of this machine end by themselves, with Ansible
                raise
        faults = [fault for host in hosts.values() for fault in host.faults]
        if until == "armed":
            faults = [fault for fault in faults if not hosts[fault.host].failure]
        result["states"] = {name: to_json(host.state) for name, host in hosts.items()}
        result["died"] = {name: host.failure for name, host in hosts.items() if host.failure}
        result["faults"] = [to_json(fault) for fault in faults]
        return result

    def _stop(self, entries: Mapping[str, Any], task_vars: Mapping[str, Any], reason: str = "") -> None:
        """Ask the controllers to end the run in good order."""
        asked = []
        for name, entry in entries.items():
            if entry.get("unit"):
                connection = Connection(self, name, task_vars["hostvars"][name])
                asked.append(
                    threading.Thread(
                        target=self._ask, args=(connection, stop_command(entry["dir"], reason)), daemon=True
                    )
                )
            else:
                stop_here(Path(entry["dir"]) / "stop", reason)
        for thread in asked:
            thread.start()
        deadline = time.monotonic() + STOP_LIMIT
        for thread in asked:
            thread.join(max(0.0, deadline - time.monotonic()))

    @staticmethod
    def _ask(connection: Connection, command: str) -> None:
        with contextlib.suppress(Unreachable):  # the host is told of as not reached
            connection.output(command)

    def _host(
        self, name: str, entry: Mapping[str, Any], task_vars: Mapping[str, Any]
    ) -> tuple[HostView, Callable[[], Snapshot]]:
        folder, unit = Path(entry["dir"]), entry.get("unit")
        if not unit:
            view = HostView(name, f"see {folder}/logs", time.time())
            return view, partial(snapshot_of_process, folder, int(entry["pid"]))
        connection = Connection(self, name, task_vars["hostvars"][name])
        view = HostView(name, f"see {folder}/logs and journalctl -u {unit} there", time.time())
        return view, partial(snapshot_of_unit, connection.output, folder, unit)


def stop_command(folder: str, reason: str) -> str:
    """Writes the file that ends a run, whole at once with its reason, or without one where the disk is full."""
    file = shlex.quote(f"{folder}/stop")
    write = f"printf %s {shlex.quote(reason)} >{file}.new && chmod 0644 {file}.new && mv {file}.new {file}"
    return f"{{ {write}; }} || touch {file}"


def stop_here(file: Path, reason: str) -> None:
    try:
        write_atomically(file, reason)
    except OSError:  # the disk is full
        file.touch()


class Judge:
    """Tells how the thresholds fare, and calls ``stop`` with the reason, once, when one is beyond hope."""

    def __init__(self, hosts: list[HostView], stop: Callable[[str], None] | None) -> None:
        self._hosts, self._stop = hosts, stop
        self._crossings = Crossings()
        self._next = time.monotonic()

    def look(self, now: float) -> None:
        """To be called often; ``now`` in epoch seconds."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + JUDGE_EVERY
        found = standings(self._hosts)
        for sentence in self._crossings.new(found, now):
            Display().display(sentence, color="red")
        hopeless = next((standing for standing in found if standing.hopeless), None)
        if hopeless and self._stop and any(host.phase == Phase.RUNNING for host in self._hosts):
            stop, self._stop = self._stop, None
            reason = f"{hopeless.sentence}, and nothing could mend that"
            Display().display(f"The run is ended, because {reason}.", color="red")
            stop(reason)


def watch(
    hosts: list[HostView], poller: HostPoller, judge: Judge, until: str, interval: float, timeout: float
) -> None:
    """Return when each host has come to ``until``, or its end."""
    playbook = os.getppid()
    began = told = time.monotonic()
    waited = False
    while True:
        for fault in poller.wait(POLL_EVERY):
            tell(fault)
        judge.look(poller.now())
        waiting = [host for host in hosts if not host.over and host.phase not in REACHED[until]]
        now = time.monotonic()
        if waiting and timeout and now - began > timeout:
            for host in waiting:
                host.failure = f"{host.name} was still {host.phase} after {timeout:.0f} s; {host.log_hint}"
                Display().display(host.failure, color="red")
            waiting = []
        if now - told >= interval or (waited and not waiting):
            told = now
            Display().display(progress(hosts, poller.now()))
        if not waiting:
            return
        waited |= any(host.has_answered for host in waiting)
        if os.getppid() != playbook:
            raise AnsibleActionFail("ansible-playbook is gone")


def tell(fault: Fault) -> None:
    came_back = fault.until is not None
    Display().display(fault.text, color="green" if came_back else COLOURS[fault.kind])


def progress(hosts: list[HostView], now: float) -> str:
    return f"  {table.line(hosts, now)}" if len(hosts) == 1 else table.text(hosts, now)


class Connection:
    """A host's own connection, as Ansible makes it for tasks on that host: same keys, same way to become root."""

    def __init__(self, action: ActionModule, name: str, variables: Mapping[str, Any]) -> None:
        kind = str(variables.get("ansible_connection", "ssh"))
        self._connection = connection_loader.get(kind, action._play_context, ansible_playbook_pid=str(os.getppid()))
        self._connection.set_options(var_options=chosen(variables, "connection", kind))
        shell = self._connection._shell
        shell.set_options(var_options=chosen(variables, "shell", shell._load_name))
        self._become: Any = None
        if boolean(variables.get("ansible_become", True)):
            method = str(variables.get("ansible_become_method", "sudo"))
            self._become = become_loader.get(method)
            self._become.set_options(var_options=chosen(variables, "become", method))
            self._connection.set_become_plugin(self._become)

    def output(self, command: str) -> str:
        """What a command says that root runs on the host. Raises Unreachable."""
        if self._become:
            command = self._become.build_become_command(command, self._connection._shell)
        try:
            code, output, errors = self._connection.exec_command(command, sudoable=True)
        except AnsibleConnectionFailure as failure:
            raise Unreachable(reason(str(failure))) from None
        if code:
            raise Unreachable(reason(as_text(errors)))
        return "\n".join(line for line in as_text(output).splitlines() if not line.startswith("BECOME-SUCCESS-"))


def as_text(output: str | bytes) -> str:
    return output if isinstance(output, str) else output.decode(errors="replace")


def reason(said: str) -> str:
    """The last line of what ssh or sudo said: without what all such lines have in common."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].rpartition("via ssh: ")[2] if lines else ""
