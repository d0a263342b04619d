#!/usr/bin/env python3
"""How long does it take, and how much memory, to collect a million journaled steps from each of three hosts?

Each load host gets the folder of a run whose control node died: a journal of one hour, written by the controller's
own code, and logs. playbooks/collect.yml then collects everything and writes the report. Uses a test fleet booted for
the purpose (Linux, root), or your own inventory; on its hosts only that folder is created, and removed afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local_run import ROOT, MeasurementFailed, exit_code, verdict
from playbook import play, row, test_fleet

from controller.metrics.journal import Journal
from controller.metrics.recorder import Recorder, journaling
from stampede.schema.phases import Phase
from stampede.schema.records import AgentRecord, EventKind, EventRecord, LoadRecord, Outcome

SECONDS_A_MILLION = 60.0
BYTES = 1e9
RUN = "benchmark-collect"
WORK_DIR = "/var/lib/stampede-benchmark"
HOUR = 3600.0
START = 1_795_370_592
HOLDERS = 4000
"""Per host."""
STEPS = {
    # Median seconds, spread (sigma of the logarithm), service, percentage of all steps.
    "connect_to_mediator": (0.35, 0.4, "", 1),
    "connect": (0.22, 0.35, "issuer", 2),
    "receive_credential": (0.9, 0.45, "issuer", 12),
    "present_proof": (0.55, 0.4, "verifier", 55),
    "request_revocation": (0.045, 0.8, "issuer", 10),
    "receive_revocation_notification": (1.8, 0.5, "issuer", 10),
    "delete_credential": (0.02, 0.5, "", 10),
}
FAILED = 0.002
"""Share of steps that fail."""
PUT = """
- hosts: load_hosts
  gather_facts: false
  become: true
  tasks:
    - file: {path: "WORK_DIR/RUN/logs", state: directory, mode: "0700"}
    - copy: {src: "SOURCE/{{ inventory_hostname }}/", dest: "WORK_DIR/RUN/", mode: "0600"}
    - command: gunzip WORK_DIR/RUN/journal.lp.gz WORK_DIR/RUN/logs/controller.log.gz
"""
TAKE_AWAY = """
- hosts: load_hosts
  gather_facts: false
  become: true
  tasks:
    - file: {path: "WORK_DIR", state: absent}
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000, help="journaled steps per host (default: 1000000)")
    parser.add_argument("--hosts", type=int, default=3, help="load hosts of the test fleet (default: 3)")
    parser.add_argument("--inventory", type=Path, help="use its group load_hosts instead of a test fleet")
    return parser.parse_args(argv)


@dataclass
class Clock:
    """Virtual time of a run, which advances as records are written."""

    time: float = 0.0

    def now(self) -> float:
        """Seconds since the run's start."""
        return self.time

    def epoch_ns(self, moment: float) -> int:
        """A moment as nanoseconds since 1970."""
        return int((START + moment) * 1e9)


def write_host(folder: Path, host: str, steps: int, seed: int) -> int:
    """Write what a one-hour run leaves on a host; returns the size of the journal in bytes."""
    (folder / "logs").mkdir(parents=True)
    path = folder / "journal.lp"
    with Journal(path, {"run": RUN, "host": host, "scenario": "issue_present_revoke"}) as journal:
        write_journal(journal, steps, random.Random(seed))
    size = path.stat().st_size
    lines = (f"2026-11-22 18:{n // 60 % 60:02d}:{n % 60:02d},{n % 1000:03d} INFO phase: {n}\n" for n in range(20_000))
    (folder / "logs/controller.log").write_text("".join(lines))
    subprocess.run(["gzip", "-1", path, folder / "logs/controller.log"], check=True)
    (folder / "controller_script.py").write_text("# A benchmark.\n")
    (folder / "state.json").write_text(json.dumps({"phase": "done", "pid": 0, "host": host, "run": RUN}))
    return size


