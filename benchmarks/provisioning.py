#!/usr/bin/env python3
"""What does each further load host add to playbooks/provision.yml?

Boots a test fleet (Linux, root) for each number of load hosts and provisions it twice: freshly booted, and again with
nothing to do. The hosts share this machine's cores, so that the time grows by their own work, which real hosts do in
parallel. The CPU time of the control node is what each host adds there as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from local_run import ROOT, exit_code
from playbook import Played, play, row, test_fleet

from stampede.prepare.wheelhouse import Kind, build


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs=2, default=(3, 20), help="load hosts (default: 3 20)")
    return parser.parse_args(argv)


def busy() -> float:
    """CPU-seconds of this machine, of all processes."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


@dataclass(frozen=True)
class Provisioned:
    """A fleet that was provisioned twice."""

    fresh: Played
    """The playbook on new hosts."""
    used: float
    """CPU-seconds of these hosts meanwhile."""
    again: Played


def measure_fleet(hosts: int) -> Provisioned:
    """Boot a fleet, and play the playbook twice."""
    with test_fleet(hosts) as fleet:
        before = busy()
        fresh = play("playbooks/provision.yml", fleet.inventory)
        used = busy() - before - fresh.cpu
        return Provisioned(fresh, used, play("playbooks/provision.yml", fleet.inventory))


def measure(arguments: argparse.Namespace, _: Path) -> None:
    """Measure both numbers of hosts and print the figures."""
    build(ROOT / ".stampede/wheelhouse", Kind("3.13", platform.machine(), "2.41"))  # Debian 13's
    results = {}
    for hosts in arguments.hosts:
        print(f"{hosts} load hosts ...", flush=True)
        results[hosts] = measure_fleet(hosts)
    few, many = arguments.hosts
    row("load hosts", few, many, "ratio", "each further")
    figures: dict[str, Callable[[Provisioned], float]] = {
        "new hosts, seconds": lambda fleet: fleet.fresh.seconds,
        "  CPU-seconds of the control node": lambda fleet: fleet.fresh.cpu,
        "  CPU-seconds of the hosts": lambda fleet: fleet.used,
        "again, nothing to do, seconds": lambda fleet: fleet.again.seconds,
        "  CPU-seconds of the control node then": lambda fleet: fleet.again.cpu,
    }
    for title, figure in figures.items():
        less, more = (figure(results[hosts]) for hosts in (few, many))
        row(title, f"{less:.1f}", f"{more:.1f}", f"{more / less:.2f}", f"{(more - less) / (many - few):.2f}")
    print(f"  The hosts shared {os.cpu_count()} cores with each other and with the control node.")


if __name__ == "__main__":
    sys.exit(exit_code(measure, parse()))
