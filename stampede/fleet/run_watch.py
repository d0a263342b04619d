"""Watching a run from its playbook: progress, faults and thresholds, until all controllers have reached a phase."""

from __future__ import annotations

import contextlib
import os
import queue
import shlex
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stampede.fleet import live_table
from stampede.fleet.conductor import Conductor, conductor_of
from stampede.fleet.host_poller import HostPoller
from stampede.fleet.host_view import HostView
from stampede.fleet.remote_shell import RootShell
from stampede.fleet.snapshot import Snapshot, Unreachable, snapshot_of_process, snapshot_of_unit
from stampede.fleet.standings import Crossings, standings
from stampede.machine.files import write_atomically
from stampede.machine.processes import Interrupted
from stampede.schema.faults import Fault
from stampede.schema.orders import LEVEL
from stampede.schema.phases import ENDED, Phase
from stampede.schema.records import EventKind

POLL_EVERY = 0.5
"""Seconds; twice as long over SSH."""
STOP_LIMIT = 10.0
"""Seconds within which all hosts are asked to end the run."""
JUDGE_EVERY = 1.0
REACHED = {
    "armed": frozenset({Phase.ARMED, Phase.RUNNING, Phase.DRAINING}) | ENDED,
    "ended": ENDED,
}
"""Phases in which a controller has reached what is waited for."""
COLOURS = {EventKind.DIED: "red", EventKind.LOST: "red", EventKind.UNREACHABLE: "yellow"}

type Tell = Callable[[str, str], None]
"""Shows a sentence or table to the user, in a colour; the empty string is the terminal's own."""


class PlaybookGone(Exception):
    """ansible-playbook has ended without this process."""


@dataclass(frozen=True)
class Controller:
    """The controller of one load host: a process of this machine, or a systemd unit reached through a shell."""

    name: str
    """The host's."""
    folder: Path
    """The run's, on the host."""
    pid: int = 0
    unit: str = ""
    shell: RootShell | None = None

    def view(self) -> HostView:
        hint = f"see {self.folder}/logs"
        if self.shell:
            hint += f" and journalctl -u {self.unit} there"
        return HostView(self.name, hint, time.time())

    def probe(self) -> Snapshot:
        """Raises Unreachable."""
        if self.shell:
            return snapshot_of_unit(self.shell.run, self.folder, self.unit)
        return snapshot_of_process(self.folder, self.pid)

    def request_stop(self, reason: str) -> None:
        """Ask it to end the run gracefully. Raises Unreachable."""
        if self.shell:
            self.shell.run(stop_command(str(self.folder), reason))
            return
        try:
            stop_here(self.folder / "stop", reason)
        except OSError as error:
            raise Unreachable(str(error)) from None

    def write(self, name: str, text: str) -> None:
        """Write a file into the run's folder, which its controller reads. Raises Unreachable."""
        if self.shell:
            self.shell.run(as_owner(str(self.folder), write_command(f"{self.folder}/{name}", text)))
            return
        try:
            write_atomically(self.folder / name, text)
        except OSError as error:
            raise Unreachable(str(error)) from None


@dataclass(frozen=True)
class Outcome:
    """Hosts when the watch was over."""

    views: Mapping[str, HostView]
    faults: Sequence[Fault]

    @property
    def failures(self) -> dict[str, str]:
        """Why a host takes no further part, by host."""
        return {name: view.failure for name, view in self.views.items() if view.failure}


def watch_run(
    controllers: Iterable[Controller],
    until: str,
    tell: Tell,
    *,
    interval: float,
    timeout: float = 0.0,
    abort_on_thresholds: bool = False,
    variables: Mapping[str, Any] | None = None,
    when_stopped: Callable[[], object] = lambda: None,
) -> Outcome:
    """Watch until each controller has reached ``until`` (a key of REACHED), failed, or was given up.

    ``interval``: seconds between two reports of progress. ``timeout``: seconds after which a host that has not
    reached ``until`` is given up; 0: never. ``abort_on_thresholds``: ask all controllers to end the run once a
    threshold is beyond recovery. ``variables``: those of the run, by which a search is conducted. When interrupted,
    controllers in systemd units are asked to end the run; those that are processes of this machine end with Ansible
    by themselves. ``when_stopped`` is called when all have ended the run well, or were asked to. Raises PlaybookGone.
    """
    controllers = list(controllers)
    views = {controller.name: controller.view() for controller in controllers}
    hosts = list(views.values())
    pause = 2 * POLL_EVERY if any(controller.shell for controller in controllers) else POLL_EVERY
    poller = HostPoller({controller.name: controller.probe for controller in controllers}, views, pause)
    judge: Judge | Conductor = Judge(hosts, tell, partial(request_stop, controllers) if abort_on_thresholds else None)
    if variables and until == "ended":
        judge = conductor_of(variables, hosts, partial(give, controllers), tell) or judge
    try:
        wait_until(until, hosts, poller, judge, tell, interval=interval, timeout=timeout)
    except Interrupted:
        if not request_stop([controller for controller in controllers if controller.shell]):
            when_stopped()
        raise
    if until == "ended" and not any(host.failure for host in hosts):
        when_stopped()
    faults = [fault for host in hosts for fault in host.faults]
    if until == "armed":  # a host that failed has no part in the run, nor have its faults
        faults = [fault for fault in faults if not views[fault.host].failure]
    return Outcome(views, faults)


