#!/usr/bin/env python3
"""How much time does playbooks/run-test.yml add to a run, how does that scale with the number of hosts, and how far
apart do they start?

Boots a test fleet (Linux, root) for each number of load hosts, provisions it, and takes its holders through the
default scenario once. All hosts and the services under test share this machine's cores, so work that real hosts do in
parallel takes longer here with every host.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import platform
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local_run import ROOT, MeasurementFailed, exit_code, verdict
from playbook import Played, play, row, test_fleet

from stampede.prepare.wheelhouse import Kind, build

ADDED, SKEW, PROVISIONING = 60.0, 0.020, 180.0
"""Targets in seconds, set for three hosts."""
PHASES = ("arming", "armed", "running", "done")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=(1, 3, 6), help="load hosts (default: 1 3 6)")
    parser.add_argument("--holders", type=int, default=2, help="holders per host (default: 2)")
    parser.add_argument("--keep", type=Path, help="folder in which to keep the results and the playbooks' output")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Measured:
    """The figures for one number of hosts, in seconds."""

    provisioning: float
    before: float
    """From the start of the playbook until the first controller runs: checks, provisioning, deployment."""
    arming: float
    waiting: float
    """From the moment the last host was armed until the first one started."""
    own: float
    """The run itself, from the start of the first host to the end of the last."""
    after: float
    skew: float
    tasks: list[tuple[float, str]]
    """The slowest tasks of run-test.yml."""

    @property
    def added(self) -> float:
        """Overhead of the playbook: its time without the run itself."""
        return self.before + self.arming + self.waiting + self.after


def measure_fleet(hosts: int, holders: int, folder: Path) -> Measured:
    """Boot, provision, run, and shut down."""
    with test_fleet(hosts) as fleet:
        provisioned = play("playbooks/provision.yml", fleet.inventory)
        write_output(provisioned, folder / "provision.txt")
        began = time.time()
        run = play(
            "playbooks/run-test.yml",
            fleet.inventory,
            run_id="bench",
            results_dir=str(folder),
            holders=hosts * holders,
        )
        write_output(run, folder / "run-test.txt")
    summary = json.loads((folder / "bench/summary.json").read_text())
    if failed := sum(step["failed"] for step in summary["steps"].values()):
        raise MeasurementFailed(f"{failed} steps failed")
    moments = [phases(file) for file in sorted((folder / "bench").glob("*/journal.lp.gz"))]
    if len(moments) != hosts:
        raise MeasurementFailed(f"{len(moments)} journals of {hosts} hosts were collected")
    first, last = ({name: choose(moment[name] for moment in moments) for name in PHASES} for choose in (min, max))
    return Measured(
        provisioning=provisioned.seconds,
        before=first["arming"] - began,
        arming=last["armed"] - first["arming"],
        waiting=first["running"] - last["armed"],
        own=last["done"] - first["running"],
        after=began + run.seconds - last["done"],
        skew=last["running"] - first["running"],
        tasks=slowest_tasks(run),
    )


def phases(journal: Path) -> dict[str, float]:
    """When a host entered each phase, in seconds since 1970; all hosts of a test fleet share one clock."""
    text = gzip.decompress(journal.read_bytes()).decode()
    found = re.findall(r',kind=phase text="(\w+)".* (\d+)$', text, re.MULTILINE)
    return {name: int(nanoseconds) / 1e9 for name, nanoseconds in found}


def slowest_tasks(run: Played, count: int = 8) -> list[tuple[float, str]]:
    """The output names a task when the first host has completed it, or, if it prints its progress, when it starts."""
    took: list[tuple[float, str]] = []
    moment, going_on = 0.0, ""
    for (now, line), (_, next_line) in itertools.pairwise([*run.lines, (0.0, "")]):
        if line.startswith("* "):
            took.append((now - moment, going_on or line[2:]))
            moment, going_on = now, line[2:] if next_line.startswith("  ") else ""
    return sorted(took, reverse=True)[:count]


def write_output(played: Played, file: Path) -> None:
    file.write_text("".join(f"{moment:7.1f}  {line}\n" for moment, line in played.lines))


def build_wheelhouse(folder: Path) -> float:
    """Seconds to build a wheelhouse from scratch. The runs that follow find one in the project."""
    kind = Kind("3.13", platform.machine(), "2.41")  # Debian 13's
    began = time.monotonic()
    build(folder, kind)
    took = time.monotonic() - began
    build(ROOT / ".stampede/wheelhouse", kind)
    return took


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Measure each number of hosts and print the figures."""
    folder = arguments.keep or folder
    wheelhouse = build_wheelhouse(folder / "wheelhouse")
    results: dict[int, Measured] = {}
    for hosts in arguments.hosts:
        print(f"{hosts} load hosts ...", flush=True)
        (folder / str(hosts)).mkdir()
        results[hosts] = measure_fleet(hosts, arguments.holders, folder / str(hosts))
    print_table(results, wheelhouse)


def print_table(results: dict[int, Measured], wheelhouse: float) -> None:
    """Print the figures by number of hosts, and those that have a target."""
    row("load hosts", *results)
    for title, name in (
        ("provisioning freshly booted hosts", "provisioning"),
        ("run-test.yml until controllers start", "before"),
        ("  from then until all are armed", "arming"),
        ("  until they start", "waiting"),
        ("  the run itself", "own"),
        ("  from its end to that of the playbook", "after"),
        ("added to the run itself", "added"),
    ):
        row(title, *(f"{getattr(measured, name):.1f} s" for measured in results.values()))
    row("start skew", *(f"{measured.skew * 1e3:.2f} ms" for measured in results.values()))
    print(f"building the wheelhouse, once for all hosts with the same Python: {wheelhouse:.1f} s")
    for hosts, measured in results.items():
        print(f"{hosts} load hosts:")
        for what, value, most in (
            ("start skew", measured.skew, SKEW),
            ("added to a run", measured.added, ADDED),
            ("provisioning without a wheelhouse", measured.provisioning + wheelhouse, PROVISIONING),
        ):
            print(f"  {what}: {value / most:.2f} of the target, {verdict(value, most)}")
        print("  slowest tasks:", "; ".join(f"{took:.1f} s {name}" for took, name in measured.tasks))


if __name__ == "__main__":
    sys.exit(exit_code(measure, parse()))