def write_journal(journal: Journal, steps: int, chance: random.Random) -> None:
    clock = Clock()
    recorder = Recorder(clock, journaling(journal, clock))
    journal.write(EventRecord(EventKind.PHASE, Phase.RUNNING), clock.epoch_ns(clock.time))
    names, weights = list(STEPS), [step[3] for step in STEPS.values()]
    second = 0
    for number in range(steps):
        clock.time = HOUR * (number + chance.random()) / steps
        if clock.time >= second:
            second += 1
            load = LoadRecord(
                active=HOLDERS,
                ready=HOLDERS,
                in_flight=chance.randrange(90, 250),
                arrivals=0,
                finished=0,
                lag_p50=chance.expovariate(2000),
                lag_p99=chance.expovariate(500),
                lag_max=chance.expovariate(200),
                loop_lag_max=chance.expovariate(100),
                cpu=chance.random(),
                rss=150_000_000,
                host_cpu=4 * chance.random(),
                host_cores=4,
                host_memory_used=0.5,
            )
            journal.write(load, clock.epoch_ns(clock.time))
            for agent in range(4 if second % 5 == 0 else 0):
                record = AgentRecord(f"agent-{agent}", chance.random(), 300_000_000, 0, True)
                journal.write(record, clock.epoch_ns(clock.time))
        name = chance.choices(names, weights)[0]
        median, spread, service, _ = STEPS[name]
        failed = chance.random() < FAILED
        start = clock.time - (60.0 if failed else median * chance.lognormvariate(0, spread))
        recorder.step(
            name,
            Outcome.FAILED if failed else Outcome.OK,
            start=start,
            due=start - chance.expovariate(1000),
            holder=chance.randrange(HOLDERS),
            iteration=int(clock.time // 300),
            attempt=1,
            service=service,
            error="timeout" if failed else "",
            detail=f"{name} did not end within 60 s" if failed else "",
        )
    for phase in (Phase.DRAINING, Phase.DONE):
        journal.write(EventRecord(EventKind.PHASE, phase), clock.epoch_ns(clock.time))


@contextlib.contextmanager
def run_folders(inventory: Path, folder: Path, steps: int) -> Iterator[list[str]]:
    """Yields the names of the hosts, each of which has the run's folder in the meantime."""
    ansible = Path(sys.executable).with_name("ansible")
    told = subprocess.run(
        [str(ansible), "-i", str(inventory), "load_hosts", "--list-hosts"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    hosts = [line.strip() for line in told.stdout.splitlines()[1:]]
    with ProcessPoolExecutor() as pool:
        writers = [
            pool.submit(write_host, folder / "hosts" / host, host, steps, seed) for seed, host in enumerate(hosts)
        ]
        size = sum(writer.result() for writer in writers)
    print(f"{len(hosts)} journals of {steps:,} steps are {size / 1e6:.0f} MB", flush=True)
    put, take_away = folder / "put.yml", folder / "take_away.yml"
    for file, text in ((put, PUT), (take_away, TAKE_AWAY)):
        named = {"WORK_DIR": WORK_DIR, "RUN": RUN, "SOURCE": str(folder / "hosts")}
        for name, value in named.items():
            text = text.replace(name, value)
        file.write_text(text)
    try:
        play(put, inventory)
        yield hosts
    finally:
        play(take_away, inventory)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the journals, collect them and print the figures."""
    with contextlib.ExitStack() as stack:
        inventory = arguments.inventory
        if inventory is None:
            inventory = stack.enter_context(test_fleet(arguments.hosts)).inventory
        hosts = stack.enter_context(run_folders(inventory.absolute(), folder, arguments.steps))
        played = play(
            "playbooks/collect.yml",
            inventory.absolute(),
            run_id=RUN,
            work_dir=WORK_DIR,
            results_dir=str(folder / "results"),
            reference_services=False,
        )
    summary = json.loads((folder / "results" / RUN / "summary.json").read_text())
    found = sum(step["ok"] + step["failed"] for step in summary["steps"].values())
    if found != len(hosts) * arguments.steps:
        raise MeasurementFailed(f"The report has {found:,} of {len(hosts) * arguments.steps:,} steps")
    millions = found / 1e6
    collecting = played.seconds - played.report_seconds
    home = sum(file.stat().st_size for file in (folder / "results" / RUN).glob("*/journal.lp.gz"))
    print(f"collected and reported {millions:g} million steps of {len(hosts)} hosts, {home / 1e6:.0f} MB compressed:")
    row("", "total", "per million")
    row("collection, including playbook overhead", f"{collecting:.1f} s", f"{collecting / millions:.1f} s")
    row("report", f"{played.report_seconds:.1f} s", f"{played.report_seconds / millions:.1f} s")
    row("total", f"{played.seconds:.1f} s", f"{played.seconds / millions:.1f} s")
    row("memory, ansible-playbook and children", f"{played.memory / 1e6:.0f} MB", "")
    row(
        "memory, report alone",
        f"{played.report_memory / 1e6:.0f} MB",
        f"{played.report_memory / 1e6 / millions:.0f} MB",
    )
    for what, value, most in (("time", played.seconds, SECONDS_A_MILLION), ("memory", played.memory, BYTES)):
        print(f"{what}: {value / most:.2f} of the target, {verdict(value, most)}")


if __name__ == "__main__":
    sys.exit(exit_code(measure, parse()))