def wait_until(
    until: str,
    hosts: Sequence[HostView],
    poller: HostPoller,
    judge: Judge | Conductor,
    tell: Tell,
    *,
    interval: float,
    timeout: float,
) -> None:
    """Return when each host has reached ``until``, failed, or was given up. Raises PlaybookGone."""
    playbook = os.getppid()
    began = reported = time.monotonic()
    waited = False
    while True:
        for fault in poller.wait(POLL_EVERY):
            tell(fault.text, COLOURS[fault.kind] if fault.until is None else "green")
        judge.check(poller.now())
        waiting = [host for host in hosts if not host.over and host.phase not in REACHED[until]]
        now = time.monotonic()
        if waiting and timeout and now - began > timeout:
            for host in waiting:
                host.failure = f"{host.name} was still {host.phase} after {timeout:.0f} s; {host.log_hint}"
                tell(host.failure, "red")
            waiting = []
        if now - reported >= interval or (waited and not waiting):
            reported = now
            tell(progress(hosts, poller.now()), "")
        if not waiting:
            return
        waited |= any(host.has_answered for host in waiting)
        if os.getppid() != playbook:
            raise PlaybookGone("ansible-playbook is gone")


def progress(hosts: Sequence[HostView], now: float) -> str:
    """A line about one host, a table of several."""
    return f"  {live_table.line(hosts, now)}" if len(hosts) == 1 else live_table.text(hosts, now)


class Judge:
    """Reports thresholds that are crossed, and calls ``stop`` with the reason, once, when one is beyond recovery."""

    def __init__(self, hosts: Sequence[HostView], tell: Tell, stop: Callable[[str], object] | None) -> None:
        self._hosts, self._tell, self._stop = hosts, tell, stop
        self._crossings = Crossings()
        self._next = time.monotonic()

    def check(self, now: float) -> None:
        """To be called often; ``now`` in epoch seconds."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + JUDGE_EVERY
        found = standings(self._hosts)
        for sentence in self._crossings.new(found, now):
            self._tell(sentence, "red")
        lost = next((standing for standing in found if standing.unrecoverable), None)
        if lost and self._stop and any(host.phase == Phase.RUNNING for host in self._hosts):
            stop, self._stop = self._stop, None
            reason = f"{lost.sentence}, and it cannot recover"
            self._tell(f"The run is stopped because {reason}.", "red")
            stop(reason)


def request_stop(controllers: Iterable[Controller], reason: str = "") -> dict[str, str]:
    """Ask controllers to end the run gracefully. Returns why a host was not asked, by host."""
    return ask_all(controllers, lambda controller: controller.request_stop(reason))


def give(controllers: Iterable[Controller], order: str) -> None:
    """Give all controllers an order of the conductor, who sees by their states who has taken it."""
    ask_all(controllers, lambda controller: controller.write(LEVEL, order))


def ask_all(controllers: Iterable[Controller], request: Callable[[Controller], None]) -> dict[str, str]:
    """Make a request, which may raise Unreachable, to all at once. Returns why one did not get it, by host."""
    controllers = list(controllers)
    answers: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def ask(controller: Controller) -> None:
        try:
            request(controller)
        except Unreachable as problem:
            answers.put((controller.name, str(problem)))
        else:
            answers.put((controller.name, ""))

    for controller in controllers:
        threading.Thread(target=ask, args=(controller,), daemon=True).start()
    left = {controller.name: f"no answer for {STOP_LIMIT:.0f} s" for controller in controllers}
    deadline = time.monotonic() + STOP_LIMIT
    with contextlib.suppress(queue.Empty):
        for _ in controllers:
            name, problem = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            left[name] = problem
    return {name: problem for name, problem in left.items() if problem}


def stop_command(folder: str, reason: str) -> str:
    """Writes the file that ends a run, atomically with its reason, or an empty one where the disk is full."""
    file = f"{folder}/stop"
    return as_owner(folder, f"{{ {write_command(file, reason)}; }} || touch {shlex.quote(file)}")


def write_command(file: str, text: str) -> str:
    """Writes a file atomically."""
    path = shlex.quote(file)
    return f"printf %s {shlex.quote(text)} >{path}.new && chmod 0644 {path}.new && mv {path}.new {path}"


def as_owner(folder: str, command: str) -> str:
    """Root does it as the owner of the folder, who may have laid links there."""
    there, command = shlex.quote(folder), shlex.quote(command)
    owner = f"setpriv --reuid=$(stat -c %u {there}) --regid=$(stat -c %g {there}) --clear-groups"
    return f"if [ $(id -u) = 0 ]; then {owner} sh -c {command}; else sh -c {command}; fi"


def stop_here(file: Path, reason: str) -> None:
    """The same on this machine."""
    try:
        write_atomically(file, reason)
    except OSError:  # the disk is full
        file.touch()
