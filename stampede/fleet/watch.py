"""``stampede watch``: the live table of a run in progress, from any machine that has the inventory."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console, Group
from rich.live import Live

from stampede import wording
from stampede.fleet import live_table as table
from stampede.fleet.found_runs import MOST_RUNS, is_run_id
from stampede.fleet.host_poller import HostPoller
from stampede.fleet.host_view import HostView, clock
from stampede.fleet.inventory import LoadHost, load_hosts
from stampede.fleet.remote_shell import RootShell, shell_of
from stampede.fleet.run_watch import Controller
from stampede.fleet.snapshot import LIVING, Snapshot, Unreachable, snapshot_of_process, snapshot_of_unit, state_in
from stampede.fleet.ssh_connection import ControlMasters
from stampede.fleet.standings import Crossings, standings
from stampede.machine.processes import is_alive
from stampede.schema.errors import BadInput
from stampede.schema.faults import Fault
from stampede.schema.json_form import to_json

FIRST_ANSWERS = 12.0
"""Seconds within which hosts must answer for the first time."""
POLL_EVERY = 1.0
OTHER_LINES = 8
"""Lines of the terminal that are not rows of hosts."""


@dataclass(frozen=True)
class Run:
    """A run that has a folder on a host."""

    id: str
    deployed: float
    """Epoch seconds."""
    in_progress: bool


@dataclass(frozen=True)
class WatchedHost:
    """How a host is asked for its runs, and for the state of one of them."""

    host: LoadHost
    shell: RootShell | None
    """None where controllers are processes of this machine."""

    def runs(self) -> list[Run]:
        """Raises Unreachable."""
        if self.shell is None:
            return runs_of_processes(self.host.work_dir)
        return runs_of_units(self.shell.run, self.host.work_dir)

    def controller(self, run_id: str) -> Controller:
        """The one that takes part in a run."""
        return Controller(self.host.name, self.host.work_dir / run_id, unit=unit(run_id), shell=self.shell)

    def probe(self, run_id: str) -> Callable[[], Snapshot]:
        """What takes a snapshot of a run."""
        folder = self.host.work_dir / run_id
        if self.shell is None:
            return partial(snapshot_of_process, folder)
        return partial(snapshot_of_unit, self.shell.run, folder, unit(run_id))


def unit(run_id: str) -> str:
    return f"stampede-run@{run_id}.service"


def runs_of_processes(work_dir: Path) -> list[Run]:
    """The runs whose controllers are processes of this machine, without systemd."""
    return [
        Run(script.parent.name, script.stat().st_mtime, is_controller_alive(script.parent))
        for script in work_dir.glob("*/controller_script.py")
    ]


def is_controller_alive(folder: Path) -> bool:
    state, _ = state_in(folder)
    pid = state.pid if state else 0
    try:  # the pid may be another process's by now
        return is_alive(pid) and any(str(folder) in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def runs_of_units(run: Callable[[str], str], work_dir: Path) -> list[Run]:
    """The runs of a host, by their folders and systemd units."""
    output = run(
        f"find {shlex.quote(str(work_dir))} -mindepth 2 -maxdepth 2 -name controller_script.py -printf '%T@ %h\\n' "
        f"2>/dev/null; echo; systemctl list-units --plain --no-legend --state={','.join(sorted(LIVING))} "
        f"{shlex.quote(unit('*'))}; true"
    )
    folders, _, units = output.partition("\n\n")
    active = {line.split()[0] for line in units.splitlines() if line.strip()}
    runs = []
    for line in folders.splitlines()[:MOST_RUNS]:
        moment, _, folder = line.partition(" ")
        name = Path(folder).name
        if is_run_id(name) and re.fullmatch(r"\d{1,12}\.?\d{0,12}", moment, re.ASCII):  # a host may say anything
            runs.append(Run(name, min(float(moment), time.time()), unit(name) in active))
    return runs


def choose(runs: Mapping[str, Sequence[Run]], wanted: str, where: Path) -> str:
    """The wanted run, or else the one in progress, or else the newest. Raises BadInput."""
    all_runs = sorted(
        (run for of_host in runs.values() for run in of_host), key=lambda run: (run.in_progress, run.deployed)
    )
    if not all_runs:
        raise BadInput(f"No run was found in {where} on {', '.join(runs)}; start one with stampede run")
    if not wanted:
        return all_runs[-1].id
    if all(run.id != wanted for run in all_runs):
        known = ", ".join(list(dict.fromkeys(run.id for run in reversed(all_runs)))[:5])
        raise BadInput(f"--run is {wanted!r}, which was not found in {where}; there is {known}")
    return wanted


def ask_all(hosts: Mapping[str, WatchedHost], limit: float) -> dict[str, list[Run] | Unreachable]:
    """The runs of each host, or why it did not answer within ``limit`` seconds."""
    answers: dict[str, list[Run] | Unreachable] = {
        name: Unreachable(f"no answer for {limit:.0f} s") for name in hosts
    }
    results: queue.SimpleQueue[tuple[str, list[Run] | Unreachable]] = queue.SimpleQueue()

    def ask(name: str, host: WatchedHost) -> None:
        try:
            results.put((name, host.runs()))
        except Unreachable as problem:
            results.put((name, problem))
        except Exception as error:  # otherwise it would end the thread only
            results.put((name, Unreachable(f"{type(error).__name__}: {error}")))

    for name, host in hosts.items():
        threading.Thread(target=ask, args=(name, host), daemon=True).start()
    deadline = time.monotonic() + limit
    with contextlib.suppress(queue.Empty):
        for _ in hosts:
            name, answer = results.get(timeout=max(0.0, deadline - time.monotonic()))
            answers[name] = answer
    return answers


class Watch:
    """A run on its hosts, and how it is displayed."""

    def __init__(self, run_id: str, hosts: Mapping[str, WatchedHost], without: set[str]) -> None:
        """``without``: hosts that do not take part in the run."""
        self.run_id = run_id
        now = time.time()
        self.views = {
            name: HostView(name, f"see {host.host.work_dir / run_id}/logs there", now, started=False)
            for name, host in hosts.items()
        }
        self.taking_part = [view for name, view in self.views.items() if name not in without]
        for name in without:
            self.views[name].failure = f"{name} does not take part in run {run_id}."
        probes = {name: host.probe(run_id) for name, host in hosts.items() if name not in without}
        self.controllers = [host.controller(run_id) for name, host in hosts.items() if name not in without]
        self._poller = HostPoller(probes, self.views, POLL_EVERY)
        self._crossings = Crossings()

    @property
    def over(self) -> bool:
        return all(view.over for view in self.views.values())

    def wait_for_first_answers(self) -> None:
        """Return when all hosts have answered, or time is up."""
        deadline = time.monotonic() + FIRST_ANSWERS
        while time.monotonic() < deadline and not all(view.has_answered or view.over for view in self.views.values()):
            self._poller.wait(0.1)

    def rounds(self, interval: float) -> Iterator[list[Fault]]:
        """Every ``interval`` seconds, and at the end: the faults that began or ended in the meantime."""
        yield []
        while not self.over:
            began, faults = time.monotonic(), list[Fault]()
            while (left := interval - (time.monotonic() - began)) > 0 and not self.over:
                faults += self._poller.wait(min(left, 0.5))
            yield faults

    def now(self) -> float:
        """Epoch seconds, as the hosts' views have them."""
        return self._poller.now()

    def crossed(self) -> list[str]:
        """A sentence for each threshold that is newly crossed."""
        return self._crossings.new(standings(self.hosts), self._poller.now())

    def text(self) -> str:
        return table.text(self.hosts, self._poller.now())

    def drawn(self, height: int) -> Group:
        title = table.words(f"Run {self.run_id} (Ctrl-C detaches, the run continues)", "bold")
        rows = max(3, min(table.MOST_ROWS, height - OTHER_LINES - len(standings(self.hosts))))
        return Group(title, table.table(self.hosts, self._poller.now(), rows))

    def json(self) -> str:
        now, hosts = self._poller.now(), self.hosts
        return json.dumps(
            {
                "run": self.run_id,
                "time": now,
                "hosts": {host.name: table.host_figures(host, now) for host in hosts},
                "fleet": table.fleet_figures(hosts, now),
                "thresholds": [standing.as_dict() for standing in standings(hosts)],
                "faults": [to_json(fault) for host in hosts for fault in host.faults],
            }
        )

    @property
    def hosts(self) -> list[HostView]:
        return list(self.views.values())


def watch(sources: list[str], run_id: str, display: Callable[[Watch], None]) -> int:
    """Watch a run until it ends; returns the exit code: 0, or 2 when there is nothing to watch.

    ``display`` shows it, and returns when nobody is to see it any more. It may raise BadInput.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    watching = ""
    try:
        with ControlMasters() as masters:
            hosts = {
                host.name: WatchedHost(host, None if host.local else shell_of(host, masters))
                for host in load_hosts(sources)
            }
            answers = ask_all(hosts, FIRST_ANSWERS)
            runs = {name: answer for name, answer in answers.items() if not isinstance(answer, Unreachable)}
            if not runs:
                reasons = "; ".join(f"{name}: {answer}" for name, answer in list(answers.items())[:3])
                raise BadInput(f"None of the {len(hosts)} load hosts can be reached: {reasons}")
            where = next(iter(hosts.values())).host.work_dir
            watching = choose(runs, run_id, where)
            without = {name for name, found in runs.items() if all(run.id != watching for run in found)}
            display(Watch(watching, hosts, without))
    except BadInput as error:
        print(wording.printable_lines(f"stampede watch: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"No longer watching; run {watching} continues." if watching else "Not watching.", file=sys.stderr)
    except BrokenPipeError:  # nobody reads any more, as with `stampede watch | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def show(watched: Watch, interval: float | None, *, as_json: bool, once: bool) -> None:
    """Show the run until it has ended: redrawn in place in a terminal, else table by table."""
    console = Console()
    watched.wait_for_first_answers()
    if once or as_json or not console.is_terminal or console.is_dumb_terminal:
        for faults in watched.rounds(interval or 10.0):
            if as_json:
                print(watched.json(), flush=True)
            else:
                told = [fault.text for fault in faults] + watched.crossed()
                print(wording.printable_lines("\n".join([*told, watched.text()])), flush=True)
            if once:
                return
        return
    with Live(watched.drawn(console.height), console=console, auto_refresh=False) as live:
        for faults in watched.rounds(interval or POLL_EVERY):
            for fault in faults:
                live.console.print(table.words(f"{clock(time.time())} {fault.text}"))
            for sentence in watched.crossed():
                live.console.print(table.words(sentence, "red"))
            live.update(watched.drawn(console.height), refresh=True)
